//! Incidents as a person reads them: the loudest word first.

use super::fit;
use super::look::{Ink, Look};
use super::{time, units};
use crate::model::incident::{End, Found, Incident, Name, Severity, State};
use crate::model::journal::Moment;

/// Findings of an incident that are shown; the rest is counted.
const FINDINGS: usize = 4;

/// Incidents as text for a screen, the last one first; `problem` is why they are not on disk.
pub fn to_text(incidents: &[Incident], problem: Option<&str>, look: Look) -> String {
    let mut blocks: Vec<String> = incidents.iter().rev().map(|it| one(it, look)).collect();
    if blocks.is_empty() {
        blocks.push("no incident is known\n".to_owned());
    }
    if let Some(because) = problem {
        let line = format!("incidents are in memory alone: {because}");
        blocks.push(look.paint(Ink::Unsure, &fit::wrap(&line, look.width, 2)) + "\n");
    }
    blocks.join("\n")
}

fn one(incident: &Incident, look: Look) -> String {
    let ink = match (incident.is_active(), incident.severity) {
        (false, _) => Ink::Heading,
        (true, Severity::Warning) => Ink::Unsure,
        (true, Severity::Critical) => Ink::Bad,
    };
    let heading = format!(
        "{}  {}  {}  {}",
        Name(incident.number),
        incident.verdict.text(),
        incident.severity.name(),
        state(incident)
    );
    let mut text = look.paint(ink, &fit::wrap(&heading, look.width, 2)) + "\n";
    let mut lines = vec![format!("at {}", incident.place)];
    lines.push(since(incident));
    lines.extend(effect(incident));
    lines.extend(incident.evidence.iter().map(|it| format!("· {it}")));
    lines.extend(incident.findings.iter().take(FINDINGS).map(finding));
    let more = incident.found.saturating_sub(FINDINGS as u64);
    if more > 0 {
        lines.push(format!("and {}", units::counted(more, "finding")));
    }
    let before = incident.preceded_by.iter();
    lines.extend(before.map(|it| format!("preceded by {}: {}", time::short(it.at), it.what)));
    for line in lines {
        text += &(fit::wrap(&format!("  {line}"), look.width, 4) + "\n");
    }
    text
}

fn state(incident: &Incident) -> String {
    match incident.state {
        State::Open => "open".to_owned(),
        State::Recovering { since } => format!("recovering since {}", time::short(since)),
        State::Closed { at, by } => {
            let how = match by {
                End::Recovered => "over",
                End::Accepted => "accepted",
            };
            format!("{how} since {}", time::short(at))
        }
    }
}

fn since(incident: &Incident) -> String {
    let error = incident.change_error_s.round();
    let episodes = match incident.episodes {
        0 | 1 => String::new(),
        n => format!(", came {n} times"),
    };
    format!(
        "since {} ± {error} s, for {}{episodes}",
        time::short(incident.change),
        units::span(lasted(incident))
    )
}

/// From the first sign to the end, or to the last sign.
pub(super) fn lasted(incident: &Incident) -> Moment {
    let end = incident.recovered().unwrap_or(incident.last_bad);
    end.saturating_sub(incident.change)
}

/// How much it matters, as far as that is known.
pub(super) fn effect(incident: &Incident) -> Option<String> {
    let effect = &incident.effect;
    let share = effect.share.map(|share| {
        let (unit, of) = (effect.unit, &effect.of);
        format!("up to {} of the {unit} of {of}", units::share(share))
    });
    let connections =
        (effect.connections > 0).then(|| units::counted(effect.connections.into(), "connection"));
    let both: Vec<String> = share.into_iter().chain(connections).collect();
    (!both.is_empty()).then(|| format!("worse than usual: {}", both.join("; ")))
}

/// What was found, before and after.
pub(super) fn finding(found: &Found) -> String {
    let ns = |ns: f32| units::latency(ns as u64);
    let [before, now] = found.median_ns;
    let moved = match found.kind {
        "drops" | "retransmits" | "resets" => {
            let [before, now] = found.share.map(|it| units::share(it.into()));
            format!("{} {before} → {now}", found.kind)
        }
        "shift" => format!("p50 {} → {}", ns(before), ns(now)),
        "tail" => format!("p99 {} → {}", ns(found.p99_ns[0]), ns(found.p99_ns[1])),
        _ => {
            let [usual, now] = found.share.map(|it| units::share(it.into()));
            format!("slower than p90 used to be: {usual} → {now}")
        }
    };
    let over = if found.cleared.is_some() {
        ", over"
    } else {
        ""
    };
    format!(
        "{} {moved}: {}, {}{over}",
        found.measure, found.place, found.class
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::example;

    #[test]
    fn incidents_at_80_columns() {
        let text = to_text(&example::incidents(), None, Look::default());
        for line in text.lines() {
            assert!(fit::width(line) <= 80, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn none_is_said() {
        let text = to_text(&[], Some("there is no disk"), Look::default());
        insta::assert_snapshot!(text, @r"
        no incident is known

        incidents are in memory alone: there is no disk
        ");
    }
}
