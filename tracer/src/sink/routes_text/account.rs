//! What became of the packets: at a hop, and on the whole way.

use crate::model::{Ends, Route, Step};
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::units;

/// One line for each kind of end at a hop but the good one, which its place says.
pub(super) fn at_hop(step: &Step, look: Look) -> Vec<(Ink, String)> {
    let whose = if step.ways > 1 { " of all ways" } else { "" };
    let ends = &step.ends;
    let dropped = ends.dropped.iter().map(|it| (Ink::Bad, "✗", "dropped", it));
    let lost = ends
        .lost
        .iter()
        .map(|it| (Ink::Unsure, "?", "lost from sight", it));
    let mut lines: Vec<(Ink, String)> = dropped
        .chain(lost)
        .filter(|&(.., (_, &count))| count > 0)
        .map(|(ink, mark, verb, (reason, &count))| {
            let reason = fit::name(reason, look.width.saturating_sub(44).max(8));
            (
                ink,
                format!("{mark} {}{whose} {verb}: {reason}", units::count(count)),
            )
        })
        .collect();
    let quiet = [
        ("+", step.born, "born here"),
        ("⑂", ends.split, "split"),
        ("⋎", ends.merged, "merged into others"),
        ("…", ends.in_flight, "still on their way"),
    ];
    for (mark, count, verb) in quiet.into_iter().filter(|&(_, count, _)| count > 0) {
        lines.push((
            Ink::Faint,
            format!("{mark} {}{whose} {verb}", units::count(count)),
        ));
    }
    lines
}

/// The balance: what came equals what ended, by kind; and an alarm where it does not.
pub(super) fn balance(route: &Route, look: Look) -> String {
    let line = format!(
        "  in {} = {}",
        units::count(route.balance.came),
        kinds(&route.ends).join(" + ")
    );
    let mut text = look.paint(Ink::Faint, &fit::wrap(&line, look.width, 5)) + "\n";
    let (count, what) = match route.balance.difference {
        0 => return text,
        more @ 1.. => (more.unsigned_abs(), "came and have no end"),
        less => (less.unsigned_abs(), "ended and never came"),
    };
    let count = units::counted(count, "packet");
    let alarm = format!("  ≠ {count} {what}: an error of the tracer's");
    text += &look.paint(Ink::Bad, &fit::wrap(&alarm, look.width, 4));
    text.push('\n');
    text
}

/// How many packets ended in which way.
pub(in crate::sink) fn kinds(ends: &Ends) -> Vec<String> {
    let plain = [
        (ends.delivered, "delivered"),
        (ends.merged, "merged"),
        (ends.split, "split"),
        (ends.in_flight, "on their way"),
    ];
    let plain = plain
        .into_iter()
        .filter(|&(count, what)| count > 0 || what == "delivered")
        .map(|(count, what)| format!("{} {what}", units::count(count)));
    let named = [(&ends.dropped, "dropped"), (&ends.lost, "lost")];
    let named = named.into_iter().flat_map(|(reasons, what)| {
        let counted = reasons.iter().filter(|&(_, &count)| count > 0);
        counted.map(move |(reason, &count)| {
            format!("{} {what} ({})", units::count(count), fit::name(reason, 30))
        })
    });
    plain.chain(named).collect()
}
