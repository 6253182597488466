//! A route table: which paths stand at which prefix, and in which order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::slice;
use std::sync::Arc;

use super::{Family, Path, Place, Route, Slot};

/// A family's routes in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(BTreeMap<Slot, Paths>);

/// The paths of one slot. Nearly always there is one, which then needs no room of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Paths {
    One(Arc<Path>),
    Several(Vec<Arc<Path>>),
}

impl Paths {
    fn as_slice(&self) -> &[Arc<Path>] {
        match self {
            Self::One(path) => slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }

    fn push(&mut self, path: Arc<Path>) {
        match self {
            Self::One(first) => *self = Self::Several(vec![Arc::clone(first), path]),
            Self::Several(paths) => paths.push(path),
        }
    }

    fn of(mut paths: Vec<Arc<Path>>) -> Option<Self> {
        match paths.len() {
            0 => None,
            1 => paths.pop().map(Self::One),
            _ => Some(Self::Several(paths)),
        }
    }
}

/// The routes of a table as a dump tells them, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Rows(Vec<(Slot, Paths)>);

impl Rows {
    /// Puts a route behind those of its slot.
    pub fn push(&mut self, slot: Slot, path: Arc<Path>) {
        match self.0.last_mut() {
            Some((last, paths)) if *last == slot => paths.push(path),
            _ => self.0.push((slot, Paths::One(path))),
        }
    }
}

impl From<Rows> for Table {
    /// Dumps are in order but for a few, so that this is quick, and leaves no room in between.
    fn from(rows: Rows) -> Self {
        let mut rows = rows.0;
        rows.sort_by_key(|&(slot, _)| slot);
        rows.dedup_by(|(slot, paths), (before, all)| {
            let is_same = slot == before;
            if is_same {
                paths
                    .as_slice()
                    .iter()
                    .for_each(|it| all.push(Arc::clone(it)));
            }
            is_same
        });
        Self(rows.into_iter().collect())
    }
}

impl Table {
    /// How many routes it has.
    pub fn len(&self) -> usize {
        let paths = self.0.values();
        paths.map(|paths| paths.as_slice().len()).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths of a slot, the first one that counts.
    pub fn at(&self, slot: Slot) -> &[Arc<Path>] {
        self.0.get(&slot).map_or(&[], Paths::as_slice)
    }

    /// The routes, as those of the table of a number.
    pub fn routes(&self, table: u32) -> impl Iterator<Item = Route> {
        self.routes_that(table, |_| true)
    }

    /// The routes whose path fits, as those of the table of a number.
    pub(super) fn routes_that(
        &self,
        table: u32,
        fits: impl Fn(&Path) -> bool + Copy,
    ) -> impl Iterator<Item = Route> {
        self.0.iter().flat_map(move |(&slot, paths)| {
            let paths = paths.as_slice().iter().filter(move |path| fits(path));
            paths.map(move |path| Route {
                table,
                slot,
                path: Arc::clone(path),
            })
        })
    }

    /// The paths of all its routes.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let paths = self.0.values().flat_map(Paths::as_slice);
        paths.map(AsRef::as_ref)
    }

    /// Where the two tables are not the same.
    pub(super) fn slots_that_differ(&self, other: &Self) -> Vec<Slot> {
        let mine = self
            .0
            .keys()
            .filter(|&&slot| self.at(slot) != other.at(slot));
        let theirs = other.0.keys().filter(|slot| !self.0.contains_key(slot));
        mine.chain(theirs).copied().collect()
    }

    /// Puts a route behind those of its slot.
    pub(super) fn push(&mut self, slot: Slot, path: Arc<Path>) {
        match self.0.entry(slot) {
            Entry::Vacant(entry) => {
                entry.insert(Paths::One(path));
            }
            Entry::Occupied(mut entry) => entry.get_mut().push(path),
        }
    }

    /// Adds a route; returns what it replaced, and what stands there now.
    ///
    /// None where it was there already.
    pub(super) fn add(
        &mut self,
        slot: Slot,
        path: Arc<Path>,
        place: Place,
    ) -> Option<(Option<Arc<Path>>, Arc<Path>)> {
        let before = self.at(slot);
        if before.first() == Some(&path) || (place != Place::Instead && before.contains(&path)) {
            return None;
        }
        let mut replaced = None;
        self.change(slot, |paths| {
            // What a dump brought may be told once more.
            paths.retain(|other| *other != path);
            let at = match slot.family() {
                Family::V4 => paths.first().map(|_| 0),
                Family::V6 => superseded(paths, &path, place),
            };
            match (place, at) {
                (Place::Instead, Some(at)) => {
                    replaced = Some(std::mem::replace(&mut paths[at], Arc::clone(&path)));
                }
                (_, Some(at)) if slot.family() == Family::V6 => {
                    replaced = Some(std::mem::replace(&mut paths[at], Arc::clone(&path)));
                }
                (Place::First, Some(_)) => paths.insert(0, Arc::clone(&path)),
                _ => paths.push(Arc::clone(&path)),
            }
        });
        Some((replaced, path))
    }

    /// Removes a route, or of an IPv6 route the legs that are named; returns what was there, and
    /// what is left of it.
    pub(super) fn remove(
        &mut self,
        slot: Slot,
        gone: &Path,
    ) -> Option<(Arc<Path>, Option<Arc<Path>>)> {
        let paths = self.at(slot);
        if let Some(at) = paths.iter().position(|path| **path == *gone) {
            let before = Arc::clone(&paths[at]);
            self.change(slot, |paths| drop(paths.remove(at)));
            return Some((before, None));
        }
        let at = paths.iter().position(|path| has_legs_of(path, gone))?;
        let before = Arc::clone(&paths[at]);
        let mut rest = (*before).clone();
        rest.legs.retain(|leg| !gone.legs.contains(leg));
        let rest = Arc::new(rest);
        self.change(slot, |paths| paths[at] = Arc::clone(&rest));
        Some((before, Some(rest)))
    }

    /// Removes the routes that a condition fits, and returns them.
    pub(super) fn take(
        &mut self,
        mut condition: impl FnMut(Slot, &Path) -> bool,
    ) -> Vec<(Slot, Arc<Path>)> {
        let mut taken = Vec::new();
        self.0.retain(|&slot, paths| {
            let fits: Vec<bool> = paths
                .as_slice()
                .iter()
                .map(|path| condition(slot, path))
                .collect();
            if !fits.contains(&true) {
                return true;
            }
            let mut left = Vec::new();
            for (path, fits) in paths.as_slice().iter().zip(fits) {
                if fits {
                    taken.push((slot, Arc::clone(path)));
                } else {
                    left.push(Arc::clone(path));
                }
            }
            Paths::of(left).map(|left| *paths = left).is_some()
        });
        taken
    }

    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Vec<Arc<Path>>)) {
        let mut paths = self.at(slot).to_vec();
        change(&mut paths);
        match (self.0.entry(slot), Paths::of(paths)) {
            (Entry::Occupied(mut entry), Some(paths)) => {
                entry.insert(paths);
            }
            (Entry::Occupied(entry), None) => {
                entry.remove();
            }
            (Entry::Vacant(entry), Some(paths)) => {
                entry.insert(paths);
            }
            (Entry::Vacant(_), None) => {}
        }
    }
}

/// The IPv6 route that a new one takes the place of, or is joined with: the kernel tells a joined
/// route whole.
///
/// Routes by a gateway that no router advertised become legs of one (`rt6_qualify_for_ecmp`,
/// `fib6_add_rt2node`, `net/ipv6/ip6_fib.c`); all others stand side by side.
fn superseded(paths: &[Arc<Path>], path: &Path, place: Place) -> Option<usize> {
    let alike = paths.iter().position(|other| {
        let legs = |path: &Path| -> Vec<_> {
            path.legs
                .iter()
                .map(|leg| (leg.gateway, leg.device))
                .collect()
        };
        legs(other) == legs(path) && other.next_hop == path.next_hop && other.kind == path.kind
    });
    let same_kind = || paths.iter().position(|other| joins(other) == joins(path));
    match place {
        Place::Instead => same_kind().or(alike).or((!paths.is_empty()).then_some(0)),
        Place::First | Place::Last if joins(path) => {
            alike.or_else(|| paths.iter().position(|other| joins(other)))
        }
        Place::First | Place::Last => alike,
    }
}

fn joins(path: &Path) -> bool {
    path.next_hop.is_none()
        && path.protocol != Path::BY_ADVERTISEMENT
        && path.legs.iter().any(|leg| leg.gateway.is_some())
}

fn has_legs_of(path: &Path, gone: &Path) -> bool {
    path.kind == gone.kind
        && path.legs.len() > gone.legs.len()
        && !gone.legs.is_empty()
        && gone.legs.iter().all(|leg| path.legs.contains(leg))
}
