//! What a source is told before it starts.

use std::num::NonZeroU8;
use std::ops::RangeInclusive;

use crate::model::Protocol;

/// An address prefix.
pub type Prefix = ipnet::IpNet;

/// All that a source is told.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which packets are traced.
    pub filter: Filter,
    /// Named ends; the first one that fits an address names it.
    pub components: Vec<Component>,
    /// Ports that are services' even where the ephemeral rule would say otherwise.
    pub service_ports: Vec<RangeInclusive<u16>>,
    /// The lowest ephemeral port: ports from here on make no class of their own.
    pub ephemeral_from: u16,
    /// Whether packets that leave by hardware are looked for where hardware brings packets in.
    pub through_hardware: bool,
    /// Where a processor sees many new packets (7,600 a second), 1 in so many is timed, for all of
    /// them; a power of two. All are counted.
    pub timed_one_in: NonZeroU8,
    /// Whether packets are timed at functions of the protocols too, between `receive` and what
    /// follows.
    pub fine: bool,
    /// How much room the tables get.
    pub limits: Limits,
    /// Whether each packet's timeline leaves the kernel.
    pub passages: bool,
    /// Whether the kernel half's own log is shown.
    pub kernel_log: bool,
    /// Whether it is written down who changes routes.
    pub makers: bool,
    /// Whether connections are measured beside hops: round trips, exchanges, what troubles them. To see
    /// what that takes: not for configurations.
    pub exchanges: bool,
    /// For how many processors the kernel half has room; none for as many as this host may have.
    /// To see what more of them would take: not for configurations.
    pub processors: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            components: Vec::new(),
            service_ports: Vec::new(),
            ephemeral_from: 32_768,
            through_hardware: false,
            timed_one_in: NonZeroU8::new(8).unwrap_or(NonZeroU8::MIN),
            fine: false,
            limits: Limits::default(),
            passages: false,
            kernel_log: false,
            makers: true,
            exchanges: true,
            processors: None,
        }
    }
}

/// Which packets are traced: those that all conditions fit, from their first hop on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Packets that start in this network namespace.
    pub namespace: Option<String>,
    /// Packets that start at this device.
    pub device: Option<String>,
    /// Packets from or to an address in this prefix.
    pub prefix: Option<Prefix>,
    /// Packets of this transport protocol.
    pub protocol: Option<Protocol>,
    /// Packets from or to this port.
    pub port: Option<u16>,
}

/// A named end of classes.
///
/// An address and port belong to it when one of the prefixes and one of the ports fit and the
/// packet starts in the namespace; an empty list, or no namespace, fits all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The name in every output.
    pub name: String,
    /// Its addresses.
    pub prefixes: Vec<Prefix>,
    /// Its ports.
    pub ports: Vec<u16>,
    /// The network namespace that it runs in.
    pub namespace: Option<String>,
}

/// How much room the kernel half's tables get, in entries; powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets on their way at one moment.
    pub packets: u32,
    /// Nodes of all route trees.
    pub nodes: u32,
    /// Classes.
    pub classes: u32,
    /// Histograms.
    pub cells: u32,
    /// Packets on wires that lead out of this host and may lead back.
    pub handover: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packets: 65_536,
            nodes: 4_096,
            classes: 4_096,
            cells: 16_384,
            handover: 65_536,
        }
    }
}
