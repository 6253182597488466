//! Changes as a person reads them: each with who made it, and what became of the routes.

use super::fit;
use super::look::{Ink, Look};
use super::{time, units};
use crate::model::journal::report::{Changes, Count, Moved, Told};
use crate::model::journal::{Entry, Kind, Who};
use crate::model::network::How;
use std::fmt::Write;

/// Classes of a change that are shown; the rest is counted.
const CLASSES: usize = 8;

/// Changes as text for a screen.
pub fn to_text(changes: &Changes, look: Look) -> String {
    let mut blocks: Vec<String> = changes.changes.iter().map(|it| change(it, look)).collect();
    if blocks.is_empty() {
        blocks.push(format!(
            "nothing has changed since {}\n",
            time::short(changes.since)
        ));
    }
    if let Some(because) = &changes.not_on_disk {
        let line = format!("the journal is in memory alone: {because}");
        blocks.push(look.paint(Ink::Unsure, &fit::wrap(&line, look.width, 2)) + "\n");
    }
    blocks.join("\n")
}

fn change(told: &Told, look: Look) -> String {
    let entry = &told.entry;
    let mut text = look.paint(Ink::Heading, &fit::wrap(&heading(entry), look.width, 2)) + "\n";
    for (sign, ink, state) in [
        ("−", Ink::Bad, &entry.before),
        ("+", Ink::Good, &entry.after),
    ] {
        if let Some(state) = state {
            let state = state.strip_prefix(&entry.subject).unwrap_or(state).trim();
            let state = if state.is_empty() { "there" } else { state };
            let line = fit::wrap(&format!("  {sign} {state}"), look.width, 4);
            text += &(look.paint(ink, &line) + "\n");
        }
    }
    for line in remarks(entry) {
        text += &(look.paint(Ink::Faint, &fit::wrap(&format!("  {line}"), look.width, 4)) + "\n");
    }
    for moved in told.moved.iter().take(CLASSES) {
        text += &class(moved, look);
    }
    if let Some(more) = told
        .moved
        .len()
        .checked_sub(CLASSES)
        .filter(|&more| more > 0)
    {
        let _ = writeln!(text, "  and {}", units::counted(more as u64, "class"));
    }
    text
}

/// `2026-11-23 06:40:23.123 UTC  host  route 10.2.0.0/16 table main`
fn heading(entry: &Entry) -> String {
    let when = time::short(entry.at);
    let namespace = fit::name(&entry.namespace, 40);
    let subject = fit::name(&entry.subject, 120);
    match entry.kind {
        Kind::Gap => format!("{when}  {namespace}  {subject}"),
        kind => format!("{when}  {namespace}  {} {subject}", kind.name()),
    }
}

fn remarks(entry: &Entry) -> Vec<String> {
    let mut remarks = Vec::new();
    if entry.kind != Kind::Gap {
        let follows = match entry.how {
            How::Implied => ", as what follows from another change",
            How::Told | How::Found => "",
        };
        remarks.push(format!("by {}{follows}", by(&entry.who)));
    }
    if let Some(since) = entry.since {
        remarks.push(match entry.kind {
            Kind::Gap => format!("since {}", time::short(since)),
            _ => format!(
                "while the tracer was not running, or could not look: since {}",
                time::short(since)
            ),
        });
    }
    if entry.count > 1 {
        let last = time::short(entry.last);
        let count = units::count(entry.count);
        remarks.push(if entry.unused {
            format!(
                "and {} more like it, that no class uses",
                units::count(entry.count - 1)
            )
        } else {
            let now = if entry.now() == entry.before.as_deref() {
                "−"
            } else {
                "+"
            };
            format!("a flap: {count} changes to and fro, now {now}, the last at {last}")
        });
    }
    remarks
}

fn by(who: &Who) -> String {
    let Who::Process(process) = who else {
        return who.to_string();
    };
    match &process.owner {
        Some(owner) => format!("{who}, {owner}"),
        None => who.to_string(),
    }
}

fn class(moved: &Moved, look: Look) -> String {
    let mut text = format!("  {}\n", fit::name(&moved.name, look.width - 2));
    let parts = [
        ("before", &moved.before),
        ("during", &moved.during),
        ("after", &moved.after),
    ];
    for (name, count) in parts {
        if name == "during" && count.packets == 0 {
            continue;
        }
        text += &(row(name, count) + &factor(name, moved) + "\n");
    }
    text
}

fn row(name: &str, count: &Count) -> String {
    let packets = fit::right(&units::count(count.packets), 13);
    let quantile = |q| fit::left(&units::latency_or_dash(count.latency.quantile_ns(q)), 7);
    let row = format!(
        "    {} {packets} packets   p50 {}  p99 {}",
        fit::left(name, 6),
        quantile(0.5),
        quantile(0.99)
    );
    row.trim_end().to_owned()
}

/// How much longer the middle packet takes.
fn factor(name: &str, moved: &Moved) -> String {
    let median = |count: &Count| count.latency.quantile_ns(0.5).filter(|&ns| ns > 0);
    match (name, median(&moved.before), median(&moved.after)) {
        ("after", Some(before), Some(after)) => {
            format!("  ×{:.1}", after as f64 / before as f64)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn changes_at_80_columns() {
        let text = to_text(&example::changes(), Look::default());
        for line in text.lines() {
            assert!(fit::width(line) <= 80, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_change_is_said() {
        let text = to_text(&Changes::default(), Look::default());
        insta::assert_snapshot!(text, @"nothing has changed since 1970-01-01 00:00:00.000 UTC");
    }
}
