//! A route from its first hop to its last, grouped by device.

use super::row::{Columns, Row};
use super::{account, class};
use crate::model::forwarding::{FibEntry, Peer, Role};
use crate::model::hop::{Stage, mac_text};
use crate::model::journal::Who;
use crate::model::network::names;
use crate::model::{Hop, Route, Step, Tuple};
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::units;

/// The priority of the rule for the main table, which everyone has.
const MAIN_RULE: u32 = 32_766;

/// The `number`th of a class's routes.
pub(super) fn text(route: &Route, number: usize, routes: &[&Route], look: Look) -> String {
    let rows: Vec<Row<'_>> = route.steps.iter().map(|step| row(route, step)).collect();
    let total = total(route);
    let columns = Columns::for_rows(rows.iter().chain([&total]), look);
    let mut text = heading(route, number, routes, look);
    text += &columns.heading(look);
    let mut before: Option<&Step> = None;
    for (step, row) in route.steps.iter().zip(&rows) {
        text += &arrival(before, step, look);
        text += &columns.row(row, look);
        text += &notes(step, look);
        before = Some(step);
    }
    text += &columns.row(&total, look);
    text += &account::balance(route, look);
    text
}

fn heading(route: &Route, number: usize, routes: &[&Route], look: Look) -> String {
    let room = look.width.saturating_sub(2);
    let (class, who) = class::heading_with(&route.class, &route.names, room);
    let mut packets = units::counted(route.packets, "packet");
    if routes.len() > 1 {
        let all: u64 = routes
            .iter()
            .fold(0, |sum, it| sum.saturating_add(it.packets));
        let share = route.packets as f64 / all.max(1) as f64;
        packets = format!(
            "way {number} of {} · {packets}, {}",
            routes.len(),
            units::share(share)
        );
    }
    let line = fit::apart(&class, &packets, look.width);
    let heading: Vec<String> = line
        .lines()
        .map(|line| look.paint(Ink::Heading, line) + "\n")
        .collect();
    let back = route
        .way_back
        .map_or_else(String::new, |id| format!(", answers by {id}"));
    let id = format!("route {}{back}", route.id);
    let who = who.map_or_else(String::new, |who| {
        look.paint(Ink::Faint, &fit::wrap(&who, look.width, 2)) + "\n"
    });
    heading.concat() + &who + &look.paint(Ink::Faint, &fit::wrap(&id, look.width, 2)) + "\n"
}

fn row<'a>(route: &'a Route, step: &'a Step) -> Row<'a> {
    let Some(segment) = &step.segment else {
        return Row {
            branch: "  │ ",
            name: step.hop.stage.name().to_owned(),
            count: step.packets.saturating_add(step.born),
            latency: None,
            share: None,
            slowest: false,
        };
    };
    let slowest = route
        .slowest()
        .is_some_and(|slowest| std::ptr::eq(slowest, segment));
    Row {
        branch: if slowest { "  ┃ " } else { "  │ " },
        name: segment.name.clone(),
        count: segment.latency.count(),
        latency: Some(&segment.latency),
        share: Some(segment.share),
        slowest,
    }
}

fn total(route: &Route) -> Row<'_> {
    Row {
        branch: "  ■ ",
        name: "total".to_owned(),
        count: route.total.count(),
        latency: Some(&route.total),
        share: None,
        slowest: false,
    }
}

/// What stands between two hops: that ways part, whom a frame was sent to, a new device.
fn arrival(before: Option<&Step>, step: &Step, look: Look) -> String {
    let mut text = String::new();
    if let Some(before) = before.filter(|before| before.ways > step.ways) {
        let line = format!(
            "  ┝ {} ways part here; above are the numbers of all",
            before.ways
        );
        text += &look.paint(Ink::Unsure, &fit::wrap(&line, look.width, 4));
        text.push('\n');
    }
    if before.is_none_or(|before| !same_device(&before.hop, &step.hop)) {
        text += &device_line(&step.hop, look);
    }
    text
}

fn same_device(one: &Hop, other: &Hop) -> bool {
    one.namespace == other.namespace && one.device == other.device
}

/// A device's line, above its hops.
pub(in crate::sink) fn device_line(hop: &Hop, look: Look) -> String {
    let kind = match hop.kind.as_str() {
        "" => String::new(),
        kind => format!(" ({})", fit::name(kind, 15)),
    };
    let device = fit::name(&hop.device, 15);
    let taken = "  ●  ".len() + fit::width(&device) + fit::width(&kind);
    let namespace = fit::name(&hop.namespace.name, look.width.saturating_sub(taken).max(8));
    let names = look.paint(Ink::Heading, &format!("{namespace} {device}"));
    format!("  ● {names}{}\n", look.paint(Ink::Faint, &kind))
}

/// What happened at a hop besides passing on.
fn notes(step: &Step, look: Look) -> String {
    let mut lines = Vec::new();
    if let Some(tuple) = &step.translated {
        lines.push((Ink::Faint, format!("⇄ now {}", addresses(tuple))));
    }
    lines.extend(account::at_hop(step, look));
    let text: String = lines
        .into_iter()
        .map(|(ink, line)| {
            let line = fit::wrap(&line, look.width.saturating_sub(4), 2);
            let lines = line
                .lines()
                .map(|line| format!("  │ {}\n", look.paint(ink, line)));
            lines.collect::<String>()
        })
        .collect();
    text + &sent_on(step, look)
}

/// Whom frames were sent to, and by which entry of the FIB.
fn sent_on(step: &Step, look: Look) -> String {
    let forwarding = step.forwarding.as_ref();
    let entry = forwarding.and_then(|it| it.entry.as_ref());
    let mac = step.hop.next_hop_mac;
    let mut text = String::new();
    if let Some(mac) = mac.filter(|_| step.hop.stage == Stage::Xmit) {
        let peer = forwarding.and_then(|it| it.next_hop.as_ref());
        let line = format!("▼ to {}", named(mac_text(mac), peer));
        text += &faint(&line, look);
    }
    if let Some(entry) = entry {
        text += &faint(&format!("  by {}", by(entry, step.leg_share)), look);
    }
    text
}

fn faint(line: &str, look: Look) -> String {
    let line = fit::wrap(line, look.width.saturating_sub(2), 4);
    let lines = line
        .lines()
        .map(|line| look.paint(Ink::Faint, &format!("  {line}")) + "\n");
    lines.collect()
}

fn named(mac: String, peer: Option<&Peer>) -> String {
    let Some(peer) = peer else {
        return mac;
    };
    let role = match peer.role {
        None => String::new(),
        Some(Role::Vrrp(id)) => format!(", VRRP {id}"),
        Some(Role::Hsrp(group)) => format!(", HSRP {group}"),
        Some(Role::CalicoHost) => ", Calico's host".to_owned(),
    };
    match peer.addresses.as_slice() {
        [] => format!("{mac}{role}"),
        [first] => format!("{first} ({mac}{role})"),
        [first, others @ ..] => {
            let more = units::count(others.len() as u64);
            format!("{first} ({mac}{role}, {more} more)")
        }
    }
}

/// `10.2.0.0/16 via 10.0.9.1, table main, static, metric 100, leg 1 of 3 (33 %)`
fn by(entry: &FibEntry, share: Option<f64>) -> String {
    let gateway = entry.gateway.map(|gateway| format!(" via {gateway}"));
    let mut said = vec![
        format!("{}{}", entry.prefix, gateway.unwrap_or_default()),
        format!("table {}", names::table(entry.table)),
        names::protocol(entry.protocol),
    ];
    let known = [
        (entry.mark != 0).then(|| format!("mark {:#x}", entry.mark)),
        entry
            .rule
            .filter(|&priority| ![0, MAIN_RULE].contains(&priority))
            .map(|priority| format!("rule {priority}")),
        (entry.metric != 0).then(|| format!("metric {}", entry.metric)),
        entry.mtu.map(|mtu| format!("mtu {mtu}")),
        entry.path_mtu.map(|mtu| format!("path mtu {mtu}")),
        entry
            .redirect
            .map(|gateway| format!("redirected to {gateway}")),
        (entry.legs > 1).then(|| leg(entry, share)),
        entry.age.map(|age| format!("{age} old")),
        entry
            .set_by
            .as_ref()
            .filter(|who| **who != Who::Unknown)
            .map(|who| format!("set by {who}")),
    ];
    said.extend(known.into_iter().flatten());
    said.join(", ")
}

fn leg(entry: &FibEntry, share: Option<f64>) -> String {
    let share = share.map_or_else(String::new, |share| format!(" ({})", units::share(share)));
    format!("leg {} of {}{share}", entry.leg, entry.legs)
}

fn addresses(tuple: &Tuple) -> String {
    let end = |address, port| std::net::SocketAddr::new(address, port).to_string();
    format!(
        "{} → {}",
        end(tuple.source, tuple.source_port),
        end(tuple.destination, tuple.destination_port)
    )
}
