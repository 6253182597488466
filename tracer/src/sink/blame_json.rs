//! Whose a route is, as JSON in the schema `tracer.blame/1` that `docs/blame.md` describes.

use std::net::IpAddr;

use serde::Serialize;

use super::changes_json::Who;
use super::{json, time};
use crate::model::blame::{self, Blamed, Declared, History, Owner, Place, Problem, Verdict};
use crate::model::network::names;

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.blame/1";

/// A verdict as one line of JSON.
pub fn to_text(verdict: &Verdict) -> String {
    json::line(&Frame {
        schema: SCHEMA,
        target: &verdict.target,
        routes: verdict.routes.iter().map(route).collect(),
        refused: verdict.refused.as_deref(),
        not_applied: verdict.unapplied.iter().map(declared).collect(),
        problems: verdict.problems.iter().map(problem).collect(),
    })
}

#[derive(Serialize)]
struct Frame<'a> {
    schema: &'static str,
    target: &'a str,
    routes: Vec<Route<'a>>,
    refused: Option<&'a str>,
    not_applied: Vec<Asked<'a>>,
    problems: Vec<Unread<'a>>,
}

#[derive(Serialize)]
struct Route<'a> {
    prefix: String,
    table: u32,
    table_name: String,
    #[serde(rename = "type")]
    kind: String,
    protocol: String,
    metric: u32,
    ways: Vec<Way<'a>>,
    owner: Whose<'a>,
    #[serde(flatten)]
    history: Past<'a>,
    not_applied: Vec<Asked<'a>>,
}

#[derive(Default, Serialize)]
struct Past<'a> {
    age_s: Option<u64>,
    age_exact: Option<bool>,
    set_by: Option<Who<'a>>,
    journal_until: Option<String>,
    not_known: Option<&'a str>,
}

#[derive(Serialize)]
struct Way<'a> {
    gateway: Option<IpAddr>,
    device: &'a str,
}

#[derive(Serialize)]
struct Whose<'a> {
    kind: &'static str,
    lines: Vec<Line<'a>>,
    address: Option<String>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the keys of the schema")]
struct Line<'a> {
    manager: &'static str,
    file: &'a str,
    line: usize,
}

#[derive(Serialize)]
struct Asked<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    prefix: String,
    gateways: &'a [IpAddr],
    device: Option<&'a str>,
    metric: Option<u32>,
    table: u32,
}

#[derive(Serialize)]
struct Unread<'a> {
    file: &'a str,
    line: Option<usize>,
    because: &'a str,
}

fn route(blamed: &Blamed) -> Route<'_> {
    let route = &blamed.route;
    Route {
        prefix: route.slot.prefix.to_string(),
        table: route.table,
        table_name: names::table(route.table),
        kind: names::route_type(route.path.kind),
        protocol: names::protocol(route.path.protocol),
        metric: route.slot.metric,
        ways: blamed
            .ways
            .iter()
            .map(|(gateway, device)| Way {
                gateway: *gateway,
                device,
            })
            .collect(),
        owner: whose(&blamed.owner),
        history: past(&blamed.history),
        not_applied: blamed.unapplied.iter().map(declared).collect(),
    }
}

fn whose(owner: &Owner) -> Whose<'_> {
    let (kind, lines) = match owner {
        Owner::Configured(places) => ("configured", places.as_slice()),
        Owner::Daemon(places) => ("daemon", places.as_slice()),
        Owner::Kernel(_) => ("kernel", [].as_slice()),
        Owner::Advertised => ("advertised", [].as_slice()),
        Owner::Leased => ("leased", [].as_slice()),
        Owner::Nobody => ("nobody", [].as_slice()),
        Owner::Unknown => ("unknown", [].as_slice()),
    };
    let address = match owner {
        Owner::Kernel(Some(it)) => Some(format!("{}/{}", it.address, it.prefix_len)),
        _ => None,
    };
    Whose {
        kind,
        lines: lines.iter().map(line).collect(),
        address,
    }
}

fn past(history: &History) -> Past<'_> {
    match history {
        History::Known { age, who, until } => Past {
            age_s: Some(age.seconds),
            age_exact: Some(age.exact),
            set_by: Some(Who::of(who)),
            journal_until: until.map(time::utc),
            not_known: None,
        },
        History::Unknown(because) => Past {
            not_known: Some(because),
            ..Past::default()
        },
    }
}

fn line(place: &Place) -> Line<'_> {
    Line {
        manager: place.manager.name(),
        file: &place.file,
        line: place.line,
    }
}

fn declared(it: &Declared) -> Asked<'_> {
    let blame::Declared { place, .. } = it;
    Asked {
        line: line(place),
        prefix: it.prefix.to_string(),
        gateways: &it.gateways,
        device: it.device.as_deref(),
        metric: it.metric,
        table: it.table,
    }
}

fn problem(it: &Problem) -> Unread<'_> {
    Unread {
        file: &it.file,
        line: it.line,
        because: &it.because,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::blame_text::tests::example;

    #[test]
    fn each_owner_as_json() {
        let value: serde_json::Value = serde_json::from_str(&to_text(&example())).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }
}
