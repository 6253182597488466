//! What was seen at the sockets at the end of a class's routes: round trips, exchanges, trouble.

use super::class;
use crate::model::connection::{Phase, Sight, Sockets};
use crate::model::report::class_key;
use crate::model::{Histogram, Report, Route};
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::units;
use std::fmt::Write;

/// Fewer exchanges than this say nothing of what is usual.
const ENOUGH: u64 = 5;

/// Times in the order in which they are told, with their names.
const TIMES: [(Phase, &str); 10] = [
    (Phase::Handshake, "handshake"),
    (Phase::Rtt, "round trip"),
    (Phase::RttWithData, "round trip or more"),
    (Phase::Waiting, "waiting to be read"),
    (Phase::Thinking, "thinking"),
    (Phase::Answer, "answer"),
    (Phase::PeerAtLeast, "peer at least"),
    (Phase::PeerAtMost, "peer at most"),
    (Phase::Disturbed, "answer, disturbed"),
    (Phase::PeerOrWayBack, "peer or way back"),
];

/// What is no exchange, with its name.
const TROUBLES: [(Sight, &str); 15] = [
    (Sight::Retransmits, "sent again"),
    (Sight::Timeouts, "sent again by timeout"),
    (Sight::SynRetransmits, "SYN sent again"),
    (Sight::SynAckRetransmits, "SYN-ACK sent again"),
    (Sight::Unopened, "never opened"),
    (Sight::Unanswered, "never answered"),
    (Sight::Duplicates, "received again"),
    (Sight::Gaps, "received behind a gap"),
    (Sight::Reordered, "reordered"),
    (Sight::PeerZeroWindow, "peer's window 0"),
    (Sight::OwnZeroWindow, "own window 0"),
    (Sight::ResetsSent, "reset sent"),
    (Sight::ResetsReceived, "reset received"),
    (Sight::TtlChanges, "another TTL"),
    (Sight::NextHopChanges, "another next hop"),
];

/// The sockets that get the packets of a route's class.
pub(super) fn of_class(report: &Report, route: &Route, look: Look) -> String {
    let key = class_key(&route.class);
    let own = report.sockets.iter();
    own.filter(|it| class_key(&it.class) == key)
        .map(|sockets| text(sockets, look))
        .collect()
}

/// The sockets of classes that no packet was seen of, such as those that nobody answers.
pub(super) fn without_routes(report: &Report, look: Look) -> String {
    let has_route = |sockets: &&Sockets| {
        let key = class_key(&sockets.class);
        report.routes.iter().any(|it| class_key(&it.class) == key)
    };
    let others = report.sockets.iter().filter(|it| !has_route(it));
    others
        .map(|sockets| {
            let heading = class::heading(&sockets.class, look.width);
            look.paint(Ink::Heading, &heading) + "\n" + &text(sockets, look)
        })
        .collect()
}

fn text(sockets: &Sockets, look: Look) -> String {
    let seen = &sockets.seen;
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
    let lines: Vec<_> = times.chain(exchanges(sockets)).chain(trouble).collect();
    if lines.is_empty() {
        return String::new();
    }
    let heading = format!("  ⇄ {}", place(sockets));
    let mut text = look.paint(Ink::Faint, &fit::wrap(&heading, look.width, 4)) + "\n";
    for (ink, line) in lines {
        let line = fit::wrap(&line, look.width.saturating_sub(4), 2);
        for line in line.lines() {
            let _ = writeln!(text, "    {}", look.paint(ink, line));
        }
    }
    text
}

fn place(sockets: &Sockets) -> String {
    let seen = &sockets.seen;
    let what = match sockets.serve() {
        Some(true) => "sockets that serve",
        Some(false) => "sockets that ask",
        None => "sockets",
    };
    let device = match &*seen.device {
        "" => String::new(),
        device => format!(" {}", fit::name(device, 15)),
    };
    let via = seen.next_hop.map(|it| format!(", via {it}"));
    let ttl = seen.ttl.map(|ttl| format!(", TTL {ttl}"));
    format!(
        "{what} in {}{device}{}{}",
        fit::name(&seen.namespace.name, 30),
        via.unwrap_or_default(),
        ttl.unwrap_or_default()
    )
}

pub(super) fn spread(times: &Histogram) -> String {
    let or_dash = |ns| units::latency_or_dash(ns);
    format!(
        "p50 {} p99 {} min {} (n {})",
        or_dash(times.quantile_ns(0.5)),
        or_dash(times.quantile_ns(0.99)),
        or_dash(times.min_ns()),
        units::count(times.count())
    )
}

/// How many exchanges there were, and of which kind.
fn exchanges(sockets: &Sockets) -> Option<(Ink, String)> {
    let kinds = [
        (Sight::Undisturbed, "undisturbed"),
        (Sight::Disturbed, "disturbed"),
        (Sight::PeerOrWayBack, "peer or way back"),
        (Sight::Overlapping, "overlapping"),
    ];
    let counts = kinds.map(|(sight, name)| (sockets.seen.sight(sight), name));
    let all: u64 = counts.iter().map(|(count, _)| count).sum();
    if all == 0 {
        return None;
    }
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told
        .map(|(count, name)| format!("{} {name}", units::count(*count)))
        .collect();
    let mut line = format!("exchanges: {}", told.join(", "));
    if counts[0].0 < ENOUGH {
        line += "; not enough data for the peer's time";
    }
    Some((Ink::Plain, line))
}
