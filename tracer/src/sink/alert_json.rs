//! Alerts as receivers take them: a document of our own for webhooks, and Alertmanager's API v2
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>).

use serde_json::json;

use super::{incidents_json, incidents_text, time};
use crate::model::incident::{Incident, Name};
use crate::model::journal::Moment;

/// The schema that a webhook's document names.
pub const SCHEMA: &str = "tracer.alert/1";

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Whose it is.
    pub host: &'a str,
    /// What it is about.
    pub incident: &'a Incident,
    /// Whether it is over.
    pub is_over: bool,
    /// When it ended; while it lasts, how long Alertmanager may believe that without hearing more.
    pub ends: Moment,
}

/// The document for a webhook.
pub fn webhook(alert: &Alert<'_>) -> String {
    json!({
        "schema": SCHEMA,
        "event": if alert.is_over { "resolved" } else { "firing" },
        "host": alert.host,
        "summary": summary(alert),
        "incident": incidents_json::one(alert.incident),
    })
    .to_string()
}

/// What Alertmanager takes at `/api/v2/alerts`. The labels stay the same while an incident lasts: they
/// are what it knows it by.
pub fn alertmanager(alert: &Alert<'_>) -> String {
    let incident = alert.incident;
    let mut description = incident.evidence.join("\n");
    if let Some(effect) = incidents_text::effect(incident) {
        description = format!("{effect}\n{description}");
    }
    json!([{
        "labels": {
            "alertname": "TracerIncident",
            "host": alert.host,
            "incident": Name(incident.number).to_string(),
            "severity": "critical",
        },
        "annotations": {
            "summary": summary(alert),
            "description": description,
            "verdict": incident.verdict.name(),
        },
        "startsAt": time::utc(incident.raised),
        "endsAt": time::utc(alert.ends),
    }])
    .to_string()
}

fn summary(alert: &Alert<'_>) -> String {
    let (word, place) = (alert.incident.verdict.text(), &alert.incident.place);
    format!("{word} at {place}, on {}", alert.host)
}

/// An alert in words, for a list.
pub fn sentence(at: Moment, what: &str, id: &str, word: &str, place: &str) -> String {
    format!("{}  {id}  {what}: {word} at {place}", time::short(at))
}

/// An incident's beginning or end as a line of the agent's log.
pub fn line(incident: &Incident, is_over: bool) -> String {
    let id = Name(incident.number);
    if is_over {
        return format!(
            "{id} is over: {} at {}",
            incident.verdict.text(),
            incident.place
        );
    }
    let effect = incidents_text::effect(incident).map_or_else(String::new, |it| format!("; {it}"));
    format!(
        "{id} is critical: {} at {} since {}{effect}; tracer why {id} looks at it",
        incident.verdict.text(),
        incident.place,
        time::second(incident.change),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::example;

    #[test]
    fn alerts_as_both_take_them() {
        let incidents = example::incidents();
        let alert = Alert {
            host: "app-1",
            incident: &incidents[1],
            is_over: false,
            ends: 1_763_899_500_000_000_000,
        };
        let both = [webhook(&alert), alertmanager(&alert)];
        let both = both.map(|text| {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        });
        insta::assert_snapshot!(both.join("\n"));
    }
}
