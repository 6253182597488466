//! The judge at work: fed by the reader once a second, asked by the API, kept on disk by the writer.

mod keeper;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) use self::keeper::Keeper;
use super::journal::{Journal, now};
use super::state::since_1970_ns;
use crate::detect;
use crate::judge::{self, Judge, Looked, News, Past};
use crate::model::Reading;
use crate::model::incident::{Event, Incident, Name, Severity, State, Told};
use crate::model::journal::{Entry, Moment};
use crate::model::verdict::Word;
use crate::sink::incidents_json::About;
use crate::sink::prometheus::Judged;

/// Changes up to so long before the first sign are told beside an incident.
const BEFORE: Duration = Duration::from_mins(2);

/// How many of them.
const CHANGES: usize = 5;

/// What the first reading stands for, of which nobody knows how long it took to come.
const FIRST: Duration = Duration::from_secs(1);

/// All incidents of this host, and who is told of them.
#[derive(Default)]
pub(super) struct Docket {
    bench: Mutex<Bench>,
    /// Something is to be written soon.
    urgent: AtomicBool,
}

#[derive(Default)]
struct Bench {
    judge: Judge,
    latest: Option<Instant>,
    judged: Moment,
    not_on_disk: Option<String>,
    write_failures: u64,
    /// Alerts that were taken, and tries that failed, by receiver.
    alerts: Vec<(String, u64, u64)>,
}

impl Docket {
    pub(super) fn of(settings: judge::Settings, past: Past) -> Self {
        Self {
            bench: Mutex::new(Bench {
                judge: Judge::new(settings, past, now()),
                ..Bench::default()
            }),
            urgent: AtomicBool::new(false),
        }
    }

    pub(super) fn set(&self, settings: judge::Settings) {
        self.lock().judge.set(settings);
    }

    /// Judges what came since the last call.
    pub(super) fn second(&self, reading: &Reading, journal: &Journal) {
        let at = now();
        let mut bench = self.lock();
        let before = bench.latest.replace(Instant::now());
        let passed = before.map_or(FIRST, |before| before.elapsed());
        let new = bench.judge.second(reading, at, passed);
        bench.judged = at;
        for &number in &new {
            let change = bench.judge.incidents().find(|it| it.number == number);
            if let Some(incident) = change {
                tracing::warn!("{} begins: {}", Name(number), incident.place);
                let events = preceding(incident, journal);
                bench.judge.precede(number, events);
            }
        }
        drop(bench);
        if !new.is_empty() {
            self.urgent.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn go_on_from(&self, reading: &Reading) {
        self.lock().judge.go_on_from(reading);
    }

    /// A person says that the present level is the normal one.
    pub(super) fn accept(&self, name: Name) -> Result<(), String> {
        let done = self.lock().judge.accept(name, now());
        self.urgent.store(true, Ordering::Relaxed);
        done
    }

    /// Incidents that changed after a revision, oldest first, and the last revision.
    pub(super) fn incidents(&self, after: u64) -> (Vec<Incident>, u64) {
        let bench = self.lock();
        let all = bench.judge.incidents();
        let last = all.map(|it| it.revision).max().unwrap_or(0);
        let changed = bench.judge.incidents().filter(|it| it.revision > after);
        (changed.cloned().collect(), last)
    }

    /// The incidents that are open, each with how often it came.
    pub(super) fn open(&self) -> HashSet<(u64, u32)> {
        let bench = self.lock();
        let open = bench.judge.incidents();
        let open = open.filter(|it| it.state == State::Open);
        open.map(|it| (it.number, it.episodes)).collect()
    }

    /// Somebody looked at what an incident does now.
    pub(super) fn looked(&self, number: u64, looked: Looked) {
        self.lock().judge.looked(number, looked);
    }

    /// What is known of the time before a window that ends with this reading.
    pub(super) fn remember(&self, reading: &Reading) -> detect::verdict::Past {
        self.lock().judge.remember(reading)
    }

    pub(super) fn about(&self) -> About {
        let bench = self.lock();
        About {
            not_on_disk: bench.not_on_disk.clone(),
            judged: bench.judged,
            streams: bench.judge.health().streams,
        }
    }

    /// A receiver took an alert.
    pub(super) fn told(&self, number: u64, told: Told) {
        self.lock().judge.told(number, told);
        self.urgent.store(true, Ordering::Relaxed);
    }

    /// Counts an alert that was taken, or a try that failed.
    pub(super) fn count_alert(&self, receiver: &str, taken: bool) {
        let mut bench = self.lock();
        let at = bench.alerts.iter().position(|(it, ..)| it == receiver);
        let at = at.unwrap_or_else(|| {
            bench.alerts.push((receiver.to_owned(), 0, 0));
            bench.alerts.len() - 1
        });
        let (_, sent, failed) = &mut bench.alerts[at];
        *if taken { sent } else { failed } += 1;
    }

    /// What metrics say.
    pub(super) fn judged(&self) -> Judged {
        let bench = self.lock();
        let health = bench.judge.health();
        let count = |verdict, severity| {
            let all = bench.judge.incidents();
            all.filter(|it| it.is_active() && (it.verdict, it.severity) == (verdict, severity))
                .count() as u64
        };
        let words = Word::ALL.into_iter().filter(|word| *word != Word::Healthy);
        let active = words.flat_map(|word| {
            Severity::ALL.map(|severity| (word.name(), severity.name(), count(word, severity)))
        });
        Judged {
            active: active.collect(),
            findings: health.findings,
            streams: health.streams,
            refused: health.refused,
            at_s: since_1970_ns(bench.judged),
            on_disk: bench.not_on_disk.is_none(),
            write_failures: bench.write_failures,
            alerts: bench.alerts.clone(),
        }
    }

    fn take_urgent(&self) -> bool {
        self.urgent.swap(false, Ordering::Relaxed)
    }

    fn news(&self, part: u64) -> News {
        self.lock().judge.news(part)
    }

    fn written(&self, failed: Option<String>) {
        let mut bench = self.lock();
        if failed.is_some() {
            bench.write_failures += 1;
            bench.judge.write_all();
        }
        bench.not_on_disk = failed;
    }

    fn lock(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What changed on this host shortly before an incident, and how usual that is.
fn preceding(incident: &Incident, journal: &Journal) -> Vec<Event> {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let error = Duration::try_from_secs_f32(incident.change_error_s).unwrap_or_default();
    let from = incident.change.saturating_sub(ns(BEFORE));
    let to = incident.change.saturating_add(ns(error));
    let (entries, usual) = journal.between(from, to);
    let last = entries.iter().rev().take(CHANGES).rev();
    let mut events: Vec<Event> = last.map(event).collect();
    if let Some(last) = events.last_mut() {
        last.what = format!("{}; {usual} such changes in the day before", last.what);
    }
    events
}

fn event(entry: &Entry) -> Event {
    let state = |it: &Option<String>| it.as_deref().unwrap_or("nothing").to_owned();
    let (before, after) = (state(&entry.before), state(&entry.after));
    let (namespace, kind, who) = (&entry.namespace, entry.kind.name(), &entry.who);
    Event {
        at: entry.at,
        what: format!("{namespace}: {kind} {before} → {after}, by {who}"),
    }
}
