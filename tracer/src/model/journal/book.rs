//! The journal as it is written: what is kept singly, what is counted, and what is a flap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Entry, Kind, Moment, Subject, Who, fact, known};
use crate::model::network::{Change, Fact, How, NeighbourState};

/// How many entries are kept in memory; older ones are where they were written.
pub const ENTRIES: usize = 8_192;

/// Changes of one thing that go to and fro are one flap, as long as they come within this time.
const FLAP: Moment = 60_000_000_000;

const SECOND: Moment = 1_000_000_000;

/// A change that is to be written.
pub struct Noted<'a> {
    /// When it was known.
    pub at: Moment,
    /// The name of its namespace.
    pub namespace: &'a str,
    /// The change.
    pub change: &'a Change,
    /// The names of its devices.
    pub devices: &'a BTreeMap<u32, String>,
    /// Who made it.
    pub who: Who,
}

/// The addresses that classes which have packets talk to, and the next hops that they go by.
#[derive(Clone, Debug, Default)]
pub struct Active(Vec<IpAddr>);

impl Active {
    /// These.
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut addresses: Vec<_> = addresses.into_iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self(addresses)
    }

    /// Whether one of them is in a prefix.
    pub fn uses(&self, prefix: &IpNet) -> bool {
        let first = self
            .0
            .partition_point(|address| *address < prefix.network());
        self.0
            .get(first)
            .is_some_and(|address| prefix.contains(address))
    }
}

/// The journal, as far as it is in memory.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    dirty: BTreeSet<u64>,
    /// The last entry of each thing, to see a flap.
    last: HashMap<(String, Subject), u64>,
    /// The last entry of those that no class uses.
    unused: HashMap<(String, Kind, Option<String>), u64>,
    active: Active,
    counts: BTreeMap<(Kind, String), u64>,
}

impl Book {
    /// Goes on from what was written before.
    pub fn of(entries: impl IntoIterator<Item = Entry>, next: u64) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().map(|it| (it.id, it)).collect();
        let after = entries.keys().next_back().map_or(0, |last| last + 1);
        Self {
            next: next.max(after),
            entries,
            ..Self::default()
        }
    }

    /// Which addresses matter from now on.
    pub fn follow(&mut self, active: Active) {
        self.active = active;
    }

    /// Writes a change; returns its entry's number, where it is one of its own.
    pub fn change(&mut self, noted: Noted<'_>) -> Option<u64> {
        let Noted {
            change, devices, ..
        } = noted;
        let state = |fact: &Option<Fact>| fact.as_ref().map(|fact| fact::text(fact, devices));
        let (before, after) = (state(&change.before), state(&change.after));
        let fact = change.after.as_ref().or(change.before.as_ref())?;
        if before == after || is_routine(change) {
            return None;
        }
        let protocol = known::protocol(fact);
        let subject = fact::subject(fact, devices);
        let count = (subject.kind, protocol.clone().unwrap_or_default());
        *self.counts.entry(count).or_default() += 1;
        let entry = Entry {
            id: self.next,
            at: noted.at,
            since: None,
            namespace: noted.namespace.to_owned(),
            kind: subject.kind,
            subject: subject.name.clone(),
            before,
            after,
            protocol,
            how: change.how,
            who: noted.who,
            count: 1,
            last: noted.at,
            unused: !self.is_used(fact),
        };
        if entry.unused {
            return self.count(entry);
        }
        if self.is_flap(&entry, &subject) {
            return None;
        }
        self.last
            .insert((entry.namespace.clone(), subject), entry.id);
        Some(self.push(entry))
    }

    /// Writes what a look showed to have changed between two moments.
    pub fn found(
        &mut self,
        namespace: &str,
        difference: known::Difference,
        since: Moment,
        at: Moment,
    ) -> u64 {
        self.push(Entry {
            id: 0,
            at,
            since: Some(since),
            namespace: namespace.to_owned(),
            kind: difference.subject.kind,
            subject: difference.subject.name,
            before: difference.before,
            after: difference.after,
            protocol: difference.protocol,
            how: How::Found,
            who: Who::Unknown,
            count: 1,
            last: at,
            unused: false,
        })
    }

    /// Writes that changes were lost since a moment.
    pub fn gap(&mut self, namespace: &str, since: Moment, at: Moment) -> u64 {
        self.push(Entry {
            id: 0,
            at,
            since: Some(since),
            namespace: namespace.to_owned(),
            kind: Kind::Gap,
            subject: "changes that the kernel could not keep for the tracer".to_owned(),
            before: None,
            after: None,
            protocol: None,
            how: How::Found,
            who: Who::Unknown,
            count: 1,
            last: at,
            unused: false,
        })
    }

    /// The entries in memory, from a number on.
    pub fn entries(&self, from: u64) -> impl Iterator<Item = &Entry> {
        self.entries.range(from..).map(|(_, entry)| entry)
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Changes since the start, by kind and protocol.
    pub fn counts(&self) -> &BTreeMap<(Kind, String), u64> {
        &self.counts
    }

    /// The entries that are new or changed since the last time.
    pub fn take_dirty(&mut self) -> Vec<Entry> {
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        dirty
            .filter_map(|id| self.entries.get(&id).cloned())
            .collect()
    }

    /// What could not be written is to be written again.
    pub fn write_again(&mut self, entries: &[Entry]) {
        self.dirty.extend(entries.iter().map(|entry| entry.id));
    }

    /// All in memory is to be written again.
    pub fn write_all(&mut self) {
        self.dirty = self.entries.keys().copied().collect();
    }

    fn push(&mut self, mut entry: Entry) -> u64 {
        let id = self.next;
        self.next += 1;
        entry.id = id;
        self.entries.insert(id, entry);
        self.dirty.insert(id);
        while self.entries.len() > ENTRIES {
            self.entries.pop_first();
        }
        if self.last.len() > ENTRIES {
            self.last.clear();
        }
        id
    }

    /// Whether a class that has packets may notice.
    fn is_used(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Route(route) => self.active.uses(&route.slot.prefix),
            Fact::Neighbour(neighbour) => {
                neighbour.state == NeighbourState::Permanent
                    || self.active.uses(&IpNet::from(neighbour.address))
            }
            Fact::Exception(it) => self.active.uses(&IpNet::from(it.destination)),
            Fact::Link(_) | Fact::Address(_) | Fact::NextHop(_) | Fact::Rule(_) => true,
        }
    }

    /// One more of those that are only counted; the first one of a second stands for all.
    fn count(&mut self, entry: Entry) -> Option<u64> {
        let key = (entry.namespace.clone(), entry.kind, entry.protocol.clone());
        let of = self.unused.get(&key);
        if let Some(first) = of.and_then(|id| self.entries.get_mut(id))
            && first.at / SECOND == entry.at / SECOND
        {
            first.count += 1;
            first.last = entry.at;
            if first.who != entry.who {
                first.who = Who::Several;
            }
            self.dirty.insert(first.id);
            return None;
        }
        let id = self.push(entry);
        self.unused.insert(key, id);
        None
    }

    /// Whether a change takes back the one before it, or makes it again.
    fn is_flap(&mut self, entry: &Entry, subject: &Subject) -> bool {
        let key = (entry.namespace.clone(), subject.clone());
        let Some(last) = self.last.get(&key).and_then(|id| self.entries.get_mut(id)) else {
            return false;
        };
        let (was, other) = if last.count % 2 == 1 {
            (&last.after, &last.before)
        } else {
            (&last.before, &last.after)
        };
        let is_flap = entry.before == *was
            && entry.after == *other
            && entry.at.saturating_sub(last.last) < FLAP
            && entry.who.to_string() == last.who.to_string();
        if is_flap {
            last.count += 1;
            last.last = entry.at;
            self.dirty.insert(last.id);
        }
        is_flap
    }
}

/// What a neighbour does all day: it is asked again and answers with the same address, or is
/// forgotten when nobody talks to it.
fn is_routine(change: &Change) -> bool {
    let neighbour = |fact: &Option<Fact>| match fact {
        Some(Fact::Neighbour(it)) => Some((it.mac, it.state)),
        _ => None,
    };
    let is_resolved = |state| state != NeighbourState::Unresolved;
    match (neighbour(&change.before), neighbour(&change.after)) {
        (Some((before, state)), Some((after, now))) => {
            before == after
                && is_resolved(state) == is_resolved(now)
                && (state == NeighbourState::Permanent) == (now == NeighbourState::Permanent)
        }
        (None, Some((_, state))) | (Some((_, state)), None) => !is_resolved(state),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::network::{Leg, Path, Route, Slot};

    const T: Moment = 1_000 * SECOND;

    fn route(prefix: &str, gateway: u8) -> Fact {
        Fact::Route(Route {
            table: 254,
            slot: Slot {
                prefix: prefix.parse().unwrap(),
                tos: 0,
                metric: 0,
            },
            path: Arc::new(Path {
                kind: Path::UNICAST,
                protocol: 186,
                scope: 0,
                legs: vec![Leg {
                    gateway: Some([10, 0, 0, gateway].into()),
                    device: 2,
                    weight: 1,
                    onlink: false,
                    encapsulation: 0,
                }],
                next_hop: None,
                prefer_source: None,
                from: None,
                metrics: Vec::new(),
                preference: 0,
            }),
        })
    }

    fn write(book: &mut Book, at: Moment, before: Option<Fact>, after: Option<Fact>) {
        let devices = BTreeMap::from([(2, "eth0".to_owned())]);
        book.change(Noted {
            at,
            namespace: "host",
            change: &Change {
                before,
                after,
                how: How::Told,
            },
            devices: &devices,
            who: Who::Unknown,
        });
    }

    fn used() -> Book {
        let mut book = Book::default();
        book.follow(Active::of([
            "10.2.0.7".parse().unwrap(),
            "fd00::1".parse().unwrap(),
        ]));
        book
    }

    fn told(book: &Book) -> Vec<String> {
        let entries = book.entries(0);
        entries
            .map(|it| {
                let state = |state: &Option<String>| state.clone().unwrap_or_default();
                format!("{}× {} → {}", it.count, state(&it.before), state(&it.after))
            })
            .collect()
    }

    #[test]
    fn a_flap_is_one_entry() {
        let mut book = used();
        let (one, two) = (route("10.2.0.0/16", 1), route("10.2.0.0/16", 2));
        for turn in 0..5 {
            let (before, after) = if turn % 2 == 0 {
                (&one, &two)
            } else {
                (&two, &one)
            };
            write(
                &mut book,
                T + turn,
                Some(before.clone()),
                Some(after.clone()),
            );
        }
        assert_eq!(
            told(&book),
            [
                "5× 10.2.0.0/16 table main via 10.0.0.1 dev eth0 proto bgp → 10.2.0.0/16 table main via 10.0.0.2 dev eth0 proto bgp"
            ]
        );
        write(&mut book, T + FLAP * 2, Some(two), None);
        assert_eq!(told(&book).len(), 2);
    }

    #[test]
    fn what_no_class_uses_is_counted_by_the_second() {
        let mut book = used();
        for number in 0..200u64 {
            let prefix = format!("192.0.{number}.0/24");
            write(
                &mut book,
                T + number * SECOND / 100,
                None,
                Some(route(&prefix, 1)),
            );
        }
        let counts: Vec<_> = book.entries(0).map(|it| (it.count, it.unused)).collect();
        assert_eq!(counts, [(100, true), (100, true)]);
        assert_eq!(book.counts()[&(Kind::Route, "bgp".to_owned())], 200);
    }

    #[test]
    fn a_prefix_is_used_that_has_an_address_in_it() {
        let active = Active::of(["10.2.0.7".parse().unwrap(), "fd00::1".parse().unwrap()]);
        for (prefix, is_used) in [
            ("0.0.0.0/0", true),
            ("10.2.0.0/16", true),
            ("10.2.0.8/32", false),
            ("10.1.0.0/16", false),
            ("::/0", true),
            ("fe80::/10", false),
        ] {
            assert_eq!(active.uses(&prefix.parse().unwrap()), is_used, "{prefix}");
        }
    }
}
