//! Whose a route is: the live one joined with the configurations that ask for routes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::journal::known::Row;
use super::journal::{self, Age, Moment, Who};
use super::network::{Address, Fact, Leg, Network, Path, Route};

/// What keeps routes in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// `/etc/netplan`, which has networkd or `NetworkManager` do it.
    Netplan,
    /// systemd-networkd's `.network` files.
    Networkd,
    /// `NetworkManager`'s keyfiles.
    NetworkManager,
    /// `/etc/network/interfaces`.
    Ifupdown,
    /// FRR's `frr.conf`.
    Frr,
    /// BIRD's `bird.conf`.
    Bird,
    /// A lease that a DHCP client wrote.
    Dhcp,
    /// A container network's configuration (CNI), which is applied in containers' namespaces.
    Cni,
}

impl Manager {
    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Netplan => "netplan",
            Self::Networkd => "networkd",
            Self::NetworkManager => "NetworkManager",
            Self::Ifupdown => "ifupdown",
            Self::Frr => "FRR",
            Self::Bird => "BIRD",
            Self::Dhcp => "DHCP lease",
            Self::Cni => "CNI",
        }
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whose file it is.
    pub manager: Manager,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// A route that a file asks for. What it does not say may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Where.
    pub place: Place,
    /// The destinations.
    pub prefix: IpNet,
    /// The gateways: more than one for ECMP; none for a route without.
    pub gateways: Vec<IpAddr>,
    /// The device's name.
    pub device: Option<String>,
    /// The metric.
    pub metric: Option<u32>,
    /// The table; main where the file does not say.
    pub table: u32,
}

/// The number of the table that routes stand in where nothing else is said.
pub const MAIN: u32 = 254;

/// A routing protocol that a daemon's file runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Where.
    pub place: Place,
    /// `rtm_protocol` of the routes that it sets.
    pub protocol: u8,
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; none where it is the whole file.
    pub line: Option<usize>,
    /// Why not.
    pub because: String,
}

/// All that files ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The routes.
    pub routes: Vec<Declared>,
    /// The routing protocols.
    pub daemons: Vec<Daemon>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// All that is to be shown of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The prefix or address that was asked for.
    pub target: String,
    /// Its live routes.
    pub routes: Vec<Blamed>,
    /// What the kernel says to a packet that has none.
    pub refused: Option<String>,
    /// Routes that files ask for, where the kernel has none to these destinations.
    pub unapplied: Vec<Declared>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A live route, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The route.
    pub route: Route,
    /// Its ways, by gateway and device.
    pub ways: Vec<(Option<IpAddr>, String)>,
    /// Whose it is.
    pub owner: Owner,
    /// How old it is, and who set it.
    pub history: History,
    /// What files say of the same destinations, and what the kernel has not.
    pub unapplied: Vec<Declared>,
}

/// What the journal knows of a live route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// It is as it is for so long.
    Known {
        /// How long.
        age: Age,
        /// Who made it so.
        who: Who,
        /// When the journal was written last, where no agent runs that goes on with it.
        until: Option<Moment>,
    },
    /// Nothing, for this reason.
    Unknown(String),
}

impl History {
    /// What a row of the journal says of a route that is in this state now. A row of another state is
    /// of another route: one that was there before, or beside it.
    pub fn of(row: Option<&Row>, state: &str, now: Moment, until: Option<Moment>) -> Self {
        match row {
            None => Self::Unknown("the journal does not know the route".to_owned()),
            Some(row) if row.state != state => {
                Self::Unknown(format!("the journal knows it otherwise: {}", row.state))
            }
            Some(row) => Self::Known {
                age: row.since.age(now),
                who: row.who.clone(),
                until,
            },
        }
    }
}

/// What the journal calls a live route, and the state that it is in, as it writes it.
pub fn in_journal(network: &Network, route: &Route) -> (journal::Subject, String) {
    let links = network.links();
    let devices = links.map(|link| (link.index, link.name.clone())).collect();
    // A look-up answers with less than a dump.
    let all = network.routes();
    let mut same = all.filter(|it| it.table == route.table && it.slot == route.slot);
    let first = same.next().filter(|_| same.next().is_none());
    let fact = Fact::Route(first.unwrap_or_else(|| route.clone()));
    (
        journal::subject(&fact, &devices),
        journal::text(&fact, &devices),
    )
}

/// Whose a route is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// These lines ask for it.
    Configured(Vec<Place>),
    /// A routing daemon found it; its protocol is run by these lines, where they were found.
    Daemon(Vec<Place>),
    /// The kernel made it with an address of the device, where that still is there.
    Kernel(Option<Address>),
    /// A router advertised it (RFC 4861).
    Advertised,
    /// It is from a DHCP lease (`RTPROT_DHCP`), and no lease that was found says so.
    Leased,
    /// No file asks for it: it is in the kernel's memory alone.
    Nobody,
    /// No file that could be read asks for it, and some could not be read.
    Unknown,
}

/// `RTPROT_DHCP`.
const BY_DHCP: u8 = 16;
/// `RTPROT_REDIRECT`: an ICMP redirect.
const BY_REDIRECT: u8 = 1;

/// Protocols of routes that people and their tools set, which no daemon finds.
const BY_HAND: [u8; 3] = [0, 3, 4];

/// Says whose routes are.
pub fn blame(network: &Network, routes: Vec<Route>, configured: &Configured) -> Vec<Blamed> {
    let live: Vec<(Route, Vec<Leg>)> = routes
        .into_iter()
        .map(|route| {
            let legs = network.legs(&route.path);
            (route, legs)
        })
        .collect();
    let is_live = |declared: &Declared| {
        let mut live = live.iter();
        live.any(|(route, legs)| agrees(network, route, legs, declared))
    };
    let blamed = live.iter().map(|(route, legs)| Blamed {
        ways: legs
            .iter()
            .map(|leg| (leg.gateway, device(network, leg)))
            .collect(),
        owner: owner(network, route, legs, configured),
        history: History::Unknown("no journal was asked".to_owned()),
        unapplied: configured
            .routes
            .iter()
            .filter(|it| it.prefix == route.slot.prefix && it.table == route.table)
            .filter(|it| is_to_be_here(it) && !is_live(it))
            .cloned()
            .collect(),
        route: route.clone(),
    });
    blamed.collect()
}

/// What files say of destinations that the kernel has no route of.
pub fn unapplied(
    network: &Network,
    configured: &Configured,
    concerns: impl Fn(&IpNet) -> bool,
) -> Vec<Declared> {
    let is_there = |declared: &&Declared| {
        let table = network.table(
            super::network::Family::of(declared.prefix.addr()),
            declared.table,
        );
        table.is_some_and(|table| {
            table
                .routes(declared.table)
                .any(|route| route.slot.prefix == declared.prefix)
        })
    };
    let declared = configured.routes.iter();
    declared
        .filter(|it| concerns(&it.prefix) && is_to_be_here(it))
        .filter(|it| !is_there(it))
        .cloned()
        .collect()
}

/// Whether a route that a file asks for is missed where it is not: those of containers are elsewhere,
/// and leases that outlive a boot may be over.
fn is_to_be_here(declared: &Declared) -> bool {
    let Place { manager, file, .. } = &declared.place;
    match manager {
        Manager::Cni => false,
        Manager::Dhcp => file.starts_with("/run/"),
        _ => true,
    }
}

fn owner(network: &Network, route: &Route, legs: &[Leg], configured: &Configured) -> Owner {
    let declared = configured.routes.iter();
    let mut places: Vec<Place> = declared
        .filter(|it| agrees(network, route, legs, it))
        .map(|it| it.place.clone())
        .collect();
    places.sort();
    places.dedup();
    if !places.is_empty() {
        return Owner::Configured(places);
    }
    let protocol = route.path.protocol;
    match protocol {
        Path::BY_KERNEL => Owner::Kernel(address(network, route, legs)),
        Path::BY_ADVERTISEMENT => Owner::Advertised,
        BY_DHCP => Owner::Leased,
        BY_REDIRECT => Owner::Nobody,
        by_hand if BY_HAND.contains(&by_hand) && configured.problems.is_empty() => Owner::Nobody,
        by_hand if BY_HAND.contains(&by_hand) => Owner::Unknown,
        _ => {
            let daemons = configured.daemons.iter();
            let daemons = daemons.filter(|it| it.protocol == protocol);
            Owner::Daemon(daemons.map(|it| it.place.clone()).collect())
        }
    }
}

/// Whether a live route is what a file asks for.
fn agrees(network: &Network, route: &Route, legs: &[Leg], declared: &Declared) -> bool {
    let mut live: Vec<IpAddr> = legs.iter().filter_map(|leg| leg.gateway).collect();
    let mut said = declared.gateways.clone();
    live.sort();
    said.sort();
    let is_device = |name: &String| legs.iter().any(|leg| device(network, leg) == *name);
    declared.prefix == route.slot.prefix
        && declared.table == route.table
        && live == said
        && declared.metric.is_none_or(|it| it == route.slot.metric)
        && declared.device.as_ref().is_none_or(is_device)
}

fn device(network: &Network, leg: &Leg) -> String {
    let link = network.link(leg.device);
    link.map_or_else(|| format!("if{}", leg.device), |link| link.name.clone())
}

/// The address that a route of the kernel's comes from.
fn address(network: &Network, route: &Route, legs: &[Leg]) -> Option<Address> {
    let device = legs.first()?.device;
    let source = route.path.prefer_source;
    let mut addresses = network.addresses().filter(|it| it.index == device);
    let fits = |it: &&Address| {
        source.is_none_or(|source| source == it.address)
            && (route.slot.prefix.contains(&it.address) || it.peer.is_some())
    };
    addresses.find(fits).cloned()
}
