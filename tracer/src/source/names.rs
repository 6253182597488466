//! Who is behind the ends of classes: this host's processes by their sockets, others by the prefix
//! that routes know them by.
//!
//! The kernel is asked for sockets once for a new end, and seldom again: what may be spent on it is
//! a small share of the time that passes (see [`credit`]). New ends have a share of their own, so that
//! they never wait for those that are known.

mod credit;
mod end;
mod groups;
pub(super) mod process;
mod processes;
mod resolve;
mod sockets;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use self::credit::Credit;
use self::end::{Local, Side};
use self::groups::Groups;
use self::processes::{Processes, Search};
pub use self::resolve::{Resolved, resolve};
use self::sockets::{Asked, Socket};
use super::live::rights::ForNames;
use super::mirror::Mirror;
use crate::model::forwarding::Forwarding;
use crate::model::name::{Names as Pair, Process, Who};
use crate::model::report::class_key;
use crate::model::{Births, End, Parent, Reading};

/// When an end whose processes are known is looked at again: sockets come and go.
const KNOWN: Duration = Duration::from_secs(20);

/// When an end whose processes are not known is, doubled each time …
const UNKNOWN: Duration = Duration::from_millis(500);

/// … and at most.
const SELDOM: Duration = Duration::from_mins(1);

/// What is due within this time need not be asked for on its own.
const SOON: Duration = Duration::from_secs(10);

/// The most processes of an end.
const PROCESSES: usize = 8;

/// Finds names.
#[derive(Default)]
pub struct Names {
    /// By the class's text and the side.
    known: HashMap<String, [Option<Known>; 2]>,
    ends: Ends,
    /// Ends that were not looked at yet.
    new: Vec<(usize, Side)>,
    /// When the next one of the others is due.
    due: Option<Instant>,
    processes: Processes,
    groups: Groups,
    for_new: Means,
    for_known: Means,
}

/// What finding the names of some ends has to itself, so that others never take it from them.
#[derive(Default)]
struct Means {
    credit: Credit,
    search: Search,
}

/// Ends with their sockets.
type Found = Vec<((usize, Side), Vec<Socket>)>;

/// What is known of an end.
struct Known {
    processes: BTreeSet<Process>,
    again: Instant,
    wait: Duration,
}

/// The ends of a reading's classes.
#[derive(Default)]
struct Ends {
    /// Which nodes and classes it has.
    births: Births,
    /// How packets were handed on there.
    forwarding: BTreeMap<usize, Arc<Forwarding>>,
    /// The classes as texts.
    keys: Vec<String>,
    local: BTreeMap<(usize, Side), Local>,
    remote: BTreeMap<(usize, Side), IpNet>,
}

/// What is another one in a reading's ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Other {
    Nothing,
    /// The prefixes that other hosts are known by.
    Prefixes,
    /// The ends themselves, or nobody knows.
    Ends,
}

impl Ends {
    /// Goes on to a reading; returns what is another one there than in the one before, or may be.
    fn follow(&mut self, reading: &Reading) -> Other {
        let births = &reading.births;
        let are_born = births.nodes.len() == reading.nodes.len()
            && births.classes.len() == reading.classes.len();
        let mut other = Other::Nothing;
        if !are_born || *births != self.births {
            self.births.clone_from(births);
            self.keys = reading.classes.iter().map(class_key).collect();
            self.local = end::local(reading);
            other = Other::Ends;
        }
        let is_same = |(one, other): (&Arc<Forwarding>, &Arc<Forwarding>)| Arc::ptr_eq(one, other);
        let (before, now) = (&self.forwarding, &reading.forwarding);
        let are_handed_on_as_before = other == Other::Nothing
            && before.len() == now.len()
            && before.keys().eq(now.keys())
            && before.values().zip(now.values()).all(is_same);
        if !are_handed_on_as_before {
            self.forwarding.clone_from(now);
            let before = std::mem::replace(&mut self.remote, remote(reading));
            if before != self.remote {
                other = other.max(Other::Prefixes);
            }
        }
        other
    }
}

impl Names {
    /// Says of each class of a reading who is behind its ends, where that is known.
    ///
    /// Where nothing is known that was not before, a reading that goes on from the last one is right.
    pub fn tell(&mut self, reading: &mut Reading, mirror: &Mirror) {
        let other = self.ends.follow(reading);
        if other == Other::Ends {
            self.begin();
        }
        let (now, mut is_new) = (Instant::now(), false);
        let mut asked = Asked::new(mirror);
        if !self.new.is_empty() || self.for_new.search.is_on() {
            is_new |= self.look_at_new(&mut asked, now);
        }
        if self.due.is_some_and(|due| due <= now) || self.for_known.search.is_on() {
            is_new |= self.look_again(&mut asked, now);
        }
        if other > Other::Nothing || is_new {
            self.write(reading);
        }
    }

    /// Ends came or went.
    fn begin(&mut self) {
        let keys: HashSet<&String> = self.ends.keys.iter().collect();
        self.known.retain(|key, _| keys.contains(key));
        let ends = self.ends.local.keys().copied();
        self.new = ends.filter(|&end| self.known_of(end).is_none()).collect();
        // Those that are gone may have been the next.
        self.due = Some(Instant::now());
    }

    fn known_of(&self, (class, side): (usize, Side)) -> Option<&Known> {
        let known = self.known.get(&self.ends.keys[class]);
        known.and_then(|known| known[side as usize].as_ref())
    }

    /// Writes what is known.
    fn write(&self, reading: &mut Reading) {
        reading.names.clear();
        for class in 0..self.ends.keys.len() {
            let who = |side| match self.known_of((class, side)) {
                Some(known) if !known.processes.is_empty() => Who::Local(known.processes.clone()),
                _ if self.ends.local.contains_key(&(class, side)) => Who::Unknown,
                _ => {
                    let prefix = self.ends.remote.get(&(class, side)).copied();
                    prefix.map_or(Who::Unknown, Who::Remote)
                }
            };
            let names = Pair {
                source: who(Side::Source),
                destination: who(Side::Destination),
            };
            if names != Pair::default() {
                reading.names.insert(class, names);
            }
        }
    }

    /// Looks for the processes of ends that nobody looked at, as far as there is credit; returns
    /// whether any are known then.
    fn look_at_new(&mut self, asked: &mut Asked<'_>, now: Instant) -> bool {
        self.for_new.credit.begin();
        let (mut found, mut left): (Found, _) = (Vec::new(), Vec::new());
        for end in std::mem::take(&mut self.new) {
            if self.for_new.credit.is_left() {
                found.push((end, asked.of(&self.ends.local[&end])));
            } else {
                left.push(end);
            }
        }
        self.new = left;
        let mut means = std::mem::take(&mut self.for_new);
        let is_new = self.find(found, &mut means, now);
        self.for_new = means;
        is_new
    }

    /// Looks again for the processes of the ends that are due, as far as there is credit; returns
    /// whether any end's are others now.
    fn look_again(&mut self, asked: &mut Asked<'_>, now: Instant) -> bool {
        let mut means = std::mem::take(&mut self.for_known);
        means.credit.begin();
        let mut found = Vec::new();
        self.due = None;
        for (&end, local) in &self.ends.local {
            // One that nobody looked at yet is not looked at again.
            let Some(again) = self.known_of(end).map(|known| known.again) else {
                continue;
            };
            // One that is due soon comes along where all sockets of its kind are at hand.
            let limit = if asked.has_all(local) {
                now + SOON
            } else {
                now
            };
            if again <= limit && means.credit.is_left() {
                found.push((end, asked.of(local)));
            } else {
                let again = again.max(now + UNKNOWN);
                self.due = self.due.into_iter().chain([again]).min();
            }
        }
        let is_new = self.find(found, &mut means, now);
        self.for_known = means;
        is_new
    }

    /// Finds the processes of ends by their sockets; returns whether any end's are others now.
    fn find(&mut self, found: Found, means: &mut Means, now: Instant) -> bool {
        let Means { credit, search } = means;
        let inodes = found.iter().flat_map(|(_, sockets)| sockets);
        self.processes
            .want(search, inodes.map(|socket| socket.inode));
        if search.is_on() {
            let _rights = ForNames::of_processes();
            self.processes.walk(search, credit);
        }
        let mut is_new = false;
        for (end, sockets) in found {
            let processes = sockets.iter().filter_map(|socket| self.who(socket, credit));
            let processes: BTreeSet<Process> = processes.take(PROCESSES).collect();
            let (again, is_other) = self.know(end, processes, now);
            self.due = self.due.into_iter().chain([again]).min();
            is_new |= is_other;
        }
        credit.end();
        is_new
    }

    /// Whose a socket is: its process's, else that of the control group that it was made in.
    fn who(&mut self, socket: &Socket, credit: &Credit) -> Option<Process> {
        if let Some(process) = self.processes.of(socket.inode) {
            return Some(process);
        }
        let owner = self.groups.owner(socket.group?, credit)?;
        Some(Process {
            command: None,
            owner: Some(owner),
        })
    }

    /// Notes the processes of an end; returns when it is looked at again, and whether they are others.
    fn know(
        &mut self,
        (class, side): (usize, Side),
        processes: BTreeSet<Process>,
        now: Instant,
    ) -> (Instant, bool) {
        let key = &self.ends.keys[class];
        let sides = self.known.entry(key.clone()).or_default();
        let known = sides[side as usize].get_or_insert(Known {
            processes: BTreeSet::new(),
            again: now,
            wait: UNKNOWN,
        });
        let is_complete = processes.iter().all(|it| it.command.is_some());
        if !processes.is_empty() && is_complete {
            known.wait = KNOWN;
        } else {
            known.wait = (known.wait * 2).min(SELDOM);
        }
        known.again = now + known.wait;
        // A client whose socket is closed by now is the one that it was.
        let is_other = !processes.is_empty() && processes != known.processes;
        if is_other {
            known.processes = processes;
        }
        (known.again, is_other)
    }
}

/// By which prefix the FIB knows the ends of classes that are other hosts'.
fn remote(reading: &Reading) -> BTreeMap<(usize, Side), IpNet> {
    let mut prefixes = BTreeMap::new();
    for (&index, forwarding) in &reading.forwarding {
        let Some(entry) = &forwarding.entry else {
            continue;
        };
        let Some(class) = class_of(reading, index) else {
            continue;
        };
        let answers = reading.classes[class].way_back;
        let is_prefix = |end: &End| matches!(end, End::Prefix(..));
        if is_prefix(&reading.classes[class].destination) {
            prefixes
                .entry((class, Side::Destination))
                .or_insert(entry.prefix);
        }
        if let Some(answers) = answers
            && reading
                .classes
                .get(answers)
                .is_some_and(|it| is_prefix(&it.source))
        {
            prefixes
                .entry((answers, Side::Source))
                .or_insert(entry.prefix);
        }
    }
    prefixes
}

/// The class that a node belongs to.
fn class_of(reading: &Reading, mut index: usize) -> Option<usize> {
    loop {
        match reading.nodes.get(index)?.parent {
            Parent::Class(class) => return (class < reading.classes.len()).then_some(class),
            Parent::Node(parent) if parent < index => index = parent,
            Parent::Node(_) => return None,
        }
    }
}

/// The body of a socket's message, as the kernel might tell it.
#[cfg(feature = "fuzz")]
pub fn fuzz(bytes: &[u8]) {
    sockets::fuzz(bytes);
}
