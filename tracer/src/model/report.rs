//! A reading as routes: the trees, taken apart into ways.

mod shares;
mod since;
mod tree;
pub mod ways;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::connection::{Connections, Sockets, Totals};
use super::coverage::Coverage;
use super::hop::{Stage, mac_text};
use super::passing::Flows;
use super::{
    Availability, Balance, Class, Ends, Forgotten, HostStack, Losses, Names, Node, Reading, Route,
    RouteId, Segment, Service, Step,
};
use shares::Shares;
use tree::Tree;

/// All that is to be shown of a reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// For how long was traced, in nanoseconds.
    pub duration_ns: u64,
    /// The share of packets that was followed at last; counts are those of packets that were.
    pub followed: f64,
    /// The routes, those with most packets first.
    pub routes: Vec<Route>,
    /// TCP sockets of this host, by the class of what they receive and their next hop.
    pub sockets: Vec<Sockets>,
    /// What passes this host, by class and the device by which it came in.
    pub passing: Vec<Flows>,
    /// What devices carried against what was seen of it.
    pub coverage: Vec<Coverage>,
    /// What this host's own stack had to bear.
    pub host: HostStack,
    /// What was lost, by reason, and not known to belong to a route.
    pub losses: Losses,
    /// What was counted at hops that are forgotten since.
    pub forgotten: Forgotten,
    /// Hops and features with their state here.
    pub availability: Vec<Availability>,
}

impl Report {
    /// Takes a reading's trees apart.
    ///
    /// Each leaf of a tree makes a route. A packet that ended earlier, at a hop where ways part,
    /// belongs to the route that most packets took from there; so all routes of a class together
    /// have as many packets as were born. A `read` is no part of this account: it comes after the
    /// packet was delivered, and belongs to the route of that delivery.
    pub fn from_reading(reading: &Reading) -> Self {
        Self::of_classes(reading, |_| true)
    }

    /// The same of some classes alone, by their numbers: the routes, sockets and flows of others are
    /// left out, and not made.
    pub fn of_classes(reading: &Reading, is_asked: impl Fn(usize) -> bool) -> Self {
        let mut routes: Vec<(usize, Route)> = routes_of(reading, &is_asked).collect();
        routes.sort_by_key(|(_, route)| (Reverse(route.packets), route.id));
        name_ways_back(&mut routes);
        Self {
            kernel: reading.kernel.clone(),
            duration_ns: reading.duration_ns,
            followed: reading.followed,
            routes: routes.into_iter().map(|(_, route)| route).collect(),
            sockets: Sockets::of(reading, &is_asked),
            passing: Flows::of(reading, &is_asked),
            coverage: reading.coverage.clone(),
            host: reading.host.clone(),
            losses: reading.losses.clone(),
            forgotten: reading.forgotten.clone(),
            availability: reading.availability.clone(),
        }
    }

    /// All packets of all routes.
    pub fn packets(&self) -> u64 {
        self.routes
            .iter()
            .fold(0, |sum, route| sum.saturating_add(route.packets))
    }
}

/// The routes of a reading, each with its class, one after the other: on a host with very many of
/// them not all need be there at once. Which is whose way back is not told.
pub fn routes(reading: &Reading) -> impl Iterator<Item = (usize, Route)> {
    routes_of(reading, |_| true)
}

fn routes_of(
    reading: &Reading,
    is_asked: impl Fn(usize) -> bool,
) -> impl Iterator<Item = (usize, Route)> {
    let tree = Tree::of(&reading.nodes);
    let shares = Shares::of(reading);
    let sockets = totals(reading);
    let mut taken = HashSet::new();
    tree.ways().into_iter().filter_map(move |way| {
        let class = tree.class(&way);
        let of = reading.classes.get(class).filter(|_| is_asked(class))?;
        let mut route = route(reading, &tree, &way, of, &mut taken);
        route.connections = sockets.get(&class).cloned().unwrap_or_default();
        route.names = reading.names.get(&class).cloned().unwrap_or_default();
        for (step, &index) in route.steps.iter_mut().zip(&way) {
            step.leg_share = shares.at(index);
        }
        Some((class, route))
    })
}

fn route(
    reading: &Reading,
    tree: &Tree,
    way: &[usize],
    class: &Class,
    taken: &mut HashSet<RouteId>,
) -> Route {
    let nodes = || way.iter().map(|&index| &reading.nodes[index]);
    let mut ends = Ends::default();
    let mut difference = 0i128;
    for &index in way.iter().filter(|&&index| tree.accounts_here(index, way)) {
        ends.add(&reading.nodes[index].ends);
        difference += tree.difference(&reading.nodes, index);
        // What is forgotten ended on ways that have parted from here.
        if let Some(gone) = reading.forgotten.beyond.get(&index) {
            ends.add(&gone.ends);
            difference -= i128::from(gone.packets);
        }
    }
    let ended = ends.sum();
    let last = way.iter().rfind(|&&index| !tree.is_read(index));
    Route {
        id: id(class, nodes(), taken),
        class: class.clone(),
        names: Names::default(),
        way_back: None,
        packets: ended,
        steps: steps(reading, tree, way),
        total: last.map_or_else(Default::default, |&index| {
            reading.nodes[index].total.clone()
        }),
        connections: Totals::default(),
        ends,
        balance: Balance {
            came: u64::try_from((i128::from(ended) + difference).max(0)).unwrap_or(u64::MAX),
            ended,
            difference: difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
        },
    }
}

/// What was seen at both ends of each class, as far as these are on this host.
fn totals(reading: &Reading) -> HashMap<usize, Totals> {
    let mut seen = HashMap::<usize, Vec<&Connections>>::new();
    for connections in &reading.connections {
        seen.entry(connections.class).or_default().push(connections);
    }
    let classes = reading.classes.iter().enumerate();
    classes
        .filter_map(|(class, of)| {
            let ends = [Some(class), of.way_back.filter(|&it| it != class)];
            let ends = ends.into_iter().flatten();
            let mut both = ends.filter_map(|it| seen.get(&it)).flatten().peekable();
            both.peek()?;
            Some((class, Totals::of(both.copied())))
        })
        .collect()
}

fn steps(reading: &Reading, tree: &Tree, way: &[usize]) -> Vec<Step> {
    let nodes = &reading.nodes;
    let mean = |index: usize| {
        let latency = &nodes[index].latency;
        latency.sum_ns() as f64 / latency.count().max(1) as f64
    };
    let segment = |index: usize| {
        let before = &nodes[tree.parent(index)?];
        let all: f64 = way
            .iter()
            .filter(|&&index| tree.parent(index).is_some())
            .map(|&index| mean(index))
            .sum();
        Some(Segment {
            name: segment_name(before.hop.stage, nodes[index].hop.stage),
            latency: nodes[index].latency.clone(),
            share: if all > 0.0 { mean(index) / all } else { 0.0 },
        })
    };
    way.iter()
        .map(|&index| {
            let node = &nodes[index];
            Step {
                hop: node.hop.clone(),
                translated: node.translated,
                forwarding: reading.forwarding.get(&index).cloned(),
                leg_share: None,
                packets: node.packets,
                born: node.born,
                bytes: node.bytes,
                ways: tree.leaves_below(index),
                ends: node.ends.clone(),
                segment: segment(index),
            }
        })
        .collect()
}

/// A segment's name in every output.
pub fn segment_name(from: Stage, to: Stage) -> String {
    format!("{}→{}", from.name(), to.name())
}

/// The hash of what is the same in each run: names, not the numbers that the kernel gives.
///
/// Ways that differ in such numbers only get names of their own, by their order in the reading.
fn id<'a>(
    class: &Class,
    nodes: impl Iterator<Item = &'a Node>,
    taken: &mut HashSet<RouteId>,
) -> RouteId {
    let mut description = class_key(class);
    for Node { hop, .. } in nodes {
        let fields = [
            hop.namespace.name.as_str(),
            &hop.device,
            hop.stage.name(),
            &hop.next_hop_mac.map(mac_text).unwrap_or_default(),
        ];
        description += "\n";
        description += &fields.join("\t");
    }
    let mut id = RouteId::of(&description);
    while !taken.insert(id) {
        description += "\nagain";
        id = RouteId::of(&description);
    }
    id
}

/// A text that is the same for the same class in each run.
pub fn class_key(class: &Class) -> String {
    let service = match class.service {
        None => String::new(),
        Some(Service::Destination(port)) => format!("to {port}"),
        Some(Service::Source(port)) => format!("from {port}"),
    };
    [
        class.source.to_string(),
        class.destination.to_string(),
        class.protocol.name().to_owned(),
        service,
    ]
    .join("\t")
}

/// Routes come with most packets first, so the first of a class is its busiest.
fn name_ways_back(routes: &mut [(usize, Route)]) {
    let mut busiest = std::collections::HashMap::new();
    for (class, route) in routes.iter() {
        busiest.entry(*class).or_insert(route.id);
    }
    for (_, route) in routes {
        route.way_back = route
            .class
            .way_back
            .and_then(|class| busiest.get(&class).copied());
    }
}

#[cfg(test)]
mod tests;
