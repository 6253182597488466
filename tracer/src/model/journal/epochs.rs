//! The lives of routes between the changes that concern them, with the latency of each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use super::Moment;
use crate::model::network::{Change, Fact};
use crate::model::report::class_key;
use crate::model::{Histogram, Route, RouteId};

/// The most epochs of a route; older ones are merged.
pub const MOST: usize = 32;

/// The most routes that have epochs; those that had no packets for longest go first.
const ROUTES: usize = 4_096;

/// How long after a change a class's new route is taken for what it led to.
const FOLLOWS: Moment = 10_000_000_000;

/// A part of a route's life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// When it began.
    pub began: Moment,
    /// The journal's entry that it began with; none for the first one.
    pub change: Option<u64>,
    /// Whether it is the time of the change itself, in which packets went by either way.
    pub during: bool,
    /// Packets whose way ended on the route.
    pub packets: u64,
    /// The whole way of those that ended well.
    pub latency: Histogram,
}

/// A route's life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// The class: the same text for all its routes.
    pub class: String,
    /// Who talks to whom, for people.
    pub name: String,
    /// The way, for people: the next hops.
    pub way: String,
    /// The epochs, the current one last.
    pub epochs: VecDeque<Epoch>,
}

/// What a route depends on in one namespace.
#[derive(Clone, Debug, Default)]
struct Dependence {
    devices: Vec<String>,
    /// Destinations and next hops.
    addresses: Vec<IpAddr>,
}

/// What was counted of a route until now.
#[derive(Clone, Debug, Default)]
struct Counted {
    packets: u64,
    latency: Histogram,
}

impl Counted {
    fn of(route: &Route) -> Self {
        Self {
            packets: route.packets,
            latency: route.total.clone(),
        }
    }
}

/// The lives of all routes.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    lives: HashMap<RouteId, Life>,
    counted: HashMap<RouteId, Counted>,
    /// Of the routes of the last reading that have a life.
    depends: HashMap<RouteId, BTreeMap<String, Dependence>>,
    /// The routes of the last reading.
    seen: HashSet<RouteId>,
    /// Changes that are going on.
    during: BTreeMap<RouteId, u64>,
    /// The last change that concerned a class, and when it was.
    latest: HashMap<String, (Moment, u64)>,
    /// Lives that are to be written.
    touched: BTreeSet<RouteId>,
}

impl Epochs {
    /// Goes on from what was written before.
    pub fn of(lives: impl IntoIterator<Item = (RouteId, Life)>) -> Self {
        Self {
            lives: lives.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What was counted since the last time belongs to the current epochs.
    pub fn read(&mut self, routes: impl IntoIterator<Item = Route>, now: Moment) {
        self.latest
            .retain(|_, (began, _)| now.saturating_sub(*began) < FOLLOWS);
        self.depends.clear();
        self.seen.clear();
        let mut waiting = Vec::new();
        for route in routes {
            self.seen.insert(route.id);
            let has_any = route.packets > 0 || route.total.count() > 0;
            if self.lives.contains_key(&route.id) {
                self.count(&route);
            } else if has_any && self.lives.len() < ROUTES {
                self.begin(&route, now);
                self.count(&route);
            } else if has_any && waiting.len() < ROUTES / 8 {
                waiting.push(route);
            }
        }
        // Only now is it known which routes are no more.
        if !waiting.is_empty() {
            self.make_room();
        }
        for route in waiting {
            if self.lives.len() < ROUTES {
                self.begin(&route, now);
                self.count(&route);
            }
        }
    }

    /// Counts a route that has a life.
    fn count(&mut self, route: &Route) {
        self.depends.insert(route.id, dependences(route));
        let counted = self.counted.entry(route.id).or_default();
        let packets = route.packets.saturating_sub(counted.packets);
        let latency = route.total.since(&counted.latency);
        if packets == 0 && latency.count() == 0 {
            return;
        }
        *counted = Counted::of(route);
        let life = self.lives.get_mut(&route.id);
        if let Some(epoch) = life.and_then(|life| life.epochs.back_mut()) {
            epoch.packets += packets;
            epoch.latency.merge(&latency);
            self.touched.insert(route.id);
        }
    }

    /// Another source counts from here on; what it has counted until now was counted by the one
    /// before.
    pub fn go_on_from(&mut self, routes: impl IntoIterator<Item = Route>) {
        let lives = &self.lives;
        let known = routes.into_iter().filter(|it| lives.contains_key(&it.id));
        self.counted = known.map(|it| (it.id, Counted::of(&it))).collect();
    }

    /// The routes that a change concerns.
    pub fn concerned(
        &self,
        namespace: &str,
        change: &Change,
        devices: &BTreeMap<u32, String>,
    ) -> Vec<RouteId> {
        let Some(fact) = change.after.as_ref().or(change.before.as_ref()) else {
            return Vec::new();
        };
        let concerns = |depends: &Dependence| match fact {
            Fact::Link(link) => depends.devices.contains(&link.name),
            Fact::Address(it) => devices
                .get(&it.index)
                .is_some_and(|name| depends.devices.contains(name)),
            Fact::Neighbour(it) => depends.addresses.contains(&it.address),
            Fact::Exception(it) => depends.addresses.contains(&it.destination),
            Fact::Route(route) => depends
                .addresses
                .iter()
                .any(|address| route.slot.prefix.contains(address)),
            Fact::Rule(_) | Fact::NextHop(_) => true,
        };
        let routes = self.depends.iter();
        let mut concerned: Vec<RouteId> = routes
            .filter(|(_, of)| of.get(namespace).is_some_and(concerns))
            .map(|(&id, _)| id)
            .collect();
        concerned.sort_unstable();
        concerned
    }

    /// A change began: what was counted until now was before it.
    pub fn begin_change(&mut self, routes: &[RouteId], entry: u64, now: Moment) {
        for &route in routes {
            if self.during.insert(route, entry).is_none() {
                self.push(route, entry, true, now);
            }
        }
    }

    /// The changes are over: what was counted until now was during them.
    pub fn end_changes(&mut self, now: Moment) {
        for (route, entry) in std::mem::take(&mut self.during) {
            self.push(route, entry, false, now);
        }
    }

    /// The lives that went on since the last time; none for one that was forgotten.
    pub fn take_touched(&mut self) -> Vec<(RouteId, Option<Life>)> {
        let touched = std::mem::take(&mut self.touched).into_iter();
        touched
            .map(|id| (id, self.lives.get(&id).cloned()))
            .collect()
    }

    /// All lives are to be written.
    pub fn touch_all(&mut self) {
        self.touched = self.lives.keys().copied().collect();
    }

    /// All lives.
    pub fn lives(&self) -> impl Iterator<Item = (&RouteId, &Life)> {
        self.lives.iter()
    }

    fn push(&mut self, route: RouteId, entry: u64, during: bool, now: Moment) {
        if let Some(life) = self.lives.get_mut(&route) {
            self.touched.insert(route);
            self.latest.insert(life.class.clone(), (now, entry));
            life.epochs.push_back(Epoch {
                began: now,
                change: Some(entry),
                during,
                ..Epoch::default()
            });
            while life.epochs.len() > MOST {
                merge_oldest(&mut life.epochs);
            }
        }
    }

    /// A route that was not there. Where its class changed lately, that is what it came with.
    fn begin(&mut self, route: &Route, now: Moment) {
        let class = class_key(&route.class);
        let latest = self.latest.get(&class);
        let lately = latest.filter(|(began, _)| now.saturating_sub(*began) < FOLLOWS);
        let change = lately.map(|&(_, change)| change);
        let during = change.filter(|change| self.during.values().any(|it| it == change));
        if let Some(change) = during {
            self.during.insert(route.id, change);
        }
        let life = Life {
            name: route.class.name(),
            way: way(route),
            class,
            epochs: VecDeque::from([Epoch {
                began: now,
                change,
                during: during.is_some(),
                ..Epoch::default()
            }]),
        };
        self.lives.insert(route.id, life);
    }

    /// Forgets an eighth of the lives, of routes that are no more: those that went on last longest
    /// ago.
    fn make_room(&mut self) {
        let mut gone: Vec<(Moment, RouteId)> = self
            .lives
            .iter()
            .filter(|(id, _)| !self.seen.contains(id))
            .map(|(&id, life)| (life.epochs.back().map_or(0, |epoch| epoch.began), id))
            .collect();
        gone.sort_unstable();
        for (_, id) in gone.into_iter().take(ROUTES / 8) {
            self.lives.remove(&id);
            self.counted.remove(&id);
            self.touched.insert(id);
        }
    }
}

fn merge_oldest(epochs: &mut VecDeque<Epoch>) {
    if let (Some(first), Some(second)) = (epochs.pop_front(), epochs.front_mut()) {
        second.began = first.began;
        second.change = first.change;
        second.during = first.during && second.during;
        second.packets += first.packets;
        second.latency.merge(&first.latency);
    }
}

fn dependences(route: &Route) -> BTreeMap<String, Dependence> {
    let mut depends = BTreeMap::<String, Dependence>::new();
    let mut tuple = route.class.first;
    for step in &route.steps {
        tuple = step.translated.or(tuple);
        let here = depends.entry(step.hop.namespace.name.clone()).or_default();
        if !here.devices.contains(&step.hop.device) {
            here.devices.push(step.hop.device.clone());
        }
        let next_hop = step.forwarding.iter().filter_map(|it| it.next_hop.as_ref());
        let addresses = next_hop.flat_map(|peer| peer.addresses.iter().take(1).copied());
        let addresses = addresses.chain(tuple.map(|tuple| tuple.destination));
        for address in addresses {
            if !here.addresses.contains(&address) {
                here.addresses.push(address);
            }
        }
    }
    depends
}

/// The namespaces that packets pass, with the device that they leave each by.
fn way(route: &Route) -> String {
    let mut words: Vec<String> = Vec::new();
    for step in &route.steps {
        let word = format!("{} {}", step.hop.namespace.name, step.hop.device);
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" › ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Report, example};
    use proptest::prelude::*;

    fn counted(lives: &Epochs, id: RouteId) -> (u64, u64) {
        let life = &lives.lives[&id];
        let sum = |count: fn(&Epoch) -> u64| life.epochs.iter().map(count).sum();
        (sum(|it| it.packets), sum(|it| it.latency.count()))
    }

    proptest! {
        #[test]
        fn before_during_and_after_are_all_packets(steps in prop::collection::vec((0u64..50, any::<bool>(), any::<bool>()), 1..120)) {
            let mut report = Report::from_reading(&example::lab());
            let id = report.routes[0].id;
            report.routes[0].packets = 0;
            report.routes[0].total = Histogram::default();
            let (mut epochs, mut entry) = (Epochs::default(), 0);
            for (at, (packets, begins, ends)) in (0..).zip(steps) {
                report.routes[0].packets += packets;
                report.routes[0].total.record_n(1_000 + at, packets);
                epochs.read(report.routes.clone(), at);
                if begins {
                    epochs.begin_change(&[id], entry, at);
                    entry += 1;
                }
                if ends {
                    epochs.end_changes(at);
                }
                if let Some(life) = epochs.lives.get(&id) {
                    prop_assert!(life.epochs.len() <= MOST);
                    let all = report.routes[0].packets;
                    prop_assert_eq!(counted(&epochs, id), (all, all));
                }
            }
        }
    }

    #[test]
    fn another_source_counts_on() {
        let mut report = Report::from_reading(&example::lab());
        let id = report.routes[0].id;
        let all = report.routes[0].packets;
        let mut epochs = Epochs::default();
        epochs.read(report.routes.clone(), 1);
        let mut other = report.clone();
        other.routes[0].packets = 3;
        other.routes[0].total = Histogram::default();
        epochs.go_on_from(other.routes.clone());
        other.routes[0].packets = 10;
        epochs.read(other.routes.clone(), 2);
        assert_eq!(counted(&epochs, id).0, all + 7);
        report.routes.clear();
        epochs.go_on_from(report.routes.clone());
        epochs.read(other.routes.clone(), 3);
        assert_eq!(counted(&epochs, id).0, all + 17);
    }
}
