//! What was seen of packets on their way: round trips to the end that they come from, and trouble.

use std::fmt::Write;

use super::class;
use super::sockets::spread;
use crate::model::connection::{Phase, Sight};
use crate::model::passing::{Flows, Passing};
use crate::model::report::class_key;
use crate::model::{Report, Route};
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::units;

/// Times in the order in which they are told, with their names.
const TIMES: [(Phase, &str); 3] = [
    (Phase::Handshake, "handshake"),
    (Phase::Rtt, "round trip"),
    (Phase::RttWithData, "round trip or more"),
];

/// What went wrong, with its name.
const TROUBLES: [(Sight, &str); 13] = [
    (Sight::Duplicates, "came again"),
    (Sight::Gaps, "came behind a gap"),
    (Sight::SynRetransmits, "SYN again"),
    (Sight::SynAckRetransmits, "SYN-ACK again"),
    (Sight::PeerZeroWindow, "window 0"),
    (Sight::ResetsReceived, "reset"),
    (Sight::TtlChanges, "another TTL"),
    (Sight::IcmpRedirects, "ICMP redirect"),
    (Sight::IcmpUnreachable, "ICMP unreachable"),
    (Sight::IcmpTooBig, "ICMP too big"),
    (Sight::IcmpTimeExceeded, "ICMP time exceeded"),
    (Sight::IcmpUnmatched, "ICMP about unknown packets"),
    (Sight::Looped, "looped"),
];

/// What was seen of the packets of a route's class.
pub(super) fn of_class(report: &Report, route: &Route, look: Look) -> String {
    let key = class_key(&route.class);
    let own = report.passing.iter();
    own.filter(|it| class_key(&it.class) == key)
        .map(|flows| text(&flows.seen, look))
        .collect()
}

/// The same of classes that no route is shown of.
pub(super) fn without_routes(report: &Report, look: Look) -> String {
    let has_route = |flows: &&Flows| {
        let key = class_key(&flows.class);
        report.routes.iter().any(|it| class_key(&it.class) == key)
    };
    let others = report.passing.iter().filter(|it| !has_route(it));
    others
        .map(|flows| {
            let heading = class::heading(&flows.class, look.width);
            look.paint(Ink::Heading, &heading) + "\n" + &text(&flows.seen, look)
        })
        .collect()
}

fn text(seen: &Passing, look: Look) -> String {
    let times = TIMES.iter().filter_map(|(phase, name)| {
        let times = seen.phases.get(phase)?;
        Some((Ink::Plain, format!("{name}: {}", spread(times))))
    });
    let troubles: Vec<_> = TROUBLES
        .iter()
        .filter(|(sight, _)| seen.sight(*sight) > 0)
        .map(|(sight, name)| format!("{} {name}", units::count(seen.sight(*sight))))
        .collect();
    let trouble = (!troubles.is_empty()).then(|| (Ink::Bad, troubles.join(", ")));
    let lines: Vec<_> = times
        .chain(trouble)
        .chain(step(seen))
        .chain(told(seen))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let ttl = seen.ttl.map(|ttl| format!(", TTL {ttl}"));
    let heading = format!(
        "  ⇄ between {} {} and the source{}",
        fit::name(&seen.namespace.name, 30),
        fit::name(&seen.device, 15),
        ttl.unwrap_or_default()
    );
    let mut text = look.paint(Ink::Faint, &fit::wrap(&heading, look.width, 4)) + "\n";
    for (ink, line) in lines {
        let line = fit::wrap(&line, look.width.saturating_sub(4), 2);
        for line in line.lines() {
            let _ = writeln!(text, "    {}", look.paint(ink, line));
        }
    }
    text
}

fn step(seen: &Passing) -> Option<(Ink, String)> {
    let step = seen.ttl_step?;
    let line = format!(
        "TTL {} became {}, {} ago",
        step.before,
        step.after,
        units::latency(step.ago_ns)
    );
    Some((Ink::Bad, line))
}

fn told(seen: &Passing) -> Option<(Ink, String)> {
    let told = seen.told?;
    let mtu = told.mtu.map(|mtu| format!(", MTU {mtu}"));
    let gateway = told.gateway.map(|it| format!(", better by {it}"));
    let line = format!(
        "the last ICMP error, type {} code {}, was {}'s{}{}, {} ago",
        told.kind,
        told.code,
        told.by,
        mtu.unwrap_or_default(),
        gateway.unwrap_or_default(),
        units::latency(told.ago_ns)
    );
    Some((Ink::Bad, line))
}
