//! Where a stream is: what it is called, and what it shares with others.

use crate::detect::{Direction, Finding, Tier};
use crate::model::connection::Connections;
use crate::model::hop::{Stage, mac_text};
use crate::model::incident::Part;
use crate::model::report::{class_key, segment_name};
use crate::model::{Class, End, Node, Parent, Reading, RouteId, Service};

use super::counters::Measured;

/// Where a finding was made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What was measured.
    pub(super) measure: &'static str,
    /// Where, for people.
    pub(super) name: String,
    /// Whose packets, for people.
    pub(super) class: String,
    /// What others may share with it, with names.
    pub(super) parts: Vec<(Part, String)>,
}

/// Whether a finding says that something got worse.
pub(super) fn is_worse(finding: &Finding) -> bool {
    finding.direction == Direction::Up && finding.tier >= Tier::Warn
}

/// Whom a class's exchanges are with: the side of the service.
pub(super) fn component(class: &Class) -> String {
    let end: &End = match class.service {
        Some(Service::Source(_)) => &class.source,
        _ => &class.destination,
    };
    match class.service {
        Some(service) => format!("{end} {} {}", class.protocol.name(), service.port()),
        None => format!("{end} {}", class.protocol.name()),
    }
}

/// Who talks to whom.
pub(super) fn class_name(class: &Class) -> String {
    let port = match class.service {
        None => String::new(),
        Some(Service::Destination(port)) => format!(" to port {port}"),
        Some(Service::Source(port)) => format!(" from port {port}"),
    };
    let protocol = class.protocol.name();
    format!("{} → {} {protocol}{port}", class.source, class.destination)
}

/// What a node's stream is called: its class and the hops to it, by names that outlive a restart.
pub(super) fn node_name(reading: &Reading, index: usize) -> String {
    let mut hops = Vec::new();
    let class = walk(reading, index, |_, node| {
        let hop = &node.hop;
        let macs = [hop.next_hop_mac, hop.previous_hop_mac];
        let macs = macs.map(|mac| mac.map(mac_text).unwrap_or_default());
        let [next, previous] = macs;
        let place = (&hop.namespace.name, &hop.device, hop.stage.name());
        hops.push(format!(
            "{}/{}/{}/{next}/{previous}",
            place.0, place.1, place.2
        ));
    });
    let class = class.and_then(|it| reading.classes.get(it)).map(class_key);
    format!("{}\n{}", class.unwrap_or_default(), hops.join("\n"))
}

/// What a stream of sockets is called.
pub(super) fn sockets_name(class: &Class, at: &Connections, measured: Measured) -> String {
    let next_hop = at.next_hop.map(|it| it.to_string()).unwrap_or_default();
    let (namespace, device) = (&at.namespace.name, &at.device);
    let measure = measured.name();
    format!(
        "{}\n{namespace}/{device}/{next_hop}\n{measure}",
        class_key(class)
    )
}

/// Goes from a node up to its class, which is returned.
fn walk<'a>(
    reading: &'a Reading,
    index: usize,
    mut each: impl FnMut(usize, &'a Node),
) -> Option<usize> {
    let mut at = index;
    loop {
        let node = reading.nodes.get(at)?;
        each(at, node);
        match node.parent {
            Parent::Class(class) => return Some(class),
            // A parent stands before its children.
            Parent::Node(parent) if parent < at => at = parent,
            Parent::Node(_) => return None,
        }
    }
}

/// Whether a segment that ends at a stage is a way out of a namespace and into another: a wire.
pub(super) fn is_wire(stage: Stage) -> bool {
    stage == Stage::Rx
}

fn id(words: &[&str]) -> u64 {
    RouteId::of(&words.join("\t")).number()
}

fn component_part(class: &Class) -> (Part, String) {
    let component = component(class);
    (Part::Component(id(&["component", &component])), component)
}

fn next_hop_part(next_hop: &str) -> (Part, String) {
    let part = Part::NextHop(id(&["next hop", next_hop]));
    (part, format!("next hop {next_hop}"))
}

impl Place {
    pub(super) fn of_node(reading: &Reading, index: usize) -> Option<Self> {
        let node = reading.nodes.get(index)?;
        let mut next_hop = None;
        let class = walk(reading, index, |at, node| {
            if next_hop.is_none() && node.hop.next_hop_mac.is_some() {
                next_hop = Some(next_hop_name(reading, at, node));
            }
        });
        let class = reading.classes.get(class?)?;
        let hop = &node.hop;
        let (namespace, device, stage) = (&*hop.namespace.name, &*hop.device, hop.stage.name());
        let segment = match node.parent {
            Parent::Node(parent) => segment_name(reading.nodes.get(parent)?.hop.stage, hop.stage),
            Parent::Class(_) => stage.to_owned(),
        };
        let name = format!("{segment} at {namespace}/{device}");
        let mut parts = vec![
            (Part::Hop(id(&[namespace, device, stage])), name.clone()),
            (
                Part::Device(id(&[namespace, device])),
                format!("device {namespace}/{device}"),
            ),
            component_part(class),
        ];
        parts.extend(next_hop.as_deref().map(next_hop_part));
        if !is_wire(hop.stage) && !matches!(node.parent, Parent::Class(_)) {
            parts.push((Part::Host, "this host's stack".to_owned()));
        }
        Some(Self {
            measure: "latency",
            name,
            class: class_name(class),
            parts,
        })
    }

    pub(super) fn of_sockets(
        reading: &Reading,
        at: &Connections,
        measured: Measured,
    ) -> Option<Self> {
        let class = reading.classes.get(at.class)?;
        let (namespace, device) = (&*at.namespace.name, &*at.device);
        let next_hop = at.next_hop.map(|it| it.to_string());
        let by = next_hop
            .as_deref()
            .map_or_else(String::new, |it| format!(" by {it}"));
        let mut parts = vec![component_part(class)];
        if measured != Measured::Waiting && measured != Measured::Peer {
            // What the peer or the application does is not the device's.
            parts.push((
                Part::Device(id(&[namespace, device])),
                format!("device {namespace}/{device}"),
            ));
            parts.extend(next_hop.as_deref().map(next_hop_part));
        }
        Some(Self {
            measure: measured.name(),
            name: format!("sockets of {namespace}/{device}{by}"),
            class: class_name(class),
            parts,
        })
    }
}

/// Its address, where that is known: sockets know a next hop by that alone.
fn next_hop_name(reading: &Reading, index: usize, node: &Node) -> String {
    let known = reading.forwarding.get(&index);
    let gateway = known.and_then(|it| it.entry.as_ref()?.gateway);
    let peer = known.and_then(|it| it.next_hop.as_ref()?.addresses.first().copied());
    let mac = node.hop.next_hop_mac.map(mac_text).unwrap_or_default();
    gateway.or(peer).map_or(mac, |address| address.to_string())
}
