//! Who is behind the ends of classes: this host's processes by their sockets, others by the prefix
//! that routes know them by.
//!
//! The kernel is asked for sockets once for a new end, and seldom again: what may be spent on it is
//! a small share of the time that passes (see [`credit`]).

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
use self::processes::Processes;
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
    /// When the next end is due; none where one was left for want of credit.
    due: Option<Instant>,
    processes: Processes,
    groups: Groups,
    credit: Credit,
}

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

impl Ends {
    /// Goes on to a reading; returns whether it has other ends than the one before, or may have.
    fn follow(&mut self, reading: &Reading) -> bool {
        let births = &reading.births;
        let are_born = births.nodes.len() == reading.nodes.len()
            && births.classes.len() == reading.classes.len();
        let are_same = are_born && *births == self.births;
        if !are_same {
            self.births.clone_from(births);
            self.keys = reading.classes.iter().map(class_key).collect();
            self.local = end::local(reading);
        }
        let is_same = |(one, other): (&Arc<Forwarding>, &Arc<Forwarding>)| Arc::ptr_eq(one, other);
        let (before, now) = (&self.forwarding, &reading.forwarding);
        let are_handed_on_as_before = are_same
            && before.len() == now.len()
            && before.keys().eq(now.keys())
            && before.values().zip(now.values()).all(is_same);
        if !are_handed_on_as_before {
            self.forwarding.clone_from(now);
            self.remote = remote(reading);
        }
        !are_handed_on_as_before
    }
}

impl Names {
    /// Says of each class of a reading who is behind its ends, where that is known.
    ///
    /// Where nothing is known that was not before, a reading that goes on from the last one is right.
    pub fn tell(&mut self, reading: &mut Reading, mirror: &Mirror) {
        let are_others = self.ends.follow(reading);
        if are_others {
            let keys: HashSet<&String> = self.ends.keys.iter().collect();
            self.known.retain(|key, _| keys.contains(key));
        }
        let now = Instant::now();
        let is_due = are_others || self.due.is_none_or(|due| due <= now);
        let mut is_new = false;
        if is_due || self.processes.is_looking() {
            self.credit.begin();
            is_new = self.look(mirror, now);
            self.credit.end();
        }
        if are_others || is_new {
            self.write(reading);
        }
    }

    /// Writes what is known.
    fn write(&self, reading: &mut Reading) {
        reading.names.clear();
        for (class, key) in self.ends.keys.iter().enumerate() {
            let known = self.known.get(key);
            let who = |side| {
                let known = known.and_then(|known| known[side as usize].as_ref());
                match known {
                    Some(known) if !known.processes.is_empty() => {
                        Who::Local(known.processes.clone())
                    }
                    _ if self.ends.local.contains_key(&(class, side)) => Who::Unknown,
                    _ => {
                        let prefix = self.ends.remote.get(&(class, side)).copied();
                        prefix.map_or(Who::Unknown, Who::Remote)
                    }
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

    /// Looks for the processes of the ends that are due, as far as there is credit; returns whether
    /// any end's are others now.
    fn look(&mut self, mirror: &Mirror, now: Instant) -> bool {
        let mut asked = Asked::new(mirror);
        let mut found: Vec<((usize, Side), Vec<Socket>)> = Vec::new();
        let mut due: Option<Instant> = None;
        let mut is_all = true;
        for (&(class, side), local) in &self.ends.local {
            let known = self.known.get(&self.ends.keys[class]);
            let again = known.and_then(|known| Some(known[side as usize].as_ref()?.again));
            // One that is due soon comes along where all sockets of its kind are at hand.
            let limit = if asked.has_all(local) {
                now + SOON
            } else {
                now
            };
            if again.is_some_and(|again| again > limit) {
                due = due.into_iter().chain(again).min();
            } else if self.credit.is_left() {
                found.push(((class, side), asked.of(local)));
            } else {
                is_all = is_all && again.is_some_and(|again| again > now);
                due = due.into_iter().chain(again).min();
            }
        }
        let inodes = || found.iter().flat_map(|(_, sockets)| sockets);
        self.processes.want(inodes().map(|socket| socket.inode));
        {
            let _rights = ForNames::of_processes();
            self.processes.walk(&self.credit);
        }
        let mut is_new = false;
        for ((class, side), sockets) in found {
            let processes = sockets.iter().filter_map(|socket| self.who(socket));
            let processes: BTreeSet<Process> = processes.take(PROCESSES).collect();
            let (again, is_other) = self.know(class, side, processes, now);
            due = due.into_iter().chain([again]).min();
            is_new |= is_other;
        }
        self.due = due.filter(|_| is_all);
        if self.ends.local.is_empty() {
            self.due = Some(now + SELDOM);
        }
        is_new
    }

    /// Whose a socket is: its process's, else that of the control group that it was made in.
    fn who(&mut self, socket: &Socket) -> Option<Process> {
        if let Some(process) = self.processes.of(socket.inode) {
            return Some(process);
        }
        let owner = self.groups.owner(socket.group?, &self.credit)?;
        Some(Process {
            command: None,
            owner: Some(owner),
        })
    }

    /// Notes the processes of an end; returns when it is looked at again, and whether they are others.
    fn know(
        &mut self,
        class: usize,
        side: Side,
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
