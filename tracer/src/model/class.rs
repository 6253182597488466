//! Who talks to whom.

use std::fmt;
use std::net::IpAddr;

/// The packets from one end to another that serve one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Where the packets start.
    pub source: End,
    /// Where they were addressed to when they started.
    pub destination: End,
    /// Their transport.
    pub protocol: Protocol,
    /// The service's port and the side that it is on; none where both ports are ephemeral or the
    /// protocol has none.
    pub service: Option<Service>,
    /// The first packet's addresses and ports.
    pub first: Option<Tuple>,
    /// The class of the answers, as an index into the reading's classes.
    pub way_back: Option<usize>,
}

impl Class {
    /// What the dependency of a class of requests is called: `app → db tcp/5432`.
    pub fn name(&self) -> String {
        let port = self.service.map(|service| format!("/{}", service.port()));
        format!(
            "{} → {} {}{}",
            self.source,
            self.destination,
            self.protocol.name(),
            port.unwrap_or_default()
        )
    }
}

/// One end of a class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// A component that the configuration names.
    Component(String),
    /// An address prefix: its first address and its length.
    Prefix(IpAddr, u8),
    /// The packets have no IP addresses.
    NoAddress,
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => out.write_str(name),
            Self::Prefix(address, length) => write!(out, "{address}/{length}"),
            Self::NoAddress => out.write_str("(no address)"),
        }
    }
}

/// A transport protocol, as far as classes tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// `ICMP` (RFC 792) and `ICMPv6` (RFC 4443).
    Icmp,
    /// Everything else, ARP among it.
    Other,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Icmp, Self::Other];

    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other => "other",
        }
    }
}

/// The port that says what a class is for, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// The destination's: these are requests.
    Destination(u16),
    /// The source's: these are answers.
    Source(u16),
}

impl Service {
    /// The port, whoever's it is.
    pub const fn port(self) -> u16 {
        match self {
            Self::Destination(port) | Self::Source(port) => port,
        }
    }
}

/// A packet's addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The source port, 0 where there is none.
    pub source_port: u16,
    /// The destination port, 0 where there is none.
    pub destination_port: u16,
}
