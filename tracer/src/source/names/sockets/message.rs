//! `struct inet_diag_req_v2` and `struct inet_diag_msg`.

use std::net::SocketAddr;

use super::address;
use crate::source::mirror::Attributes;

/// `include/uapi/linux/sock_diag.h`
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// `include/uapi/linux/inet_diag.h`: without `INET_DIAG_SKV6ONLY` (Linux 4.13) one that is at all
/// addresses is taken for one of both families, which it is as a rule.
const INET_DIAG_SKV6ONLY: u16 = 11;
/// Linux 5.9.
const INET_DIAG_CGROUP_ID: u16 = 21;

/// States by bit, `include/net/tcp_states.h`; UDP's sockets are established or closed.
pub(super) const LISTENING: u32 = 1 << 10;
pub(super) const UNCONNECTED: u32 = 1 << 7;
/// All that have a socket: not those of `TIME_WAIT` and `NEW_SYN_RECV`, and no listener.
pub(super) const CONNECTED: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// Which sockets are asked for; 0 for any port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) family: u8,
    pub(super) protocol: u8,
    pub(super) states: u32,
    pub(super) own_port: u16,
    pub(super) other_port: u16,
}

impl Request {
    /// The same sockets, whatever their ports are.
    pub(super) fn at_any_port(self) -> Self {
        Self {
            own_port: 0,
            other_port: 0,
            ..self
        }
    }
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::names) struct Socket {
    pub(super) own: SocketAddr,
    pub(super) other: SocketAddr,
    /// By which processes' descriptors name it; 0 for one that no process has any more.
    pub(in crate::source::names) inode: u32,
    /// The control group (version 2) that it was made in, by its number.
    pub(in crate::source::names) group: Option<u64>,
    pub(super) v6_only: bool,
}

/// The request's body.
pub(super) fn request(request: &Request) -> Vec<u8> {
    let mut body = vec![request.family, request.protocol, 0, 0];
    body.extend(request.states.to_ne_bytes());
    body.extend(request.own_port.to_be_bytes());
    body.extend(request.other_port.to_be_bytes());
    // Addresses and device: any.
    body.resize(body.len() + 36, 0);
    // INET_DIAG_NOCOOKIE
    body.extend([0xff; 8]);
    body
}

/// The socket that a message tells of; none where it is shorter than it has to be.
pub(super) fn read(body: &[u8]) -> Option<Socket> {
    let (head, attributes) = Attributes::behind::<72>(body).ok()?;
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let ip = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&head[at..at + 16]);
        bytes
    };
    let mut socket = Socket {
        own: address(head[0], ip(8), port(4)),
        other: address(head[0], ip(24), port(6)),
        inode: u32::from_ne_bytes([head[68], head[69], head[70], head[71]]),
        group: None,
        v6_only: false,
    };
    let read = attributes.each(|kind, value| {
        match kind {
            INET_DIAG_CGROUP_ID => {
                socket.group = value
                    .bytes()
                    .first_chunk()
                    .map(|it| u64::from_ne_bytes(*it));
            }
            INET_DIAG_SKV6ONLY => socket.v6_only = value.u8()? != 0,
            _ => {}
        }
        Ok(())
    });
    read.ok().map(|()| socket)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listener_of_both_families_is_read() {
        let mut body = vec![libc::AF_INET6 as u8, 10, 0, 0];
        body.extend(5432u16.to_be_bytes());
        body.resize(68, 0);
        body.extend(77u32.to_ne_bytes());
        body.extend([5, 0, 11, 0, 0, 0, 0, 0]);
        body.extend([12, 0, 21, 0]);
        body.extend(9u64.to_ne_bytes());
        let socket = read(&body).unwrap();
        assert_eq!(socket.own, "[::]:5432".parse().unwrap());
        assert_eq!(
            (socket.inode, socket.group, socket.v6_only),
            (77, Some(9), false)
        );
    }

    #[test]
    fn a_request_is_as_long_as_the_kernel_takes_it_for() {
        let any = Request {
            family: 2,
            protocol: 6,
            states: LISTENING,
            own_port: 80,
            other_port: 0,
        };
        assert_eq!(request(&any).len(), 56);
    }

    proptest! {
        #[test]
        fn no_message_is_too_bad(body in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = read(&body);
        }
    }
}
