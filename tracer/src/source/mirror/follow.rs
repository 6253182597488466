//! The mirror's thread: it finds namespaces, listens to all of them, and dumps what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime};

use super::namespace::{Follow, Outcome};
use super::recent::Recent;
use super::socket::Sockets;
use super::waiting::Waiting;
use super::{Changed, Event, Followed, Heard, Note, Seen, Tell};
use crate::model::Namespace;
use crate::model::journal::known::Snapshot;
use crate::model::network::{Change, Fact, Network};
use crate::source::live::makers::Listeners;
use crate::source::live::rights::ForNames;
use crate::source::netns::find::{Finder, Found};
use crate::source::spent::spent;

/// How often namespaces of processes are looked for, at most …
const SCAN: Duration = Duration::from_millis(400);

/// … and so many times more seldom than a look takes.
const SCAN_REST: u32 = 200;

/// After a name came, the namespace is mounted there: as soon as that, or that.
const MOUNTED: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(150),
];

/// So many namespaces are entered one after the other.
const FEW: usize = 8;

/// Where names come and go all the time, a look at them is followed by so many times of rest.
const NAMES_REST: u32 = 20;

/// How long after a failure a namespace is tried again, doubled each time …
const AGAIN: Duration = Duration::from_millis(50);

/// … and at most.
const SELDOM: Duration = Duration::from_mins(1);

/// A namespace that could not be entered. It may have gone at that very moment, and another one may
/// have got its inode.
struct Closed {
    again: Instant,
    wait: Duration,
}

pub(super) struct Follower {
    seen: Arc<Mutex<Seen>>,
    waiting: Waiting,
    tell: Tell,
    listeners: Option<Listeners>,
    follows: BTreeMap<u32, Follow>,
    /// Those that could not be entered.
    closed: BTreeMap<u32, Closed>,
    finder: Finder,
    next_scan: Instant,
    /// From when on names that came or went are a reason to scan.
    names_rested: Instant,
    /// When a name that came may stand for a namespace.
    mounted: Vec<Instant>,
}

impl Follower {
    pub(super) fn new(
        seen: Arc<Mutex<Seen>>,
        waiting: Waiting,
        tell: Tell,
        listeners: Option<Listeners>,
    ) -> Self {
        Self {
            seen,
            waiting,
            tell,
            listeners,
            follows: BTreeMap::new(),
            closed: BTreeMap::new(),
            finder: Finder::default(),
            next_scan: Instant::now(),
            names_rested: Instant::now(),
            mounted: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let sockets: Vec<(u32, RawFd)> = self
                .follows
                .iter()
                .map(|(&inode, follow)| (inode, follow.descriptor()))
                .collect();
            let descriptors: Vec<RawFd> = sockets.iter().map(|&(_, socket)| socket).collect();
            let ready = self.waiting.wait(&descriptors, self.patience());
            if ready.end {
                return;
            }
            for at in ready.sockets {
                self.listen(sockets[at].0);
            }
            if ready.names {
                // One that lost its name must not wait for us.
                self.next_scan = self.next_scan.min(self.names_rested);
            }
            if self.next_scan <= Instant::now() {
                self.scan();
            }
            let now = Instant::now();
            if ready.names {
                self.mounted = MOUNTED.map(|soon| now + soon).to_vec();
            }
            self.mounted.retain(|&mounted| mounted > now);
            if let Some(&mounted) = self.mounted.first() {
                self.next_scan = self.next_scan.min(self.names_rested.max(mounted));
            }
            self.use_tables();
            self.check();
        }
    }

    fn patience(&self) -> Duration {
        let due = self.follows.values().filter_map(Follow::next_due);
        let next = due.chain([self.next_scan]).min().unwrap_or(self.next_scan);
        // poll counts in whole milliseconds, and would wake too early.
        next.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
    }

    /// Looks for namespaces that came, went, or got another name.
    pub(super) fn scan(&mut self) {
        let _rights = ForNames::take_up();
        let (start, before) = (Instant::now(), spent());
        let found = self.finder.all();
        let took = spent().saturating_sub(before);
        let gone: Vec<u32> = self
            .follows
            .keys()
            .filter(|inode| !found.contains_key(inode))
            .copied()
            .collect();
        for inode in gone {
            self.leave(inode, true);
        }
        self.closed.retain(|inode, _| found.contains_key(inode));
        let mut new = Vec::new();
        for (inode, found) in found {
            if self.follows.contains_key(&inode) {
                self.rename(inode, found);
            } else if self.closed.get(&inode).is_none_or(|it| it.again <= start) {
                new.push((inode, found));
            }
        }
        self.enter(new);
        let now = Instant::now();
        self.next_scan = now + SCAN.max(took * SCAN_REST);
        self.names_rested = now + took * NAMES_REST;
        let again = self.closed.values().map(|closed| closed.again).min();
        self.next_scan = again.map_or(self.next_scan, |again| again.min(self.next_scan));
    }

    /// Begins to follow namespaces.
    fn enter(&mut self, new: Vec<(u32, Found)>) {
        let entered = at_once(&new, |(inode, found)| {
            let file = open(*inode, found)?;
            let sockets = Sockets::open(&file, self.listeners.as_ref())?;
            let cookie = sockets.cookie;
            Ok((cookie, Follow::start(sockets)?))
        });
        let mut inodes = Vec::new();
        for ((inode, found), entered) in new.into_iter().zip(entered) {
            match entered {
                Ok((cookie, (follow, network))) => {
                    self.begin(inode, found, cookie, (follow, network));
                    inodes.push(inode);
                }
                Err(error) => self.could_not_enter(inode, &found, &error),
            }
        }
        self.links_changed_elsewhere(&inodes);
    }

    fn begin(
        &mut self,
        inode: u32,
        found: Found,
        cookie: Option<u64>,
        (follow, network): (Follow, Network),
    ) {
        let namespace = Namespace {
            name: found.name,
            cookie: cookie.unwrap_or_else(|| u64::from(inode)),
            inode,
        };
        self.closed.remove(&inode);
        self.follows.insert(inode, follow);
        let begun = Snapshot::of(&network);
        lock(&self.seen).namespaces.insert(
            inode,
            Followed {
                namespace: namespace.clone(),
                network,
                path: found.path,
                used: BTreeSet::new(),
                recent: Recent::default(),
            },
        );
        self.note(namespace.clone(), Event::Appeared);
        self.note(namespace, Event::Begun(Box::new(begun)));
    }

    /// A namespace may end while it is looked at: what fails once is no news.
    fn could_not_enter(&mut self, inode: u32, found: &Found, error: &io::Error) {
        let now = Instant::now();
        let Some(closed) = self.closed.get_mut(&inode) else {
            let (again, wait) = (now + AGAIN, AGAIN);
            self.closed.insert(inode, Closed { again, wait });
            return;
        };
        if closed.wait == AGAIN {
            let path = found.path.display();
            tracing::warn!("follow the network namespace of {path}: {error}");
            lock(&self.seen).counts.closed += 1;
        }
        closed.wait = (closed.wait * 2).min(SELDOM);
        closed.again = now + closed.wait;
    }

    /// Follows a namespace no more: it is gone, or has to be looked at anew.
    fn leave(&mut self, inode: u32, is_gone: bool) {
        // Its sockets are all that may keep it.
        let follow = self.follows.remove(&inode);
        let listener = follow.and_then(|follow| follow.listener());
        let left = lock(&self.seen).namespaces.remove(&inode);
        self.links_changed_elsewhere(&[inode]);
        if let Some(left) = left {
            let ended = Heard {
                listener,
                messages: Vec::new(),
                made: None,
                ended: true,
            };
            self.note(left.namespace.clone(), Event::Heard(ended));
            if is_gone {
                self.note(left.namespace, Event::Vanished);
            }
        }
    }

    /// A name that comes later is the better one, and a process may end.
    fn rename(&mut self, inode: u32, found: Found) {
        if let Some(followed) = lock(&self.seen).namespaces.get_mut(&inode) {
            followed.namespace.name = found.name;
            followed.path = found.path;
        }
    }

    fn listen(&mut self, inode: u32) {
        self.with(inode, |follow, followed, counts| {
            follow.listen(&mut followed.network, counts)
        });
    }

    /// What is learnt beside the tables that packets use is read, and read again.
    fn use_tables(&mut self) {
        let seen = lock(&self.seen);
        for (inode, follow) in &mut self.follows {
            if let Some(followed) = seen.namespaces.get(inode) {
                follow.use_tables(&followed.used);
            }
        }
    }

    fn check(&mut self) {
        let now = Instant::now();
        let due = |follow: &Follow| follow.next_due().is_some_and(|due| due <= now);
        let due: Vec<u32> = self
            .follows
            .iter()
            .filter(|(_, follow)| due(follow))
            .map(|(&inode, _)| inode)
            .collect();
        for inode in due {
            let mut failed = false;
            self.with(inode, |follow, followed, counts| {
                let (outcome, checked) = follow.check(&mut followed.network, counts);
                if let Err(error) = checked {
                    let name = &followed.namespace.name;
                    tracing::warn!("dump a part of the network namespace {name}: {error}");
                    failed = true;
                }
                outcome
            });
            if failed {
                // It is found again, and entered anew.
                self.leave(inode, false);
            }
        }
    }

    fn with(
        &mut self,
        inode: u32,
        work: impl FnOnce(&mut Follow, &mut Followed, &mut super::Counts) -> Outcome,
    ) {
        let mut seen = lock(&self.seen);
        let seen_now = &mut *seen;
        let (Some(follow), Some(followed)) = (
            self.follows.get_mut(&inode),
            seen_now.namespaces.get_mut(&inode),
        ) else {
            return;
        };
        let outcome = work(follow, followed, &mut seen_now.counts);
        let namespace = followed.namespace.clone();
        for made in &outcome.changes {
            followed.recent.note(&made.change);
        }
        if outcome.begun {
            followed.recent.note_all();
        }
        let changed: Vec<Changed> = outcome
            .changes
            .into_iter()
            .map(|made| Changed::of(made, &followed.network))
            .collect();
        drop(seen);
        if changed
            .iter()
            .any(|changed| is_seen_elsewhere(&changed.change))
        {
            self.links_changed_elsewhere(&[inode]);
        }
        if let Some(since) = outcome.gap {
            self.note(namespace.clone(), Event::Gap { since });
        }
        for changed in changed {
            self.note(namespace.clone(), Event::Changed(Box::new(changed)));
        }
        if !outcome.heard.is_empty() || outcome.made.is_some() {
            let heard = Heard {
                listener: outcome.listener,
                messages: outcome.heard,
                made: outcome.made,
                ended: false,
            };
            self.note(namespace, Event::Heard(heard));
        }
    }

    /// Devices of other namespaces may have lost or got their other end, which those are not told.
    fn links_changed_elsewhere(&mut self, here: &[u32]) {
        let is_elsewhere = |inode: u32| here.iter().any(|&it| it != inode);
        let seen = lock(&self.seen);
        let others = self.follows.iter_mut();
        for (&inode, follow) in others.filter(|&(&inode, _)| is_elsewhere(inode)) {
            let followed = seen.namespaces.get(&inode);
            let mut links = followed.into_iter().flat_map(|it| it.network.links());
            if links.any(|link| link.kind == "veth" || link.lower.is_some()) {
                follow.touch_links();
            }
        }
    }

    fn note(&mut self, namespace: Namespace, event: Event) {
        (self.tell)(Note {
            at: SystemTime::now(),
            namespace,
            event,
        });
    }
}

/// Whether a device came, went, or was set up or down: the other end of a pair loses or gets its
/// carrier at once, and tells it up to a second later (`net/core/link_watch.c`).
fn is_seen_elsewhere(change: &Change) -> bool {
    match (&change.before, &change.after) {
        (Some(Fact::Link(before)), Some(Fact::Link(after))) => before.up != after.up,
        (None, Some(Fact::Link(_))) | (Some(Fact::Link(_)), None) => true,
        _ => false,
    }
}

/// At most so many threads at once: each entering a namespace takes another one, and a service may not
/// have many (`TasksMax`).
const AT_ONCE: usize = 4;

/// Does something with each of a list, in order, with some threads more where it is a long one. They have
/// the rights of this one. What the host has no thread for is done here.
fn at_once<T: Sync, U: Send>(all: &[T], work: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let threads = available_parallelism().map_or(1, usize::from);
    let share = all.len().div_ceil(threads.min(AT_ONCE)).max(FEW);
    let here = |share: &[T]| share.iter().map(&work).collect::<Vec<U>>();
    if all.len() <= share {
        return here(all);
    }
    std::thread::scope(|scope| {
        let start = |share| {
            let thread = std::thread::Builder::new();
            (share, thread.spawn_scoped(scope, move || here(share)).ok())
        };
        let shares: Vec<_> = all.chunks(share).map(start).collect();
        let done = shares.into_iter().map(|(share, thread)| match thread {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => here(share),
        });
        done.flatten().collect()
    })
}

/// The file that stands for a namespace, if it still is that one.
fn open(inode: u32, found: &Found) -> io::Result<File> {
    let file = File::open(&found.path)?;
    if file.metadata()?.ino() as u32 == inode {
        Ok(file)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
