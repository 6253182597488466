//! All sockets of a kind, by their ports.

use std::collections::HashMap;

use super::message::{Request, Socket};

/// The sockets of a protocol and family in some states.
pub(super) struct All {
    sockets: Vec<Socket>,
    by_own: HashMap<u16, Vec<usize>>,
    by_other: HashMap<u16, Vec<usize>>,
}

impl All {
    pub(super) fn of(sockets: Vec<Socket>) -> Self {
        let (mut by_own, mut by_other) = (HashMap::new(), HashMap::new());
        for (place, socket) in sockets.iter().enumerate() {
            let ports = [
                (&mut by_own, socket.own.port()),
                (&mut by_other, socket.other.port()),
            ];
            for (by, port) in ports {
                by.entry(port).or_insert_with(Vec::new).push(place);
            }
        }
        Self {
            sockets,
            by_own,
            by_other,
        }
    }

    /// Those that the kernel would tell if it was asked for these ports; 0 is any.
    pub(super) fn like(&self, request: &Request) -> Vec<Socket> {
        let (own, other) = (request.own_port, request.other_port);
        let places = match (own, other) {
            (0, 0) => return self.sockets.clone(),
            (0, other) => self.by_other.get(&other),
            (own, _) => self.by_own.get(&own),
        };
        let sockets = places.into_iter().flatten().map(|&at| &self.sockets[at]);
        let fits = |socket: &&Socket| other == 0 || socket.other.port() == other;
        sockets.filter(fits).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_find_what_the_kernel_would_tell() {
        let socket = |inode, own: &str, other: &str| Socket {
            own: own.parse().unwrap(),
            other: other.parse().unwrap(),
            inode,
            group: None,
            v6_only: false,
        };
        let all = All::of(vec![
            socket(1, "10.0.0.1:5432", "10.0.0.2:4000"),
            socket(2, "10.0.0.1:5432", "10.0.0.2:4001"),
            socket(3, "10.0.0.1:4001", "10.0.0.3:5432"),
        ]);
        for (own_port, other_port, expected) in [
            (5432, 0, &[1, 2][..]),
            (0, 5432, &[3]),
            (5432, 4001, &[2]),
            (0, 0, &[1, 2, 3]),
            (7, 0, &[]),
            (0, 7, &[]),
        ] {
            let request = Request {
                family: 2,
                protocol: 6,
                states: 1,
                own_port,
                other_port,
            };
            let found: Vec<u32> = all.like(&request).iter().map(|it| it.inode).collect();
            assert_eq!(found, expected, "{own_port} {other_port}");
        }
    }
}
