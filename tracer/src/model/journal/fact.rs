//! What a fact is called, and how it is written: as iproute2 writes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Kind;
use crate::model::hop::mac_text;
use crate::model::network::{
    Action, Exception, Fact, Leg, Link, NeighbourState, NextHopKind, Path, Route, Rule, names,
};

/// What a fact is about, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Its kind.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
}

/// The names of devices, by number.
type Devices = BTreeMap<u32, String>;

/// What a fact is about.
pub fn subject(fact: &Fact, devices: &Devices) -> Subject {
    let (kind, name) = match fact {
        Fact::Link(link) => (Kind::Link, link.name.clone()),
        Fact::Address(it) => {
            let device = device(it.index, devices);
            let name = format!("{}/{} dev {device}", it.address, it.prefix_len);
            (Kind::Address, name)
        }
        Fact::Neighbour(it) => {
            let name = format!("{} dev {}", it.address, device(it.index, devices));
            (Kind::Neighbour, name)
        }
        Fact::NextHop(it) => (Kind::NextHop, format!("id {}", it.id)),
        Fact::Rule(rule) => (Kind::Rule, rule_text(rule)),
        Fact::Route(route) => (Kind::Route, route_name(route)),
        Fact::Exception(it) => (Kind::Exception, exception_name(it, devices)),
    };
    Subject { kind, name }
}

/// A route's place: `10.2.0.0/16 table main metric 100`.
fn route_name(route: &Route) -> String {
    place(
        &route.slot.prefix.to_string(),
        route.table,
        route.slot.tos,
        route.slot.metric,
    )
}

/// As `ip route show cache` writes it: `10.2.3.4 via 10.0.9.1 dev eth0 table main`.
fn exception_name(exception: &Exception, devices: &Devices) -> String {
    let gateway = exception.gateway.map(|gateway| format!(" via {gateway}"));
    format!(
        "{}{} dev {} table {}",
        exception.destination,
        gateway.unwrap_or_default(),
        device(exception.device, devices),
        names::table(exception.table)
    )
}

/// The place of a route in a table, by its parts.
pub(super) fn place(prefix: &str, table: u32, tos: u8, metric: u32) -> String {
    let mut name = format!("{prefix} table {}", names::table(table));
    if tos != 0 {
        let _ = write!(name, " tos {tos:#x}");
    }
    if metric != 0 {
        let _ = write!(name, " metric {metric}");
    }
    name
}

/// A fact's state.
pub fn text(fact: &Fact, devices: &Devices) -> String {
    match fact {
        Fact::Link(link) => link_text(link, devices),
        Fact::Address(it) => {
            let peer = it.peer.map(|peer| format!(" peer {peer}"));
            let name = subject(fact, devices).name;
            format!(
                "{name}{} scope {}",
                peer.unwrap_or_default(),
                names::scope(it.scope)
            )
        }
        Fact::Neighbour(it) => {
            let mac = it
                .mac
                .map_or_else(String::new, |mac| format!(" lladdr {}", mac_text(mac)));
            let state = match it.state {
                NeighbourState::Permanent => " PERMANENT",
                NeighbourState::Unresolved => " FAILED",
                NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Probe => "",
            };
            format!("{}{mac}{state}", subject(fact, devices).name)
        }
        Fact::NextHop(it) => {
            let to = match &it.kind {
                NextHopKind::Leg(leg) => leg_text(leg, devices),
                NextHopKind::Group(members) => {
                    let members = members.iter().map(|(id, weight)| format!("{id},{weight}"));
                    format!(" group {}", members.collect::<Vec<_>>().join("/"))
                }
                NextHopKind::Blackhole => " blackhole".to_owned(),
            };
            format!("id {}{to} proto {}", it.id, names::protocol(it.protocol))
        }
        Fact::Rule(rule) => rule_text(rule),
        Fact::Route(route) => format!("{}{}", route_name(route), path_text(&route.path, devices)),
        Fact::Exception(it) => {
            let mtu = it.mtu.map(|mtu| format!(" mtu {mtu}"));
            let name = exception_name(it, devices);
            format!("{name} cache{}", mtu.unwrap_or_default())
        }
    }
}

fn device(index: u32, devices: &Devices) -> String {
    let name = devices.get(&index).cloned();
    name.unwrap_or_else(|| format!("if{index}"))
}

fn link_text(link: &Link, devices: &Devices) -> String {
    let mut words = vec![link.name.clone()];
    words.push(if link.up { "up" } else { "down" }.to_owned());
    if link.up && !link.carrier {
        words.push("no-carrier".to_owned());
    }
    words.push(format!("mtu {}", link.mtu));
    words.extend(link.mac.map(|mac| format!("address {}", mac_text(mac))));
    words.extend(
        link.master
            .map(|master| format!("master {}", device(master, devices))),
    );
    words.join(" ")
}

fn leg_text(leg: &Leg, devices: &Devices) -> String {
    let mut text = String::new();
    if let Some(gateway) = leg.gateway {
        let _ = write!(text, " via {gateway}");
    }
    if leg.device != 0 {
        let _ = write!(text, " dev {}", device(leg.device, devices));
    }
    if leg.onlink {
        text += " onlink";
    }
    text
}

fn path_text(path: &Path, devices: &Devices) -> String {
    let mut text = String::new();
    if path.kind != Path::UNICAST {
        let _ = write!(text, " {}", names::route_type(path.kind));
    }
    if let Some(id) = path.next_hop {
        let _ = write!(text, " nhid {id}");
    }
    match path.legs.as_slice() {
        [leg] => text += &leg_text(leg, devices),
        legs => {
            for leg in legs {
                let _ = write!(
                    text,
                    " nexthop{} weight {}",
                    leg_text(leg, devices),
                    leg.weight
                );
            }
        }
    }
    let _ = write!(text, " proto {}", names::protocol(path.protocol));
    if let Some(source) = path.prefer_source {
        let _ = write!(text, " src {source}");
    }
    if let Some(from) = path.from {
        let _ = write!(text, " from {from}");
    }
    if let Some(mtu) = path.mtu() {
        let _ = write!(text, " mtu {mtu}");
    }
    text
}

fn rule_text(rule: &Rule) -> String {
    let mut text = format!("{}:", rule.priority);
    if rule.inverted {
        text += " not";
    }
    let _ = write!(
        text,
        " from {}",
        rule.from.map_or("all".to_owned(), |it| it.to_string())
    );
    let known = [
        rule.to.map(|to| format!("to {to}")),
        rule.input.as_ref().map(|input| format!("iif {input}")),
        rule.output.as_ref().map(|output| format!("oif {output}")),
        rule.mark
            .map(|(mark, mask)| format!("fwmark {mark:#x}/{mask:#x}")),
        (rule.tos != 0).then(|| format!("tos {:#x}", rule.tos)),
        rule.ip_protocol.map(|number| format!("ipproto {number}")),
        rule.source_port
            .map(|(first, last)| format!("sport {first}-{last}")),
        rule.destination_port
            .map(|(first, last)| format!("dport {first}-{last}")),
        rule.users
            .map(|(first, last)| format!("uidrange {first}-{last}")),
        rule.suppress_prefix_len
            .map(|len| format!("suppress_prefixlength {len}")),
    ];
    for word in known.into_iter().flatten() {
        let _ = write!(text, " {word}");
    }
    let action = match rule.action {
        _ if rule.l3mdev => " lookup [l3mdev-table]".to_owned(),
        Action::Table(table) => format!(" lookup {}", names::table(table)),
        Action::Goto(priority) => format!(" goto {priority}"),
        Action::Nop => " nop".to_owned(),
        Action::Refuse(kind) => format!(" {}", names::route_type(kind)),
    };
    text += &action;
    text
}
