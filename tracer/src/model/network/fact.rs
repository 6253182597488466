//! What there can be in a network namespace, one value each, and changes of it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// The family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// An address's.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// One thing of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A device.
    Link(Link),
    /// An address of a device.
    Address(Address),
    /// Whose link-layer address is known, or was asked for in vain.
    Neighbour(Neighbour),
    /// A next-hop object or group.
    NextHop(NextHop),
    /// A rule that chooses a route table.
    Rule(Rule),
    /// A route.
    Route(Route),
    /// What the kernel learnt of one destination.
    Exception(Exception),
}

impl Fact {
    /// The devices that it speaks of.
    pub fn devices(&self) -> Vec<u32> {
        let of_legs = |legs: &[Leg]| legs.iter().map(|leg| leg.device).collect();
        match self {
            Self::Link(link) => [link.index].into_iter().chain(link.master).collect(),
            Self::Address(address) => vec![address.index],
            Self::Neighbour(neighbour) => vec![neighbour.index],
            Self::NextHop(next_hop) => match &next_hop.kind {
                NextHopKind::Leg(leg) => vec![leg.device],
                NextHopKind::Group(_) | NextHopKind::Blackhole => Vec::new(),
            },
            Self::Rule(_) => Vec::new(),
            Self::Route(route) => of_legs(&route.path.legs),
            Self::Exception(exception) => vec![exception.device],
        }
    }

    /// The part of the namespace that it belongs to.
    pub fn part(&self) -> Part {
        match self {
            Self::Link(_) => Part::Links,
            Self::Address(_) => Part::Addresses,
            Self::Neighbour(_) => Part::Neighbours,
            Self::NextHop(_) => Part::NextHops,
            Self::Rule(rule) => Part::Rules(rule.family),
            Self::Route(route) => Part::Routes(route.slot.family(), route.table),
            Self::Exception(it) => Part::Exceptions(it.family(), it.table),
        }
    }
}

/// A part of a namespace that the kernel dumps at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The devices.
    Links,
    /// The addresses, both families.
    Addresses,
    /// The neighbours, both families.
    Neighbours,
    /// The next-hop objects.
    NextHops,
    /// A family's rules.
    Rules(Family),
    /// A family's route table.
    Routes(Family, u32),
    /// What was learnt of single destinations beside a family's route table.
    Exceptions(Family, u32),
}

/// What the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is so from now on.
    New(Fact, Place),
    /// It is so no more.
    Gone(Fact),
}

/// Where a new route goes among those of the same prefix, class of service and metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before them: it is asked first.
    First,
    /// Behind them.
    Last,
    /// Into the first one's place.
    Instead,
}

/// A change in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was; none where it is new.
    pub before: Option<Fact>,
    /// What is; none where it is gone.
    pub after: Option<Fact>,
    /// How it is known.
    pub how: How,
}

/// How a change is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The kernel told it.
    Told,
    /// It follows from another change: the kernel does it without a word.
    Implied,
    /// A dump showed it.
    Found,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace; used again, if rarely.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind as the kernel calls it ("veth", "vrf"); empty for hardware and loopback.
    pub kind: String,
    /// Its Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Whether it was set up (`IFF_UP`).
    pub up: bool,
    /// Whether there is something at the other end of the wire (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Whether it may carry packets (`IFF_RUNNING`, RFC 2863's `ifOperStatus`).
    pub running: bool,
    /// The largest packet of layer 3, in bytes.
    pub mtu: u32,
    /// The bridge, bond or VRF that it belongs to.
    pub master: Option<u32>,
    /// The other end of a veth pair, or the device below a VLAN.
    pub lower: Option<Lower>,
    /// What it adds to packets.
    pub overlay: Option<Overlay>,
    /// The route table of a VRF device.
    pub vrf_table: Option<u32>,
    /// Megabits a second, where the driver of a card or bond tells.
    pub speed_mbps: Option<u32>,
}

/// The device that another one is joined to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lower {
    /// Its number there.
    pub index: u32,
    /// The other namespace, by the number that it has in this one; none for this one.
    pub namespace: Option<i32>,
}

/// What a device adds to packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// An IEEE 802.1Q tag with this VLAN.
    Vlan(u16),
    /// A VXLAN header (RFC 7348).
    Vxlan {
        /// The network's number.
        vni: u32,
        /// The outer source address.
        local: Option<IpAddr>,
        /// The outer destination, or multicast group, of what is not learnt.
        remote: Option<IpAddr>,
        /// The outer UDP port.
        port: u16,
    },
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The device.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix_len: u8,
    /// The other end's address on a point-to-point link.
    pub peer: Option<IpAddr>,
    /// `rt_scope_t`.
    pub scope: u8,
    /// Whether another address of the prefix comes first (`IFA_F_SECONDARY`, IPv4).
    pub secondary: bool,
    /// Who set it (`IFA_PROTO`, Linux 5.18); 0 where that is not known.
    pub protocol: u8,
}

pub(super) type AddressKey = (u32, IpAddr, u8, Option<IpAddr>);

impl Address {
    pub(super) fn key(&self) -> AddressKey {
        (self.index, self.address, self.prefix_len, self.peer)
    }
}

/// A neighbour: which link-layer address answers for an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The device that leads to it.
    pub index: u32,
    /// Its IP address.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// How much that can be relied on.
    pub state: NeighbourState,
}

pub(super) type NeighbourKey = (u32, IpAddr);

impl Neighbour {
    pub(super) fn key(&self) -> NeighbourKey {
        (self.index, self.address)
    }
}

/// How well a neighbour is known (RFC 4861, section 7.3.2), as far as the kernel tells its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Set by hand or by a daemon; never asked for.
    Permanent,
    /// It answered lately.
    Reachable,
    /// It answered once. `DELAY` is this too: the kernel takes that step in silence.
    Stale,
    /// It is being asked again.
    Probe,
    /// It was asked for and has not answered: `INCOMPLETE`, which is entered in silence, or `FAILED`.
    Unresolved,
}

/// A next-hop object (Linux 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Its number.
    pub id: u32,
    /// Where it leads.
    pub kind: NextHopKind,
    /// Who set it: `rtm_protocol`.
    pub protocol: u8,
}

/// Where a next-hop object leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHopKind {
    /// One way.
    Leg(Leg),
    /// Several next-hop objects, with the weight of each.
    Group(Vec<(u32, u16)>),
    /// Nowhere.
    Blackhole,
}

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leg {
    /// The gateway; none where the destination is a neighbour itself.
    pub gateway: Option<IpAddr>,
    /// The device; 0 where there is none.
    pub device: u32,
    /// Its share of the flows, relative to the other legs'.
    pub weight: u16,
    /// Whether the gateway counts as a neighbour whatever its address (`RTNH_F_ONLINK`).
    pub onlink: bool,
    /// The kind of light-weight tunnel (`lwtunnel_encap_types`), 0 for none.
    pub encapsulation: u16,
}

/// A rule: which packets ask which table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The family of the packets.
    pub family: Family,
    /// Lower ones are asked first.
    pub priority: u32,
    /// What is done.
    pub action: Action,
    /// The packet's source.
    pub from: Option<IpNet>,
    /// The packet's destination.
    pub to: Option<IpNet>,
    /// The device that it came by; "lo" for those sent by this namespace.
    pub input: Option<String>,
    /// The device that its socket is bound to.
    pub output: Option<String>,
    /// The mark, and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// The class of service; 0 for any.
    pub tos: u8,
    /// The transport protocol.
    pub ip_protocol: Option<u8>,
    /// The source ports.
    pub source_port: Option<PortRange>,
    /// The destination ports.
    pub destination_port: Option<PortRange>,
    /// The users that own the socket, first and last.
    pub users: Option<(u32, u32)>,
    /// Whether the table is that of the device's VRF.
    pub l3mdev: bool,
    /// Answers with prefixes of at most this length count as none.
    pub suppress_prefix_len: Option<u32>,
    /// Whether it is for all packets but these.
    pub inverted: bool,
    /// Who set it: `rtm_protocol`.
    pub protocol: u8,
}

/// Ports from the first to the last.
pub type PortRange = (u16, u16);

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asks a table.
    Table(u32),
    /// Goes on with the rule of a priority.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Ends: `FR_ACT_BLACKHOLE`, `FR_ACT_UNREACHABLE`, `FR_ACT_PROHIBIT`.
    Refuse(u8),
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The table that it stands in.
    pub table: u32,
    /// Where it stands in the table.
    pub slot: Slot,
    /// Where it leads.
    pub path: Arc<Path>,
}

/// A place in a route table. Several routes may have the same: the first one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The destinations.
    pub prefix: IpNet,
    /// The class of service; 0 for any.
    pub tos: u8,
    /// The metric: lower ones are better.
    pub metric: u32,
}

impl Slot {
    /// The prefix's family.
    pub fn family(&self) -> Family {
        Family::of(self.prefix.addr())
    }
}

/// Where a route leads, and who says so: shared by all routes that differ in nothing else, as the
/// kernel does (`struct fib_info`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// `rtm_type`: unicast, local, blackhole …
    pub kind: u8,
    /// Who set it: `rtm_protocol`.
    pub protocol: u8,
    /// `rt_scope_t`: how far away the destination is.
    pub scope: u8,
    /// The ways, more than one for multipath; none where `next_hop` names them.
    pub legs: Vec<Leg>,
    /// The next-hop object that names the ways.
    pub next_hop: Option<u32>,
    /// The source address of packets of our own.
    pub prefer_source: Option<IpAddr>,
    /// The sources that it is for (IPv6 subtrees).
    pub from: Option<IpNet>,
    /// `RTAX_…` with their values: MTU, window …
    pub metrics: Vec<(u16, u32)>,
    /// The router's preference (RFC 4191), IPv6.
    pub preference: u8,
}

impl Path {
    /// `RTN_UNICAST`.
    pub const UNICAST: u8 = 1;
    /// `RTN_BLACKHOLE`: this type and those after it refuse packets.
    pub const BLACKHOLE: u8 = 6;
    /// `RTPROT_RA`: from a router advertisement.
    pub const BY_ADVERTISEMENT: u8 = 9;
    /// `RTAX_MTU`: the number of this metric.
    pub const MTU: u16 = 2;
    /// `RTPROT_KERNEL`: from an address, or from the kernel's own.
    pub const BY_KERNEL: u8 = 2;

    /// The largest packet, where the route names one (`RTAX_MTU`).
    pub fn mtu(&self) -> Option<u32> {
        let mtu = self.metrics.iter().find(|&&(kind, _)| kind == Self::MTU);
        mtu.map(|&(_, value)| value)
    }
}

/// What the kernel learnt of one destination, other than its route says: a path MTU (RFC 1191,
/// RFC 8201), or a better gateway (ICMP redirect, RFC 792, RFC 4861). It expires by itself, and no
/// message tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The table of the route that it is an exception of.
    pub table: u32,
    /// The one destination.
    pub destination: IpAddr,
    /// The device.
    pub device: u32,
    /// Where packets go; none where the destination is a neighbour. Other than the route's after a
    /// redirect.
    pub gateway: Option<IpAddr>,
    /// The largest packet, where one is known.
    pub mtu: Option<u32>,
}

pub(super) type ExceptionKey = (IpAddr, u32, Option<IpAddr>);

impl Exception {
    /// The destination's family.
    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// Legs of one route may each have an exception for the same destination.
    pub(super) fn key(&self) -> ExceptionKey {
        (self.destination, self.device, self.gateway)
    }
}
