//! The sockets that probes leave by, and that their answers come to.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::packet::{self, Answered, Ends};
use crate::model::probe::{Says, Target};

/// Larger than what a header and a message need.
const ROOM: usize = 576;

/// Raw sockets in the namespace of a connection.
pub(super) struct Wire {
    ends: Ends,
    /// Takes packets with their IP headers, and receives nothing.
    out: Socket,
    /// Gets what the other end sends by TCP, and nothing of other hosts.
    tcp: Socket,
    icmp: Socket,
    /// Sockets that do nothing but hold the source ports, so that no connection gets one.
    reserved: Vec<(u16, Socket)>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) at: Instant,
    pub(super) from: IpAddr,
    pub(super) port: u16,
    pub(super) sequence: u32,
    pub(super) says: Says,
}

impl Wire {
    /// Opens all of them in the namespace of this thread.
    pub(super) fn open(target: &Target, ports: usize) -> io::Result<Self> {
        let source = SockAddr::from(SocketAddr::new(target.source, 0));
        let domain = Domain::for_address(SocketAddr::new(target.source, 0));
        let raw = |protocol: i32| {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        let out = raw(libc::IPPROTO_RAW)?;
        if !target.device.is_empty() {
            // The leg that the connection goes by.
            out.bind_device(Some(target.device.as_bytes()))?;
        }
        out.bind(&source)?;
        let tcp = raw(libc::IPPROTO_TCP)?;
        tcp.bind(&source)?;
        tcp.connect(&SocketAddr::new(target.destination, 0).into())?;
        let icmp = raw(if target.source.is_ipv4() {
            libc::IPPROTO_ICMP
        } else {
            libc::IPPROTO_ICMPV6
        })?;
        let reserve = || {
            let socket = Socket::new(domain, Type::STREAM, None)?;
            socket.bind(&source)?;
            let local = socket.local_addr()?.as_socket();
            let port = local.map(|it| it.port());
            Ok((port.ok_or(io::ErrorKind::AddrNotAvailable)?, socket))
        };
        let mut reserved: Vec<(u16, Socket)> =
            (0..ports).map(|_| reserve()).collect::<io::Result<_>>()?;
        reserved.sort_by_key(|(port, _)| *port);
        Ok(Self {
            ends: Ends {
                source: target.source,
                destination: target.destination,
                source_port: 0,
                destination_port: target.port,
            },
            out,
            tcp,
            icmp,
            reserved,
        })
    }

    /// The source ports.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.reserved.iter().map(|(port, _)| *port).collect()
    }

    pub(super) fn send(
        &self,
        target: &Target,
        ttl: u8,
        port: u16,
        sequence: u32,
    ) -> io::Result<()> {
        let ends = Ends {
            source_port: port,
            ..self.ends
        };
        let to = SocketAddr::new(target.destination, 0).into();
        let sent = self.out.send_to(&packet::syn(ends, ttl, sequence), &to);
        match sent {
            // A full queue is a probe that got lost.
            Err(cause) if cause.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// What comes until then, or some of it.
    pub(super) fn answers(&self, until: Instant) -> io::Result<Vec<Answer>> {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        let mut polled = [&self.tcp, &self.icmp].map(|it| PollFd::new(it, PollFlags::IN));
        match poll(&mut polled, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
        }
        let mut all = Vec::new();
        while let Some((bytes, at, from)) = receive(&self.icmp) {
            let said = self.behind(&bytes);
            let said = said.and_then(|it| packet::of_icmp(it, self.ends));
            all.extend(said.map(|it| answer(it, at, from)));
        }
        while let Some((bytes, at, from)) = receive(&self.tcp) {
            let said = self.behind(&bytes);
            let said = said.and_then(|it| packet::of_tcp(it, self.ends.destination_port));
            all.extend(said.map(|it| answer(it, at, from)));
        }
        Ok(all)
    }

    /// Raw sockets of IPv4 give the header too.
    fn behind<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        if self.ends.source.is_ipv4() {
            packet::behind_ipv4(packet)
        } else {
            Some(packet)
        }
    }
}

fn answer(it: Answered, at: Instant, from: IpAddr) -> Answer {
    Answer {
        at,
        from,
        port: it.port,
        sequence: it.sequence,
        says: it.says,
    }
}

/// One packet; an error of the socket is what an ICMP message left, which is read as such.
fn receive(socket: &Socket) -> Option<(Vec<u8>, Instant, IpAddr)> {
    let mut room = [MaybeUninit::<u8>::uninit(); ROOM];
    // An error is told once, and gone.
    for _ in 0..8 {
        match socket.recv_from(&mut room) {
            Ok((length, from)) => {
                let at = Instant::now();
                let bytes = room[..length.min(ROOM)].iter();
                // SAFETY: the kernel has written so many bytes.
                let bytes = bytes.map(|it| unsafe { it.assume_init() }).collect();
                return Some((bytes, at, from.as_socket()?.ip()));
            }
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
    None
}
