//! The draft of a postmortem: facts alone, each with its source, under the usual headings.

use std::fmt::Write;

use super::incidents_text::{effect, finding, lasted};
use super::{time, units};
use crate::model::incident::{End, Incident, Name, State};

/// The draft, in Markdown.
pub fn to_text(incident: &Incident) -> String {
    let name = Name(incident.number);
    let mut text = format!(
        "# {name}: {} at {}\n\nA draft by tracer. Every line is a fact with its source; what \
         people decided and why is for people to add.\n",
        incident.verdict.text(),
        incident.place
    );
    for (heading, lines) in [
        ("Summary", summary(incident)),
        ("Timeline (UTC)", timeline(incident)),
        ("Root cause", root_cause(incident)),
        ("Resolution", resolution(incident)),
        ("Preventive measures", preventive(incident)),
    ] {
        let _ = write!(text, "\n## {heading}\n\n");
        for line in lines {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

fn summary(incident: &Incident) -> Vec<String> {
    let (lasted, from) = (units::span(lasted(incident)), time::short(incident.change));
    let error = incident.change_error_s.round();
    let until = match incident.recovered() {
        Some(end) => format!("to {}", time::short(end)),
        None => format!(
            "to its last sign at {}; it lasts",
            time::short(incident.last_bad)
        ),
    };
    let mut lines = vec![
        format!("Duration: {lasted}, from {from} (± {error} s) {until} [detector]"),
        format!("Severity: {} [effect]", incident.severity.name()),
    ];
    lines.push(match effect(incident) {
        Some(effect) => format!("Impact: {effect} [effect]"),
        None => "Impact: unknown: too few exchanges or packets to say [effect]".to_owned(),
    });
    if incident.episodes > 1 {
        lines.push(format!("It came {} times [detector]", incident.episodes));
    }
    let findings = units::counted(incident.found, "finding");
    lines.push(format!("{findings}; the first of them:"));
    lines.extend(incident.findings.iter().take(8).map(finding));
    lines
}

fn timeline(incident: &Incident) -> Vec<String> {
    let mut events: Vec<(u64, String)> = Vec::new();
    for event in &incident.preceded_by {
        events.push((event.at, format!("{} [journal]", event.what)));
    }
    events.push((incident.change, "first sign [detector]".to_owned()));
    for event in &incident.timeline {
        events.push((event.at, format!("{} [judge]", event.what)));
    }
    for told in &incident.told {
        let receiver = &told.receiver;
        let both = [
            (told.fired, "was told"),
            (told.resolved, "was told of its end"),
        ];
        for (at, what) in both {
            events.extend(at.map(|at| (at, format!("{receiver} {what} [alerts]"))));
        }
    }
    events.sort();
    let lines = events.into_iter();
    lines
        .map(|(at, what)| format!("{}  {what}", time::short(at)))
        .collect()
}

fn root_cause(incident: &Incident) -> Vec<String> {
    let mut lines = vec![format!("First word: {} [verdict]", incident.verdict.text())];
    let evidence = incident.evidence.iter();
    lines.extend(evidence.map(|it| format!("{it} [verdict]")));
    if incident.preceded_by.is_empty() {
        lines.push("No change on this host shortly before [journal]".to_owned());
    }
    let before = incident.preceded_by.iter();
    lines.extend(before.map(|it| {
        format!(
            "Preceded by: {}, at {} [journal]",
            it.what,
            time::short(it.at)
        )
    }));
    lines
}

fn resolution(incident: &Incident) -> Vec<String> {
    vec![match incident.state {
        State::Open => "It lasts [judge]".to_owned(),
        State::Recovering { since } => format!(
            "The old level is back since {}; it has to stay for a while [detector]",
            time::short(since)
        ),
        State::Closed { at, by } => {
            let what = match by {
                End::Recovered => "The old level was back, and stayed",
                End::Accepted => "Somebody accepted the present level as normal",
            };
            format!("{what}: {} [judge]", time::short(at))
        }
    }]
}

/// What would have shown it earlier, as far as the facts say.
fn preventive(incident: &Incident) -> Vec<String> {
    let said_after = incident.raised.saturating_sub(incident.change);
    vec![
        format!(
            "It was said {} after its first sign [judge]",
            units::span(said_after)
        ),
        "To be written by people: what would have kept it from happening".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::example;

    #[test]
    fn a_draft_for_each() {
        let all = example::incidents();
        let text: Vec<String> = all.iter().map(to_text).collect();
        assert!(!text.join("").contains("caused by"));
        insta::assert_snapshot!(text.join("\n---\n\n"));
    }
}
