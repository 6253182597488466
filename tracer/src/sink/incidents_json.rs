//! Incidents as JSON, in the schema `tracer.incidents/1` that `docs/incidents.md` describes.

use serde::Serialize;

use super::{json, time};
use crate::model::incident::{Event, Found, Incident, Name, State, Told};
use crate::model::journal::Moment;

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.incidents/1";

/// What else is told beside the incidents.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Why they are in memory alone; none where they are on disk.
    pub not_on_disk: Option<String>,
    /// When the judge judged last; 0 before it did.
    pub judged: Moment,
    /// How many streams it watches.
    pub streams: u64,
}

/// Incidents as one line of JSON.
pub fn to_text(incidents: &[Incident], about: &About) -> String {
    json::line(&Frame {
        schema: SCHEMA,
        judged: (about.judged > 0).then(|| time::utc(about.judged)),
        streams: about.streams,
        not_on_disk: about.not_on_disk.as_deref(),
        incidents: incidents.iter().map(One::of).collect(),
    })
}

/// One incident, as it is sent to a webhook.
pub(super) fn one(incident: &Incident) -> serde_json::Value {
    serde_json::to_value(One::of(incident)).expect("wire types have string keys")
}

#[derive(Serialize)]
struct Frame<'a> {
    schema: &'static str,
    judged: Option<String>,
    streams: u64,
    not_on_disk: Option<&'a str>,
    incidents: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    id: String,
    revision: u64,
    state: &'static str,
    severity: &'static str,
    verdict: &'static str,
    first_word: &'static str,
    evidence: &'a [String],
    place: &'a str,
    change: String,
    change_error_s: f32,
    raised: String,
    last_bad: String,
    recovered: Option<String>,
    ended_by: Option<&'static str>,
    episodes: u32,
    effect: Effect<'a>,
    found: u64,
    lasting: u64,
    findings: Vec<Finding<'a>>,
    timeline: Vec<Happened<'a>>,
    preceded_by: Vec<Happened<'a>>,
    told: Vec<Receiver<'a>>,
}

#[derive(Serialize)]
struct Effect<'a> {
    share: Option<f64>,
    of: Option<&'a str>,
    unit: Option<&'static str>,
    connections: u32,
    enough_for_a_page_since: Option<String>,
}

#[derive(Serialize)]
struct Finding<'a> {
    measure: &'static str,
    kind: &'static str,
    place: &'a str,
    class: &'a str,
    sure: bool,
    change: String,
    change_error_s: f32,
    raised: String,
    cleared: Option<String>,
    median_ns: Pair,
    p99_ns: Pair,
    share: Pair,
    episodes: u32,
}

#[derive(Serialize)]
struct Pair {
    before: f64,
    now: f64,
}

#[derive(Serialize)]
struct Happened<'a> {
    at: String,
    what: &'a str,
}

#[derive(Serialize)]
struct Receiver<'a> {
    #[serde(rename = "receiver")]
    name: &'a str,
    fired: Option<String>,
    resolved: Option<String>,
}

impl<'a> One<'a> {
    fn of(from: &'a Incident) -> Self {
        let effect = &from.effect;
        let is_known = effect.share.is_some();
        Self {
            id: Name(from.number).to_string(),
            revision: from.revision,
            state: from.state.name(),
            severity: from.severity.name(),
            verdict: from.verdict.name(),
            first_word: from.verdict.text(),
            evidence: &from.evidence,
            place: &from.place,
            change: time::utc(from.change),
            change_error_s: from.change_error_s,
            raised: time::utc(from.raised),
            last_bad: time::utc(from.last_bad),
            recovered: from.recovered().map(time::utc),
            ended_by: match from.state {
                State::Closed { by, .. } => Some(by.name()),
                State::Open | State::Recovering { .. } => None,
            },
            episodes: from.episodes,
            effect: Effect {
                share: effect.share,
                of: is_known.then_some(&effect.of),
                unit: is_known.then_some(effect.unit),
                connections: effect.connections,
                enough_for_a_page_since: effect.since.map(time::utc),
            },
            found: from.found,
            lasting: from.lasting,
            findings: from.findings.iter().map(Finding::of).collect(),
            timeline: from.timeline.iter().map(Happened::of).collect(),
            preceded_by: from.preceded_by.iter().map(Happened::of).collect(),
            told: from.told.iter().map(Receiver::of).collect(),
        }
    }
}

impl<'a> Finding<'a> {
    fn of(from: &'a Found) -> Self {
        let pair = |[before, now]: [f32; 2]| Pair {
            before: before.into(),
            now: now.into(),
        };
        Self {
            measure: from.measure,
            kind: from.kind,
            place: &from.place,
            class: &from.class,
            sure: from.is_sure,
            change: time::utc(from.change),
            change_error_s: from.change_error_s,
            raised: time::utc(from.raised),
            cleared: from.cleared.map(time::utc),
            median_ns: pair(from.median_ns.map(f32::round)),
            p99_ns: pair(from.p99_ns.map(f32::round)),
            share: pair(from.share),
            episodes: from.episodes,
        }
    }
}

impl<'a> Happened<'a> {
    fn of(from: &'a Event) -> Self {
        Self {
            at: time::utc(from.at),
            what: &from.what,
        }
    }
}

impl<'a> Receiver<'a> {
    fn of(from: &'a Told) -> Self {
        Self {
            name: &from.receiver,
            fired: from.fired.map(time::utc),
            resolved: from.resolved.map(time::utc),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::example;

    #[test]
    fn incidents_as_json() {
        let text = to_text(&example::incidents(), &About::default());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }
}
