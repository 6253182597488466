//! Changes as JSON, in the schema `tracer.changes/1` that `docs/changes-json.md` describes.

use serde::Serialize;

use super::{json, time};
use crate::model::Histogram;
use crate::model::journal::report::{Changes, Count, Moved, MovedRoute, Told};
use crate::model::journal::{self, who};
use crate::model::network::How;
use crate::model::owner::Owner;

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.changes/1";

/// Changes as one line of JSON.
pub fn to_text(changes: &Changes) -> String {
    json::line(&Frame {
        schema: SCHEMA,
        since: time::utc(changes.since),
        not_on_disk: changes.not_on_disk.as_deref(),
        changes: changes.changes.iter().map(Change::of).collect(),
    })
}

#[derive(Serialize)]
struct Frame<'a> {
    schema: &'static str,
    since: String,
    not_on_disk: Option<&'a str>,
    changes: Vec<Change<'a>>,
}

#[derive(Serialize)]
struct Change<'a> {
    id: u64,
    at: String,
    at_ns: u64,
    since: Option<String>,
    netns: &'a str,
    kind: &'static str,
    subject: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    now: Option<&'a str>,
    protocol: Option<&'a str>,
    how: &'static str,
    who: Who<'a>,
    count: u64,
    last: String,
    unused: bool,
    classes: Vec<Class<'a>>,
}

#[derive(Serialize)]
pub(super) struct Who<'a> {
    kind: &'static str,
    text: String,
    ancestry: Vec<Task<'a>>,
    uid: Option<u32>,
    login_uid: Option<u32>,
    login: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
}

#[derive(Serialize)]
struct Task<'a> {
    pid: u32,
    command: &'a str,
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    before: Counted,
    during: Counted,
    after: Counted,
    routes: Vec<Route<'a>>,
}

#[derive(Serialize)]
struct Route<'a> {
    id: String,
    way: &'a str,
    before: Counted,
    during: Counted,
    after: Counted,
}

#[derive(Serialize)]
struct Counted {
    packets: u64,
    count: u64,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
}

impl<'a> Change<'a> {
    fn of(told: &'a Told) -> Self {
        let entry = &told.entry;
        Self {
            id: entry.id,
            at: time::utc(entry.at),
            at_ns: entry.at,
            since: entry.since.map(time::utc),
            netns: &entry.namespace,
            kind: entry.kind.name(),
            subject: &entry.subject,
            before: entry.before.as_deref(),
            after: entry.after.as_deref(),
            now: entry.now(),
            protocol: entry.protocol.as_deref(),
            how: match entry.how {
                How::Told => "told",
                How::Implied => "implied",
                How::Found => "found",
            },
            who: Who::of(&entry.who),
            count: entry.count,
            last: time::utc(entry.last),
            unused: entry.unused,
            classes: told.moved.iter().map(Class::of).collect(),
        }
    }
}

impl<'a> Who<'a> {
    pub(super) fn of(who: &'a journal::Who) -> Self {
        let process = match who {
            who::Who::Process(process) => Some(process),
            who::Who::Kernel | who::Who::Several | who::Who::Unknown => None,
        };
        let owner = process.and_then(|it| it.owner.as_ref());
        let tasks = process.into_iter().flat_map(|it| &it.ancestry);
        Self {
            kind: match who {
                who::Who::Process(_) => "process",
                who::Who::Kernel => "kernel",
                who::Who::Several => "several",
                who::Who::Unknown => "unknown",
            },
            text: who.to_string(),
            ancestry: tasks
                .map(|task| Task {
                    pid: task.pid,
                    command: &task.command,
                })
                .collect(),
            uid: process.map(|it| it.uid),
            login_uid: process.and_then(|it| it.login_uid),
            login: process.and_then(|it| it.login.as_deref()),
            unit: match owner {
                Some(Owner::Unit(unit)) => Some(unit),
                _ => None,
            },
            container: match owner {
                Some(Owner::Container(it)) => Some(&it.id),
                _ => None,
            },
        }
    }
}

impl<'a> Class<'a> {
    fn of(moved: &'a Moved) -> Self {
        Self {
            name: &moved.name,
            before: Counted::of(&moved.before),
            during: Counted::of(&moved.during),
            after: Counted::of(&moved.after),
            routes: moved.routes.iter().map(Route::of).collect(),
        }
    }
}

impl<'a> Route<'a> {
    fn of(route: &'a MovedRoute) -> Self {
        Self {
            id: route.id.to_string(),
            way: &route.way,
            before: Counted::of(&route.before),
            during: Counted::of(&route.during),
            after: Counted::of(&route.after),
        }
    }
}

impl Counted {
    fn of(count: &Count) -> Self {
        let latency: &Histogram = &count.latency;
        Self {
            packets: count.packets,
            count: latency.count(),
            p50_ns: latency.quantile_ns(0.5),
            p99_ns: latency.quantile_ns(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn changes_as_json() {
        let text = to_text(&example::changes());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }
}
