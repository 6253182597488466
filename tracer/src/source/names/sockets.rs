//! The sockets of an end, as the kernel tells them (`sock_diag(7)`,
//! `include/uapi/linux/inet_diag.h`).

mod all;
mod message;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use self::all::All;
use super::end::{Local, Role};
use crate::source::mirror::{Asker, Mirror};

pub(super) use message::Socket;
use message::{CONNECTED, LISTENING, Request, UNCONNECTED, read, request};

/// The most sockets of an end that are looked at.
const SOCKETS: usize = 32;

/// After so many questions for single ports of a kind of sockets all of that kind are asked for. The
/// kernel goes through all of them for each question anyway, and tells those that fit.
const SINGLY: usize = 4;

/// What was asked during a reading, so that nothing is asked twice.
pub(super) struct Asked<'a> {
    mirror: &'a Mirror,
    askers: BTreeMap<u32, Option<Asker>>,
    answers: HashMap<(u32, Request), Vec<Socket>>,
    /// By the namespace and what is asked for, at any port.
    kinds: HashMap<(u32, Request), Known>,
}

/// What is known of a kind of sockets of a namespace.
enum Known {
    /// So many ports were asked for.
    Ports(usize),
    All(All),
}

impl<'a> Asked<'a> {
    pub(super) fn new(mirror: &'a Mirror) -> Self {
        Self {
            mirror,
            askers: BTreeMap::new(),
            answers: HashMap::new(),
            kinds: HashMap::new(),
        }
    }

    /// Whether the sockets of an end's kind are all known by now, so that it costs next to nothing.
    pub(super) fn has_all(&self, end: &Local) -> bool {
        let is_known = |family| {
            let kind = Request {
                family,
                protocol: end.protocol,
                states: states(end),
                own_port: 0,
                other_port: 0,
            };
            let known = self.kinds.get(&(end.namespace.inode, kind));
            matches!(known, Some(Known::All(_)))
        };
        families(end.own.ip()).into_iter().all(is_known)
    }

    /// The sockets that have packets of an end; none where the namespace can't be entered.
    pub(super) fn of(&mut self, end: &Local) -> Vec<Socket> {
        let mut sockets = match end.service {
            Role::Server => self.serving(end),
            Role::Client | Role::Peer => self.asking(end),
        };
        sockets.retain(|socket| socket.inode != 0);
        sockets.sort_by_key(|socket| socket.inode);
        sockets.dedup_by_key(|socket| socket.inode);
        sockets.truncate(SOCKETS);
        sockets
    }

    /// Those that listen on the service's port: at that very address, else at all addresses.
    fn serving(&mut self, end: &Local) -> Vec<Socket> {
        let states = states(end);
        let mut there: Vec<Socket> = Vec::new();
        for family in families(end.own.ip()) {
            let request = Request {
                family,
                protocol: end.protocol,
                states,
                own_port: end.own.port(),
                other_port: 0,
            };
            let found = self.answer(end, request);
            // An IPv6 socket may be served by IPv4 too, unless it says no.
            let serves = |it: &&Socket| {
                let any = it.own.ip().is_unspecified();
                let same_family = it.own.is_ipv4() == end.own.is_ipv4();
                it.own.ip() == end.own.ip() || (any && (same_family || !it.v6_only))
            };
            there.extend(found.iter().filter(serves).cloned());
        }
        let exact: Vec<Socket> = there
            .iter()
            .filter(|it| it.own == end.own)
            .cloned()
            .collect();
        let there = if exact.is_empty() { there } else { exact };
        if there.is_empty() {
            // Nobody listens any more: those that talk still do.
            return self.connected(end, end.own.port(), 0);
        }
        there
    }

    /// Those that are connected to the service, or to the very other end.
    fn asking(&mut self, end: &Local) -> Vec<Socket> {
        let mut found = self.connected(end, 0, end.other.port());
        if end.protocol == 17 && found.is_empty() {
            // Whoever sends without connecting has the port alone.
            found = self.serving_like(end);
        }
        found
    }

    fn connected(&mut self, end: &Local, own_port: u16, other_port: u16) -> Vec<Socket> {
        let mut there = Vec::new();
        for family in families(end.own.ip()) {
            let request = Request {
                family,
                protocol: end.protocol,
                states: CONNECTED,
                own_port,
                other_port,
            };
            let is_its = |it: &&Socket| {
                let is_pair = it.own == end.own && it.other == end.other;
                let is_class = end.own_net.contains(&it.own.ip())
                    && end.other_net.contains(&it.other.ip())
                    && end.service != Role::Peer;
                is_pair || is_class
            };
            let found = self.answer(end, request);
            there.extend(found.iter().filter(is_its).cloned());
        }
        there
    }

    fn serving_like(&mut self, end: &Local) -> Vec<Socket> {
        let mut there = Vec::new();
        for family in families(end.own.ip()) {
            let request = Request {
                family,
                protocol: end.protocol,
                states: UNCONNECTED,
                own_port: end.own.port(),
                other_port: 0,
            };
            let fits = |it: &&Socket| it.own.ip().is_unspecified() || it.own.ip() == end.own.ip();
            there.extend(self.answer(end, request).iter().filter(fits).cloned());
        }
        there
    }

    fn answer(&mut self, end: &Local, request: Request) -> &[Socket] {
        let inode = end.namespace.inode;
        let place = (inode, request);
        if !self.answers.contains_key(&place) {
            let answer = self.find(end, request);
            self.answers.insert(place, answer);
        }
        &self.answers[&place]
    }

    fn find(&mut self, end: &Local, request: Request) -> Vec<Socket> {
        let kind = request.at_any_port();
        let place = (end.namespace.inode, kind);
        match self.kinds.entry(place).or_insert(Known::Ports(0)) {
            Known::All(all) => return all.like(&request),
            Known::Ports(asked) if *asked < SINGLY => {
                *asked += 1;
                return self.ask(end, request).unwrap_or_default();
            }
            Known::Ports(_) => {}
        }
        let all = All::of(self.ask(end, kind).unwrap_or_default());
        let found = all.like(&request);
        self.kinds.insert(place, Known::All(all));
        found
    }

    fn ask(&mut self, end: &Local, question: Request) -> io::Result<Vec<Socket>> {
        let mirror = self.mirror;
        let asker = self
            .askers
            .entry(end.namespace.inode)
            .or_insert_with(|| mirror.socket_asker(&end.namespace).ok())
            .as_mut()
            .ok_or(io::ErrorKind::NotFound)?;
        let mut sockets = Vec::new();
        asker.dump(
            message::SOCK_DIAG_BY_FAMILY,
            &request(&question),
            &mut |_, _, body| {
                sockets.extend(read(body));
            },
        )?;
        Ok(sockets)
    }
}

/// In which states the sockets of an end are, as a rule.
fn states(end: &Local) -> u32 {
    match (&end.service, end.protocol) {
        (Role::Server, 6) => LISTENING,
        (Role::Server, _) => UNCONNECTED,
        (Role::Client | Role::Peer, _) => CONNECTED,
    }
}

/// In which families a socket of an address may be.
fn families(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(_) => vec![libc::AF_INET as u8, libc::AF_INET6 as u8],
        IpAddr::V6(_) => vec![libc::AF_INET6 as u8],
    }
}

/// An address with its port; one that stands for IPv4 in an IPv6 socket is that.
fn address(family: u8, bytes: [u8; 16], port: u16) -> SocketAddr {
    let ip = if i32::from(family) == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    };
    SocketAddr::new(ip, port)
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(bytes: &[u8]) {
    let _ = read(bytes);
}
