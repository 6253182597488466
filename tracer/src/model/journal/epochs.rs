//! The lives of routes between the changes that concern them, with the latency of each.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::Moment;
use crate::model::network::{Change, Fact};
use crate::model::report::ways::{About, Dependence, Ended, Ways};
use crate::model::{Histogram, Reading, RouteId};

/// The most epochs of a route; older ones are merged.
pub const MOST: usize = 32;

/// The most routes that have epochs; those that had no packets for longest go first.
const ROUTES: usize = 4_096;

/// After how many readings without it what a route counted is forgotten; should it come back, it counts
/// anew.
const ABSENT: u64 = 60;

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

/// What was counted of a route until now.
#[derive(Clone, Debug, Default)]
struct Counted {
    packets: u64,
    latency: Histogram,
}

/// A route that has a life, as it was in the readings of this run.
#[derive(Clone, Debug, Default)]
struct Current {
    counted: Counted,
    about: Option<Arc<About>>,
    /// The number of the reading that it was in last.
    seen: u64,
}

impl Counted {
    fn of(route: &Ended<'_>) -> Self {
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
    /// Of the routes that have a life and were in a reading.
    current: HashMap<RouteId, Current>,
    /// The ways of the last reading.
    ways: Ways,
    /// The number of the last reading.
    readings: u64,
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
    pub fn read(&mut self, reading: &Reading, now: Moment) {
        let mut ways = std::mem::take(&mut self.ways);
        ways.follow(reading);
        self.end(ways.ended(reading), now);
        self.ways = ways;
    }

    /// So much ended on the routes that there are now.
    fn end<'a>(&mut self, routes: impl Iterator<Item = Ended<'a>>, now: Moment) {
        self.latest
            .retain(|_, (began, _)| now.saturating_sub(*began) < FOLLOWS);
        self.readings += 1;
        let mut waiting = Vec::new();
        for route in routes {
            if self.count(&route) {
                continue;
            }
            let has_any = route.packets > 0 || route.total.count() > 0;
            if has_any && self.lives.len() < ROUTES {
                self.begin(&route, now);
            } else if has_any && waiting.len() < ROUTES / 8 {
                waiting.push(route);
            }
        }
        if self.readings.is_multiple_of(ABSENT) {
            let readings = self.readings;
            self.current.retain(|_, it| readings - it.seen < ABSENT);
        }
        // Only now is it known which routes are no more.
        if !waiting.is_empty() {
            self.make_room();
        }
        for route in waiting {
            if self.lives.len() < ROUTES {
                self.begin(&route, now);
            }
        }
    }

    /// Counts a route, where it has a life.
    fn count(&mut self, route: &Ended<'_>) -> bool {
        let Some(life) = self.lives.get_mut(&route.id) else {
            return false;
        };
        let current = self.current.entry(route.id).or_default();
        current.seen = self.readings;
        if !current
            .about
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, route.about))
        {
            current.about = Some(Arc::clone(route.about));
        }
        let counted = &mut current.counted;
        if route.packets <= counted.packets && *route.total == counted.latency {
            return true;
        }
        let packets = route.packets.saturating_sub(counted.packets);
        let latency = route.total.since(&counted.latency);
        if packets == 0 && latency.count() == 0 {
            return true;
        }
        *counted = Counted::of(route);
        if let Some(epoch) = life.epochs.back_mut() {
            epoch.packets += packets;
            epoch.latency.merge(&latency);
            self.touched.insert(route.id);
        }
        true
    }

    /// Another source counts from here on; what it has counted until now was counted by the one
    /// before.
    pub fn go_on_from(&mut self, reading: &Reading) {
        let mut ways = Ways::default();
        ways.follow(reading);
        self.counted_elsewhere(ways.ended(reading));
        self.ways = ways;
    }

    fn counted_elsewhere<'a>(&mut self, routes: impl Iterator<Item = Ended<'a>>) {
        self.current.clear();
        for route in routes.filter(|it| self.lives.contains_key(&it.id)) {
            let current = Current {
                counted: Counted::of(&route),
                seen: self.readings,
                ..Current::default()
            };
            self.current.insert(route.id, current);
        }
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
        let routes = self.current.iter();
        let there = routes.filter(|(_, route)| route.seen == self.readings);
        let mut concerned: Vec<RouteId> = there
            .filter(|(_, route)| {
                let about = route.about.as_ref();
                let mut here = about.into_iter().flat_map(|about| &about.depends);
                here.any(|it| it.namespace == namespace && concerns(it))
            })
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
    fn begin(&mut self, route: &Ended<'_>, now: Moment) {
        let about = route.about;
        let latest = self.latest.get(&about.class);
        let lately = latest.filter(|(began, _)| now.saturating_sub(*began) < FOLLOWS);
        let change = lately.map(|&(_, change)| change);
        let during = change.filter(|change| self.during.values().any(|it| it == change));
        if let Some(change) = during {
            self.during.insert(route.id, change);
        }
        let life = Life {
            name: about.name.clone(),
            way: about.way.clone(),
            class: about.class.clone(),
            epochs: VecDeque::from([Epoch {
                began: now,
                change,
                during: during.is_some(),
                ..Epoch::default()
            }]),
        };
        self.lives.insert(route.id, life);
        self.count(route);
    }

    /// Forgets an eighth of the lives, of routes that are no more: those that went on last longest
    /// ago.
    fn make_room(&mut self) {
        let mut gone: Vec<(Moment, RouteId)> = self
            .lives
            .iter()
            .filter(|(id, _)| {
                let route = self.current.get(id);
                route.is_none_or(|it| it.seen != self.readings)
            })
            .map(|(&id, life)| (life.epochs.back().map_or(0, |epoch| epoch.began), id))
            .collect();
        gone.sort_unstable();
        for (_, id) in gone.into_iter().take(ROUTES / 8) {
            self.lives.remove(&id);
            self.current.remove(&id);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::{How, NextHop, NextHopKind};
    use crate::model::{Ends, Report, example};
    use proptest::prelude::*;

    fn counted(lives: &Epochs, id: RouteId) -> (u64, u64) {
        let life = &lives.lives[&id];
        let sum = |count: fn(&Epoch) -> u64| life.epochs.iter().map(count).sum();
        (sum(|it| it.packets), sum(|it| it.latency.count()))
    }

    /// A reading whose first way with a whole latency counted so much.
    fn counting(packets: u64) -> Reading {
        let mut reading = example::lab();
        let place = reading.nodes.iter().position(|it| it.total.count() > 0);
        for node in &mut reading.nodes {
            (node.ends, node.total) = (Ends::default(), Histogram::default());
        }
        let node = &mut reading.nodes[place.unwrap()];
        node.ends.delivered = packets;
        node.total.record_n(1_000, packets);
        reading
    }

    /// The route that counts there.
    fn only(reading: &Reading) -> RouteId {
        let mut routes = Report::from_reading(reading).routes.into_iter();
        routes.find(|it| it.total.count() > 0).unwrap().id
    }

    proptest! {
        #[test]
        fn before_during_and_after_are_all_packets(steps in prop::collection::vec((0u64..50, any::<bool>(), any::<bool>()), 1..120)) {
            let id = only(&counting(1));
            let (mut epochs, mut entry, mut all) = (Epochs::default(), 0, 0);
            for (at, (packets, begins, ends)) in (0..).zip(steps) {
                all += packets;
                epochs.read(&counting(all), at);
                if begins {
                    epochs.begin_change(&[id], entry, at);
                    entry += 1;
                }
                if ends {
                    epochs.end_changes(at);
                }
                if let Some(life) = epochs.lives.get(&id) {
                    prop_assert!(life.epochs.len() <= MOST);
                    prop_assert_eq!(counted(&epochs, id), (all, all));
                }
            }
        }
    }

    #[test]
    fn another_source_counts_on() {
        let id = only(&counting(1));
        let mut epochs = Epochs::default();
        epochs.read(&counting(100), 1);
        epochs.go_on_from(&counting(3));
        epochs.read(&counting(10), 2);
        assert_eq!(counted(&epochs, id), (107, 107));
        epochs.go_on_from(&Reading::default());
        epochs.read(&counting(10), 3);
        assert_eq!(counted(&epochs, id), (117, 117));
    }

    #[test]
    fn what_a_route_that_is_no_more_counted_is_forgotten_and_its_life_is_not() {
        let id = only(&counting(1));
        let mut epochs = Epochs::default();
        epochs.read(&counting(100), 1);
        assert!(epochs.current.contains_key(&id));
        for at in 0..2 * ABSENT {
            epochs.read(&Reading::default(), at);
        }
        assert!(epochs.current.is_empty());
        epochs.read(&counting(5), 300);
        assert_eq!(counted(&epochs, id), (105, 105));
    }

    #[test]
    fn a_route_that_is_no_more_is_concerned_by_nothing() {
        let (mut epochs, reading) = (Epochs::default(), counting(1));
        let change = Change {
            before: None,
            after: Some(Fact::NextHop(NextHop {
                id: 1,
                kind: NextHopKind::Blackhole,
                protocol: 4,
            })),
            how: How::Told,
        };
        let concerned = |epochs: &Epochs| epochs.concerned("lab-app", &change, &BTreeMap::new());
        epochs.read(&reading, 1);
        assert!(!concerned(&epochs).is_empty());
        epochs.read(&Reading::default(), 2);
        assert!(concerned(&epochs).is_empty());
    }
}
