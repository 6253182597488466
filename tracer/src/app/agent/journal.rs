//! The journal: what the source tells is written in memory at once, and on disk soon after.

mod writer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;

pub(super) use self::writer::Writer;
use super::reader::Order;
use crate::model::forwarding::FibEntry;
use crate::model::journal::book::{Active, Noted as Note};
use crate::model::journal::known::{Row, Snapshot};
use crate::model::journal::{
    Age, Book, Changes, Entry, Epochs, Kind, Known, Moment, Since, Subject,
};
use crate::model::{Hop, Reading, Report, RouteId};
use crate::source::live::makers::Noted;
use crate::source::mirror::{Changed, Event};
use crate::store::{News, Past};

/// How much longer than a cut takes there is none after it: what changes all the time costs no more
/// than that.
pub(super) const REST: u32 = 200;

/// A change that concerns routes: what was counted until now was before it.
pub(super) struct Cut {
    pub(super) entry: u64,
    pub(super) routes: Vec<RouteId>,
}

/// The journal, as far as it is in memory.
pub(super) struct Journal {
    told: Mutex<Told>,
    /// The reader, which is asked for a reading at a change.
    reader: OnceLock<tokio::sync::mpsc::WeakUnboundedSender<Order>>,
    /// Asks the writer for older entries.
    older: Mutex<Option<mpsc::Sender<writer::Ask>>>,
}

#[derive(Default)]
struct Told {
    book: Book,
    known: Known,
    epochs: Epochs,
    /// The last moment before this agent's start at which one was alive.
    heard: Option<Moment>,
    /// When something was heard of a namespace last.
    noted: HashMap<String, Moment>,
    /// The source whose notes count: a new one takes over when it begins to tell.
    source: u64,
    sources: u64,
    /// Why nothing is on disk.
    not_on_disk: Option<String>,
    /// Entries that were forgotten before they were written.
    failures: u64,
    /// The first entry of this agent.
    first: u64,
}

impl Journal {
    /// Goes on from what is on disk.
    pub(super) fn of(mut past: Past, older: Option<mpsc::Sender<writer::Ask>>) -> Arc<Self> {
        let is_rebooted = past.forget_makers_before(&crate::store::boot());
        let mut known = Known::from_rows(past.known);
        if is_rebooted {
            known.write_all();
        }
        let next = past.next;
        let book = Book::of(past.entries, next);
        Arc::new(Self {
            told: Mutex::new(Told {
                first: book.next(),
                book,
                known,
                epochs: Epochs::of(past.lives),
                heard: past.heard,
                ..Told::default()
            }),
            reader: OnceLock::new(),
            older: Mutex::new(older),
        })
    }

    /// Whom to ask for readings.
    pub(super) fn ask(&self, reader: &UnboundedSender<Order>) {
        // There is one reader in an agent's life.
        let _ = self.reader.set(reader.downgrade());
    }

    /// What a new source is to tell.
    pub(super) fn listener(self: &Arc<Self>) -> Box<dyn FnMut(Noted) + Send> {
        let mut told = self.lock();
        told.sources += 1;
        let (journal, source) = (Arc::clone(self), told.sources);
        Box::new(move |noted| journal.note(source, noted))
    }

    fn note(&self, source: u64, noted: Noted) {
        let Noted { note, who } = noted;
        let namespace = note.namespace.name;
        let at = moment(note.at);
        let mut told = self.lock();
        // The one before goes on for a moment, and tells the same.
        told.source = told.source.max(source);
        if source < told.source {
            return;
        }
        if let Event::Begun(snapshot) = &note.event {
            told.begin(&namespace, snapshot, at);
        }
        told.noted.insert(namespace.clone(), at);
        match note.event {
            Event::Gap { since } => {
                told.book.gap(&namespace, moment(since), at);
            }
            Event::Changed(changed) => {
                let cut = told.change(&namespace, &changed, who, at);
                drop(told);
                if let (Some(cut), Some(reader)) = (cut, self.reader.get())
                    && let Some(reader) = reader.upgrade()
                {
                    // A reader that is gone needs no cuts.
                    let _ = reader.send(Order::Cut(cut));
                }
            }
            Event::Vanished => told.known.forget(&namespace),
            Event::Appeared | Event::Begun(_) | Event::Heard(_) => {}
        }
    }

    /// A reading was counted.
    pub(super) fn read(&self, reading: &Reading) {
        let mut told = self.lock();
        told.epochs.read(reading, now());
        told.book.follow(active(reading));
    }

    /// Another source counts from here on.
    pub(super) fn go_on_from(&self, reading: &Reading) {
        self.lock().epochs.go_on_from(reading);
    }

    /// A change began; a reading was just counted.
    pub(super) fn begin_change(&self, cut: &Cut) {
        let mut told = self.lock();
        told.epochs.begin_change(&cut.routes, cut.entry, now());
    }

    /// The changes are over; a reading was just counted.
    pub(super) fn end_changes(&self) {
        self.lock().epochs.end_changes(now());
    }

    /// The changes since a moment.
    pub(super) fn changes(&self, since: Moment) -> Changes {
        let older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = older
            .as_ref()
            .map_or_else(Vec::new, |writer| writer::entries(writer, since));
        drop(older);
        let told = self.lock();
        let first = told
            .book
            .entries(0)
            .next()
            .map_or(u64::MAX, |entry| entry.id);
        entries.retain(|entry| entry.id < first);
        let recent = told.book.entries(0).filter(|entry| entry.last >= since);
        entries.extend(recent.cloned());
        Changes {
            not_on_disk: told.not_on_disk.clone(),
            ..Changes::of(entries, &told.epochs, since)
        }
    }

    /// What is known of a thing of a namespace.
    pub(super) fn known(&self, namespace: &str, subject: &Subject) -> Option<Row> {
        self.lock().known.row(namespace, subject).cloned()
    }

    /// Changes between two moments, and how many there were in the day before them, as far as they
    /// are in memory.
    pub(super) fn between(&self, from: Moment, to: Moment) -> (Vec<Entry>, usize) {
        const DAY: Moment = 86_400_000_000_000;
        let told = self.lock();
        let is_change = |entry: &&Entry| entry.kind != Kind::Gap;
        let recent = told.book.entries(0).filter(is_change);
        let (during, earlier): (Vec<&Entry>, Vec<&Entry>) = recent
            .filter(|entry| entry.last >= from.saturating_sub(DAY) && entry.at <= to)
            .partition(|entry| entry.last >= from);
        (during.into_iter().cloned().collect(), earlier.len())
    }

    /// Changes by kind and protocol, and how often they could not be written.
    pub(super) fn counts(&self) -> (Vec<(Kind, String, u64)>, u64, bool) {
        let told = self.lock();
        let mut counts = told.book.counts().clone();
        // What did not happen yet is 0, so that its first time shows as an increase.
        for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Gap) {
            counts.entry((kind, String::new())).or_default();
        }
        let counts = counts.into_iter();
        let counts = counts.map(|((kind, protocol), count)| (kind, protocol, count));
        (counts.collect(), told.failures, told.not_on_disk.is_none())
    }

    /// Fills in how old the routes of a report are, and who set them.
    pub(super) fn date(&self, report: &mut Report) {
        let told = self.lock();
        let now = now();
        for step in report.routes.iter_mut().flat_map(|route| &mut route.steps) {
            let forwarding = step.forwarding.as_mut().map(Arc::make_mut);
            let entry = forwarding.and_then(|it| it.entry.as_mut());
            if let Some(entry) = entry {
                let row = told.row(&step.hop, entry);
                entry.age = row.map(|row| row.since.age(now));
                entry.set_by = row.map(|row| row.who.clone());
            }
        }
    }

    /// How old the FIB entries of a reading are, by index of the first node of those that share hop
    /// and entry.
    pub(super) fn ages(&self, reading: &Reading) -> BTreeMap<usize, Age> {
        let told = self.lock();
        let now = now();
        let mut seen = HashSet::new();
        let known = reading.forwarding.iter();
        let dated = known.filter_map(|(&index, forwarding)| {
            let entry = forwarding.entry.as_ref()?;
            let hop = &reading.nodes.get(index)?.hop;
            let is_new = seen.insert((Arc::as_ptr(hop), Arc::as_ptr(forwarding)));
            let row = is_new.then(|| told.row(hop, entry))??;
            Some((index, row.since.age(now)))
        });
        dated.collect()
    }

    /// What is to be written; the lives of routes too, if asked for.
    fn news(&self, lives: bool) -> News {
        let mut told = self.lock();
        let lives = lives.then(|| told.epochs.take_touched());
        News {
            entries: told.book.take_dirty(),
            known: told.known.take_dirty(),
            lives: lives.unwrap_or_default(),
            heard: now(),
            next: told.book.next(),
            boot: String::new(),
        }
    }

    /// What was handed out could not be written, or could again.
    fn written(&self, failed: Option<String>) {
        let mut told = self.lock();
        if let Some(because) = failed {
            told.failures += 1;
            told.not_on_disk = Some(because);
            // Whatever the disk holds by then, all is written again; the past is there already.
            let first = told.first;
            let again: Vec<_> = told.book.entries(first).cloned().collect();
            told.book.write_again(&again);
            told.known.write_all();
            told.epochs.touch_all();
        } else {
            told.not_on_disk = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// What is known of a FIB entry.
    fn row(&self, hop: &Hop, entry: &FibEntry) -> Option<&Row> {
        let prefix = entry.prefix.to_string();
        let namespace = &hop.namespace.name;
        self.known
            .route(namespace, &prefix, entry.table, entry.metric)
    }

    /// A namespace is looked at for the first time, or again.
    fn begin(&mut self, namespace: &str, snapshot: &Snapshot, at: Moment) {
        let since = self.noted.get(namespace).copied().or(self.heard);
        for difference in self.known.look(namespace, snapshot, at) {
            self.book
                .found(namespace, difference, since.unwrap_or_default(), at);
        }
    }

    /// Writes a change; returns which routes it concerns, if any.
    fn change(
        &mut self,
        namespace: &str,
        changed: &Changed,
        who: crate::model::journal::Who,
        at: Moment,
    ) -> Option<Cut> {
        let Changed {
            change, devices, ..
        } = changed;
        let fact = change.after.as_ref().or(change.before.as_ref())?;
        let subject = crate::model::journal::subject(fact, devices);
        let after = change.after.as_ref();
        let after = after.map(|fact| crate::model::journal::text(fact, devices));
        let since = Since { at, exact: true };
        self.known
            .change(namespace, &subject, after.as_deref(), since, &who);
        let entry = self.book.change(Note {
            at,
            namespace,
            change,
            devices,
            who,
        })?;
        let routes = self.epochs.concerned(namespace, change, devices);
        (!routes.is_empty()).then_some(Cut { entry, routes })
    }
}

/// The addresses that classes talk to, and those of their next hops.
fn active(reading: &Reading) -> Active {
    let classes = reading.classes.iter().filter_map(|class| class.first);
    let translated = reading.nodes.iter().filter_map(|node| node.translated);
    let ends = classes
        .chain(translated)
        .flat_map(|it| [it.source, it.destination]);
    let forwarding = reading.forwarding.values();
    let next_hops = forwarding.flat_map(|it| {
        let gateway = it.entry.as_ref().and_then(|entry| entry.gateway);
        let peer = it
            .next_hop
            .iter()
            .filter_map(|peer| peer.addresses.first().copied());
        gateway.into_iter().chain(peer).collect::<Vec<IpAddr>>()
    });
    Active::of(ends.chain(next_hops))
}

pub(in crate::app) fn now() -> Moment {
    moment(SystemTime::now())
}

/// A time from before 1970 is 0.
fn moment(at: SystemTime) -> Moment {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
