//! Rows as they stand in the file: JSON, with keys that may become more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::journal::epochs::{Epoch, Life};
use crate::model::journal::known::{Key, Row as KnownRow};
use crate::model::journal::{
    Entry as ModelEntry, Kind, Process as ModelProcess, Since, Subject, Task as ModelTask,
    Who as ModelWho,
};
use crate::model::network::How;
use crate::model::owner::{self, Owner};
use crate::model::{Counts, Histogram, RouteId};

#[derive(Serialize, Deserialize)]
struct Entry {
    at: u64,
    since: Option<u64>,
    namespace: String,
    kind: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
    protocol: Option<String>,
    how: String,
    who: Who,
    count: u64,
    last: u64,
    unused: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Who {
    Process(Process),
    Kernel,
    Several,
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Process {
    ancestry: Vec<Task>,
    uid: u32,
    login_uid: Option<u32>,
    login: Option<String>,
    unit: Option<String>,
    container: Option<Container>,
}

#[derive(Serialize, Deserialize)]
struct Container {
    runtime: String,
    id: String,
    pod: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Task {
    pid: u32,
    start_ns: u64,
    command: String,
}

#[derive(Serialize, Deserialize)]
struct Row {
    state: String,
    since: u64,
    exact: bool,
    who: Who,
}

#[derive(Serialize, Deserialize)]
struct Route {
    class: String,
    name: String,
    way: String,
    epochs: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    began: u64,
    change: Option<u64>,
    during: bool,
    packets: u64,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
    /// Buckets that hold any, with their counts.
    buckets: Vec<(usize, u64)>,
}

const HOWS: [(How, &str); 3] = [
    (How::Told, "told"),
    (How::Implied, "implied"),
    (How::Found, "found"),
];

pub(super) fn of_entry(entry: &ModelEntry) -> Vec<u8> {
    let how = HOWS.iter().find(|(how, _)| *how == entry.how);
    bytes(&Entry {
        at: entry.at,
        since: entry.since,
        namespace: entry.namespace.clone(),
        kind: entry.kind.name().to_owned(),
        subject: entry.subject.clone(),
        before: entry.before.clone(),
        after: entry.after.clone(),
        protocol: entry.protocol.clone(),
        how: how.map_or("found", |(_, name)| name).to_owned(),
        who: of_who(&entry.who),
        count: entry.count,
        last: entry.last,
        unused: entry.unused,
    })
}

/// None for a row that makes no sense, such as one of a later version.
pub(super) fn entry(id: u64, value: &[u8]) -> Option<ModelEntry> {
    let row: Entry = serde_json::from_slice(value).ok()?;
    Some(ModelEntry {
        id,
        at: row.at,
        since: row.since,
        namespace: row.namespace,
        kind: kind(&row.kind)?,
        subject: row.subject,
        before: row.before,
        after: row.after,
        protocol: row.protocol,
        how: HOWS.iter().find(|(_, name)| *name == row.how)?.0,
        who: who(row.who),
        count: row.count,
        last: row.last,
        unused: row.unused,
    })
}

/// The namespace, the kind and the name, with zeros between.
pub(super) fn of_key((namespace, subject): &Key) -> Vec<u8> {
    [namespace, subject.kind.name(), &subject.name]
        .join("\0")
        .into_bytes()
}

pub(super) fn of_row(row: &KnownRow) -> Vec<u8> {
    bytes(&Row {
        state: row.state.clone(),
        since: row.since.at,
        exact: row.since.exact,
        who: of_who(&row.who),
    })
}

pub(super) fn known(key: &[u8], value: &[u8]) -> Option<(Key, KnownRow)> {
    let key = std::str::from_utf8(key).ok()?;
    let mut parts = key.splitn(3, '\0');
    let namespace = parts.next()?.to_owned();
    let subject = Subject {
        kind: kind(parts.next()?)?,
        name: parts.next()?.to_owned(),
    };
    Some(((namespace, subject), row(value)?))
}

pub(super) fn row(value: &[u8]) -> Option<KnownRow> {
    let row: Row = serde_json::from_slice(value).ok()?;
    let since = Since {
        at: row.since,
        exact: row.exact,
    };
    Some(KnownRow {
        state: row.state,
        since,
        who: who(row.who),
    })
}

pub(super) fn of_life(life: &Life) -> Vec<u8> {
    bytes(&Route {
        class: life.class.clone(),
        name: life.name.clone(),
        way: life.way.clone(),
        epochs: life.epochs.iter().map(of_epoch).collect(),
    })
}

pub(super) fn life(id: u64, value: &[u8]) -> Option<(RouteId, Life)> {
    let row: Route = serde_json::from_slice(value).ok()?;
    let life = Life {
        class: row.class,
        name: row.name,
        way: row.way,
        epochs: row.epochs.into_iter().map(epoch).collect(),
    };
    Some((RouteId::numbered(id), life))
}

fn of_epoch(epoch: &Epoch) -> Part {
    let latency = &epoch.latency;
    let buckets = latency.counts().buckets();
    Part {
        began: epoch.began,
        change: epoch.change,
        during: epoch.during,
        packets: epoch.packets,
        sum_ns: latency.sum_ns(),
        min_ns: latency.min_ns().unwrap_or_default(),
        max_ns: latency.max_ns().unwrap_or_default(),
        buckets: buckets.filter(|&(_, count)| count > 0).collect(),
    }
}

fn epoch(part: Part) -> Epoch {
    let mut counts = Counts::default();
    let known = part.buckets.into_iter();
    for (bucket, count) in known.filter(|&(bucket, _)| bucket < crate::model::bucket::BUCKETS) {
        counts.add(bucket, count);
    }
    Epoch {
        began: part.began,
        change: part.change,
        during: part.during,
        packets: part.packets,
        latency: Histogram::from_counts(counts, part.sum_ns, part.min_ns, part.max_ns),
    }
}

fn of_who(who: &ModelWho) -> Who {
    match who {
        ModelWho::Kernel => Who::Kernel,
        ModelWho::Several => Who::Several,
        ModelWho::Unknown => Who::Unknown,
        ModelWho::Process(process) => Who::Process(Process {
            ancestry: process
                .ancestry
                .iter()
                .map(|task| Task {
                    pid: task.pid,
                    start_ns: task.start_ns,
                    command: task.command.clone(),
                })
                .collect(),
            uid: process.uid,
            login_uid: process.login_uid,
            login: process.login.clone(),
            unit: match &process.owner {
                Some(Owner::Unit(unit)) => Some(unit.clone()),
                _ => None,
            },
            container: match &process.owner {
                Some(Owner::Container(it)) => Some(Container {
                    runtime: it.runtime.to_owned(),
                    id: it.id.clone(),
                    pod: it.pod.clone(),
                }),
                _ => None,
            },
        }),
    }
}

fn who(who: Who) -> ModelWho {
    match who {
        Who::Kernel => ModelWho::Kernel,
        Who::Several => ModelWho::Several,
        Who::Unknown => ModelWho::Unknown,
        Who::Process(process) => ModelWho::Process(Arc::new(ModelProcess {
            ancestry: process
                .ancestry
                .into_iter()
                .map(|task| ModelTask {
                    pid: task.pid,
                    start_ns: task.start_ns,
                    command: task.command,
                })
                .collect(),
            uid: process.uid,
            login_uid: process.login_uid,
            login: process.login,
            owner: process
                .container
                .and_then(container)
                .map(Owner::Container)
                .or(process.unit.map(Owner::Unit)),
        })),
    }
}

fn container(of: Container) -> Option<owner::Container> {
    Some(owner::Container {
        runtime: owner::runtime(&of.runtime)?,
        id: of.id,
        pod: of.pod,
    })
}

fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

fn bytes(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows have string keys and fail in no other way")
}
