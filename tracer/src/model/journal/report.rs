//! Changes with the routes that they moved, as they are shown.

use std::collections::BTreeMap;

use super::epochs::{Epoch, Epochs};
use super::{Entry, Moment};
use crate::model::{Histogram, RouteId};

/// What is shown of the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Since when.
    pub since: Moment,
    /// The changes, oldest first.
    pub changes: Vec<Told>,
    /// Why the journal is in memory alone; none where it is on disk.
    pub not_on_disk: Option<String>,
}

/// A change with the classes whose packets it concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The change.
    pub entry: Entry,
    /// The classes.
    pub moved: Vec<Moved>,
}

/// A class around a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Who talks to whom.
    pub name: String,
    /// The epochs before the change, of all routes.
    pub before: Count,
    /// The time of the change itself.
    pub during: Count,
    /// The epochs after it, up to the next change.
    pub after: Count,
    /// The routes.
    pub routes: Vec<MovedRoute>,
}

/// A route around a change.
#[derive(Clone, Debug, PartialEq)]
pub struct MovedRoute {
    /// Which one.
    pub id: RouteId,
    /// The devices that it leads by.
    pub way: String,
    /// The epoch before the change.
    pub before: Count,
    /// The time of the change itself.
    pub during: Count,
    /// The epoch after it.
    pub after: Count,
}

/// What was counted in an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// Packets whose way ended.
    pub packets: u64,
    /// The whole way of those that ended well.
    pub latency: Histogram,
}

impl Count {
    fn add(&mut self, packets: u64, latency: &Histogram) {
        self.packets += packets;
        self.latency.merge(latency);
    }

    fn add_epoch(&mut self, epoch: &Epoch) {
        self.add(epoch.packets, &epoch.latency);
    }
}

impl Changes {
    /// These entries with what became of the routes.
    pub fn of(entries: Vec<Entry>, epochs: &Epochs, since: Moment) -> Self {
        let first = entries.iter().map(|entry| entry.id).min();
        let mut moved = first.map_or_else(BTreeMap::new, |first| moves(epochs, first));
        Self {
            since,
            changes: entries
                .into_iter()
                .map(|entry| Told {
                    moved: moved.remove(&entry.id).unwrap_or_default(),
                    entry,
                })
                .collect(),
            not_on_disk: None,
        }
    }
}

/// By entry from a number on, the classes that it concerned, those with most packets first.
fn moves(epochs: &Epochs, first: u64) -> BTreeMap<u64, Vec<Moved>> {
    let mut by_entry = BTreeMap::<u64, BTreeMap<&str, Moved>>::new();
    for (&id, life) in epochs.lives() {
        let mut before = Count::default();
        let mut routes = BTreeMap::<u64, MovedRoute>::new();
        for epoch in &life.epochs {
            if let Some(change) = epoch.change.filter(|&change| change >= first) {
                let route = routes.entry(change).or_insert_with(|| MovedRoute {
                    id,
                    way: life.way.clone(),
                    before: before.clone(),
                    during: Count::default(),
                    after: Count::default(),
                });
                if epoch.during {
                    route.during.add_epoch(epoch);
                } else {
                    route.after.add_epoch(epoch);
                }
            }
            if !epoch.during {
                before = Count::default();
                before.add_epoch(epoch);
            }
        }
        for (change, route) in routes {
            let classes = by_entry.entry(change).or_default();
            let moved = classes.entry(&life.class).or_insert_with(|| Moved {
                name: life.name.clone(),
                ..Moved::default()
            });
            let parts = [
                (&mut moved.before, &route.before),
                (&mut moved.during, &route.during),
                (&mut moved.after, &route.after),
            ];
            for (sum, part) in parts {
                sum.add(part.packets, &part.latency);
            }
            moved.routes.push(route);
        }
    }
    let sorted = by_entry.into_iter().map(|(change, classes)| {
        let mut classes: Vec<_> = classes.into_values().collect();
        let packets = |it: &Moved| it.before.packets + it.during.packets + it.after.packets;
        classes.sort_by_key(|it| std::cmp::Reverse(packets(it)));
        for class in &mut classes {
            class.routes.sort_by_key(|route| route.id);
        }
        (change, classes)
    });
    sorted.collect()
}
