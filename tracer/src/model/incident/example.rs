//! Incidents for tests: one that is over, one that lasts.

use super::*;

const SECOND: Moment = 1_000_000_000;
const NOON: Moment = 1_763_899_200 * SECOND;

fn found(measure: &'static str, class: &str, ms: [f32; 2]) -> Found {
    Found {
        stream: 7,
        measure,
        place: "xmit→rx at lab-r1/in".to_owned(),
        class: class.to_owned(),
        kind: "shift",
        is_sure: true,
        change: NOON,
        change_error_s: 2.5,
        raised: NOON + 4 * SECOND,
        cleared: None,
        median_ns: ms.map(|ms| ms * 1e6),
        p99_ns: ms.map(|ms| ms * 2e6),
        share: [0.01, 0.98],
        episodes: 1,
    }
}

fn event(after_s: u64, what: &str) -> Event {
    Event {
        at: NOON + after_s * SECOND,
        what: what.to_owned(),
    }
}

/// `INC-1`, which is over, and `INC-2`, which lasts.
pub(crate) fn incidents() -> Vec<Incident> {
    let lasting = Incident {
        number: 2,
        revision: 9,
        state: State::Open,
        severity: Severity::Critical,
        verdict: Word::Path,
        evidence: vec![
            "xmit→rx at lab-r1/in holds 97 % of what was added, on 2 of 2 routes".to_owned(),
            "round trips that acknowledgements alone told take longer".to_owned(),
        ],
        place: "next hop 10.1.0.1".to_owned(),
        change: NOON,
        change_error_s: 2.5,
        raised: NOON + 4 * SECOND,
        last_bad: NOON + 180 * SECOND,
        effect: Effect {
            share: Some(0.33),
            of: "database tcp 5432".to_owned(),
            unit: "exchanges",
            connections: 24,
            since: Some(NOON + 35 * SECOND),
        },
        findings: vec![
            found("latency", "app → database tcp to port 5432", [0.25, 10.1]),
            found(
                "round trip",
                "database → app tcp from port 5432",
                [0.6, 20.4],
            ),
        ],
        found: 2,
        lasting: 2,
        episodes: 1,
        timeline: vec![
            event(4, "latency: most are slower: xmit→rx at lab-r1/in"),
            event(
                35,
                "33 % of the exchanges of database tcp 5432 are worse than usual",
            ),
        ],
        preceded_by: vec![Event {
            at: NOON - 12 * SECOND,
            what: "lab-app: route 10.2.0.0/16 table main changed, by ip".to_owned(),
        }],
        told: vec![Told {
            receiver: "webhook https://on-call.example/tracer".to_owned(),
            fired: Some(NOON + 36 * SECOND),
            resolved: None,
        }],
        marks: Marks {
            parts: [Part::Hop(1), Part::NextHop(2), Part::Host].into(),
            shared: vec![Part::NextHop(2)],
            change_s: 1_763_899_200,
        },
    };
    let over = Incident {
        number: 1,
        revision: 4,
        state: State::Closed {
            at: NOON - 3_600 * SECOND,
            by: End::Recovered,
        },
        severity: Severity::Warning,
        verdict: Word::CantTell,
        evidence: vec!["nothing says where".to_owned()],
        place: "database tcp 5432".to_owned(),
        change: NOON - 7_200 * SECOND,
        change_error_s: 12.0,
        raised: NOON - 7_170 * SECOND,
        last_bad: NOON - 3_610 * SECOND,
        findings: vec![Found {
            cleared: Some(NOON - 3_600 * SECOND),
            kind: "share",
            is_sure: false,
            ..found(
                "exchange",
                "database → app tcp from port 5432",
                [20.0, 80.0],
            )
        }],
        found: 1,
        episodes: 3,
        ..Incident::default()
    };
    vec![over, lasting]
}
