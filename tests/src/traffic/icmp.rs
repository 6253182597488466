//! ICMP: echoes, and the errors that a probe provokes.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::pace::{Pace, Schedule};
use crate::clock::now_ns;
use crate::namespace::Ns;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sends echo requests and returns the round trip of each, none where no answer came.
pub fn ping(
    (ns, from): (&Ns, IpAddr),
    to: IpAddr,
    count: u16,
    pace: Pace,
) -> Result<Vec<Option<Duration>>> {
    let kind = Echo::to(to);
    let socket = ns
        .run(|| Socket::new(kind.domain(), Type::RAW, Some(kind.protocol())))
        .context("open a raw socket (are you root?)")?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&SocketAddr::new(to, 0).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut schedule = Schedule::start(pace);
    let all = 0..count;
    all.map(|sequence| {
        schedule.next();
        let sent_ns = now_ns();
        socket
            .send(&kind.request(sequence))
            .with_context(|| format!("send an echo request to {to}"))?;
        kind.await_reply(&socket, sequence, sent_ns)
    })
    .collect()
}

/// Probes a closed port and returns once the ICMP error is back.
pub fn closed_port(from: (&Ns, IpAddr), to: SocketAddr) -> Result<()> {
    provoke(from, to, None, ErrorKind::ConnectionRefused)
}

/// Probes with a hop limit that ends on the way and returns once the ICMP error is back.
pub fn low_ttl(from: (&Ns, IpAddr), to: SocketAddr, hops: u8) -> Result<()> {
    provoke(from, to, Some(hops), ErrorKind::HostUnreachable)
}

fn provoke(
    (ns, from): (&Ns, IpAddr),
    to: SocketAddr,
    hops: Option<u8>,
    expected: ErrorKind,
) -> Result<()> {
    let socket = ns.run(|| UdpSocket::bind((from, 0)))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // Without these the kernel keeps errors about the hop limit to itself.
    if from.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    match hops {
        Some(hops) if from.is_ipv4() => socket.set_ttl(u32::from(hops))?,
        Some(hops) => socket2::SockRef::from(&socket).set_unicast_hops_v6(u32::from(hops))?,
        None => {}
    }
    socket.send(b"probe")?;
    match socket.recv(&mut [0; 64]) {
        Err(error) if error.kind() == expected => Ok(()),
        Err(error) => Err(error).with_context(|| format!("wait for the error of {to}")),
        Ok(_) => bail!("{to} answered a probe that should have failed"),
    }
}

/// The two kinds of echo.
#[derive(Clone, Copy)]
enum Echo {
    V4,
    V6,
}

impl Echo {
    fn to(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn domain(self) -> Domain {
        match self {
            Self::V4 => Domain::IPV4,
            Self::V6 => Domain::IPV6,
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::V4 => Protocol::ICMPV4,
            Self::V6 => Protocol::ICMPV6,
        }
    }

    fn types(self) -> (u8, u8) {
        match self {
            Self::V4 => (8, 0),
            Self::V6 => (128, 129),
        }
    }

    fn request(self, sequence: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[0] = self.types().0;
        bytes[4..6].copy_from_slice(&identifier());
        bytes[6..8].copy_from_slice(&sequence.to_be_bytes());
        // The kernel fills in the checksum of ICMPv6, which covers addresses too (RFC 3542).
        if matches!(self, Self::V4) {
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    fn await_reply(self, socket: &Socket, sequence: u16, sent_ns: u64) -> Result<Option<Duration>> {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        while now_ns() - sent_ns < PATIENCE.as_nanos() as u64 {
            match socket.recv(&mut buffer) {
                Ok(len) if self.answers(&initialised(&buffer[..len]), sequence) => {
                    return Ok(Some(Duration::from_nanos(now_ns() - sent_ns)));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("wait for an echo reply"),
            }
        }
        Ok(None)
    }

    fn answers(self, packet: &[u8], sequence: u16) -> bool {
        let header = match self {
            Self::V4 => packet
                .first()
                .map_or(0, |first| usize::from(first & 15) * 4),
            Self::V6 => 0,
        };
        let Some(icmp) = packet.get(header..header + 8) else {
            return false;
        };
        icmp[0] == self.types().1
            && icmp[4..6] == identifier()
            && icmp[6..] == sequence.to_be_bytes()
    }
}

fn identifier() -> [u8; 2] {
    (std::process::id() as u16).to_be_bytes()
}

/// The checksum of RFC 1071, of an even number of bytes.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u16::from_be_bytes([word[0], word[1]]));
    let mut sum: u32 = words.map(u32::from).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn initialised(bytes: &[MaybeUninit<u8>]) -> Vec<u8> {
    // SAFETY: the caller passes only the part that `recv` says it has written.
    bytes
        .iter()
        .map(|byte| unsafe { byte.assume_init() })
        .collect()
}
