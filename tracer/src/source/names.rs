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
use std::time::{Duration, Instant};

use self::credit::Credit;
use self::end::{Local, Side};
use self::groups::Groups;
use self::processes::Processes;
pub use self::resolve::{Resolved, resolve};
use self::sockets::{Asked, Socket};
use super::live::rights::ForNames;
use super::mirror::Mirror;
use crate::model::name::{Names as Pair, Process, Who};
use crate::model::report::class_key;
use crate::model::{End, Parent, Reading};

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
    known: HashMap<(String, Side), Known>,
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

impl Names {
    /// Says of each class of a reading who is behind its ends, where that is known.
    pub fn tell(&mut self, reading: &mut Reading, mirror: &Mirror) {
        let local = end::local(reading);
        let keys: Vec<String> = reading.classes.iter().map(class_key).collect();
        let there: HashSet<&str> = keys.iter().map(String::as_str).collect();
        self.known
            .retain(|(key, _), _| there.contains(key.as_str()));
        self.credit.begin();
        self.look(&local, &keys, mirror);
        self.credit.end();
        reading.names.clear();
        let remote = remote(reading);
        for (class, key) in keys.into_iter().enumerate() {
            let who = |side| match self.known.get(&(key.clone(), side)) {
                Some(known) if !known.processes.is_empty() => Who::Local(known.processes.clone()),
                _ if local.contains_key(&(class, side)) => Who::Unknown,
                _ => remote
                    .get(&(class, side))
                    .copied()
                    .map_or(Who::Unknown, Who::Remote),
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

    /// Looks for the processes of the ends that are due, as far as there is credit.
    fn look(&mut self, local: &BTreeMap<(usize, Side), Local>, keys: &[String], mirror: &Mirror) {
        let now = Instant::now();
        let mut asked = Asked::new(mirror);
        let mut found: Vec<((String, Side), Vec<Socket>)> = Vec::new();
        for (&(class, side), local) in local {
            let place = (keys[class].clone(), side);
            let again = self.known.get(&place).map(|it| it.again);
            // What is due soon comes along where all sockets of its kind are at hand.
            let is_due = again.is_none_or(|again| again <= now)
                || again.is_some_and(|it| it <= now + SOON) && asked.has_all(local);
            if is_due && self.credit.is_left() {
                found.push((place, asked.of(local)));
            }
        }
        let inodes = || found.iter().flat_map(|(_, sockets)| sockets);
        self.processes.want(inodes().map(|socket| socket.inode));
        {
            let _rights = ForNames::of_processes();
            self.processes.walk(&self.credit);
        }
        for (place, sockets) in found {
            let processes = sockets.iter().filter_map(|socket| self.who(socket));
            let processes: BTreeSet<Process> = processes.take(PROCESSES).collect();
            self.know(place, processes, now);
        }
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

    fn know(&mut self, place: (String, Side), processes: BTreeSet<Process>, now: Instant) {
        let known = self.known.entry(place).or_insert(Known {
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
        if !processes.is_empty() {
            known.processes = processes;
        }
    }
}

/// By which prefix the FIB knows the ends of classes that are other hosts'.
fn remote(reading: &Reading) -> BTreeMap<(usize, Side), ipnet::IpNet> {
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
