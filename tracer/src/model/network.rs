//! One network namespace as its kernel has it: devices, addresses, neighbours, rules and routes.

mod fact;
mod implied;
pub mod names;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::swap;
use std::net::IpAddr;
use std::sync::Arc;

pub use fact::{
    Action, Address, Change, Exception, Fact, Family, How, Leg, Link, Lower, Neighbour,
    NeighbourState, NextHop, NextHopKind, Overlay, Part, Path, Place, PortRange, Route, Rule, Slot,
    Told,
};
use fact::{AddressKey, ExceptionKey, NeighbourKey};
pub use table::{Rows, Table};

/// A namespace's devices, addresses, neighbours, next hops, rules and routes.
///
/// It is filled part by part from dumps ([`Network::replace`]) and kept by what the kernel tells
/// ([`Network::apply`]). What the kernel changes without telling it changes by itself, as far as
/// that follows from what it knows; the rest shows when a part is replaced again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    links: BTreeMap<u32, Link>,
    addresses: BTreeMap<AddressKey, Address>,
    neighbours: BTreeMap<NeighbourKey, Neighbour>,
    next_hops: BTreeMap<u32, NextHop>,
    /// In the order in which the kernel asks them.
    rules: BTreeMap<Family, Vec<Rule>>,
    tables: BTreeMap<(Family, u32), Table>,
    /// Of tables that packets use, and of no others.
    exceptions: BTreeMap<(Family, u32), BTreeMap<ExceptionKey, Exception>>,
}

impl Network {
    /// The devices.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The device of a number.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Whether what is received at a device may be handed in at another one without a hop of its own:
    /// itself, its bond, or VLANs and the like upon either (`another_round` in net/core/dev.c).
    pub fn is_handed_in_at(&self, received: u32, other: u32) -> bool {
        let master = self.link(received).and_then(|link| link.master);
        let is_bond = |index: u32| self.link(index).is_some_and(|it| it.kind == "bond");
        let bond = master.filter(|&index| is_bond(index));
        let below = |index: &u32| {
            let link = self.link(*index)?;
            let is_upon = ["vlan", "macvlan", "ipvlan"].contains(&link.kind.as_str());
            let lower = link.lower.filter(|it| is_upon && it.namespace.is_none())?;
            Some(lower.index)
        };
        // The kernel stacks no more (`MAX_NEST_DEV`).
        std::iter::successors(Some(other), below)
            .take(8)
            .any(|index| index == received || Some(index) == bond)
    }

    /// The addresses of all devices.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }

    /// The neighbours of all devices.
    pub fn neighbours(&self) -> impl Iterator<Item = &Neighbour> {
        self.neighbours.values()
    }

    /// The next-hop objects and groups.
    pub fn next_hops(&self) -> impl Iterator<Item = &NextHop> {
        self.next_hops.values()
    }

    /// A family's rules, in the order in which the kernel asks them.
    pub fn rules(&self, family: Family) -> &[Rule] {
        self.rules.get(&family).map_or(&[], Vec::as_slice)
    }

    /// The numbers of a family's tables that have routes.
    pub fn tables(&self, family: Family) -> impl Iterator<Item = u32> {
        let of_family = move |&&(of, _): &&(Family, u32)| of == family;
        self.tables.keys().filter(of_family).map(|&(_, id)| id)
    }

    /// A table; none where it has no routes.
    pub fn table(&self, family: Family, id: u32) -> Option<&Table> {
        self.tables.get(&(family, id))
    }

    /// All routes.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.routes_that(|_, _| true)
    }

    /// The routes that a condition fits, by their table and path: the others are passed over.
    pub fn routes_that(
        &self,
        fits: impl Fn(u32, &Path) -> bool + Copy,
    ) -> impl Iterator<Item = Route> {
        let tables = self.tables.iter();
        tables.flat_map(move |(&(_, id), table)| table.routes_that(id, move |path| fits(id, path)))
    }

    /// The paths of all routes of some tables, by the tables' numbers.
    pub fn paths_of(&self, is_asked: impl Fn(u32) -> bool) -> impl Iterator<Item = &Path> {
        let tables = self.tables.iter();
        let tables = tables.filter(move |&(&(_, id), _)| is_asked(id));
        tables.flat_map(|(_, table)| table.paths())
    }

    /// What was learnt of a destination beside the routes of a table, leg by leg.
    pub fn exceptions(&self, table: u32, destination: IpAddr) -> impl Iterator<Item = &Exception> {
        let of_table = self.exceptions.get(&(Family::of(destination), table));
        let first = (destination, 0, None);
        let from = of_table.map(|known| known.range(first..));
        from.into_iter()
            .flatten()
            .map(|(_, exception)| exception)
            .take_while(move |exception| exception.destination == destination)
    }

    /// The ways that a path leads: its own legs, or those of its next-hop object or group.
    pub fn legs(&self, path: &Path) -> Vec<Leg> {
        let Some(id) = path.next_hop else {
            return path.legs.clone();
        };
        match self.next_hops.get(&id).map(|next_hop| &next_hop.kind) {
            Some(NextHopKind::Leg(leg)) => vec![leg.clone()],
            Some(NextHopKind::Group(members)) => members
                .iter()
                .filter_map(|&(id, weight)| match &self.next_hops.get(&id)?.kind {
                    NextHopKind::Leg(leg) => Some(Leg {
                        weight,
                        ..leg.clone()
                    }),
                    NextHopKind::Group(_) | NextHopKind::Blackhole => None,
                })
                .collect(),
            Some(NextHopKind::Blackhole) | None => Vec::new(),
        }
    }

    /// Follows what the kernel told, and what it does along with it in silence.
    ///
    /// Telling the same twice changes nothing the second time.
    pub fn apply(&mut self, told: Told) -> Vec<Change> {
        let done = match told {
            Told::New(fact, place) => self.add(fact, place),
            Told::Gone(fact) => self.remove(fact),
        };
        let Some((before, after)) = done else {
            return Vec::new();
        };
        let mut changes = vec![Change {
            before,
            after,
            how: How::Told,
        }];
        implied::follow(self, &mut changes);
        changes
    }

    /// Takes a part as a dump has it; returns what was otherwise here.
    pub fn replace(&mut self, part: Part, mut dumped: Self) -> Vec<Change> {
        self.exchange(part, &mut dumped);
        dumped.differences(part, self)
    }

    /// Takes all as a dump has it, but for exceptions, which are dumped apart; returns what was
    /// otherwise here.
    pub fn renew(&mut self, dumped: Self) -> Vec<Change> {
        let mut before = std::mem::replace(self, dumped);
        self.exceptions = std::mem::take(&mut before.exceptions);
        let parts = &before.parts() | &self.parts();
        let changes = parts.iter().map(|&part| before.differences(part, self));
        changes.flatten().collect()
    }

    /// Takes in what is of parts that there is nothing of here.
    pub fn join(&mut self, mut other: Self) {
        self.links.append(&mut other.links);
        self.addresses.append(&mut other.addresses);
        self.neighbours.append(&mut other.neighbours);
        self.next_hops.append(&mut other.next_hops);
        self.rules.append(&mut other.rules);
        self.tables.append(&mut other.tables);
        self.exceptions.append(&mut other.exceptions);
    }

    /// Adds a dump's next fact; a dump is in order, and has nothing twice that must not be.
    pub fn push(&mut self, fact: Fact) {
        match fact {
            Fact::Rule(rule) => self.rules.entry(rule.family).or_default().push(rule),
            Fact::Route(route) => {
                let table = (route.slot.family(), route.table);
                let table = self.tables.entry(table).or_default();
                table.push(route.slot, route.path);
            }
            fact => {
                self.add(fact, Place::Last);
            }
        }
    }

    /// Takes in a table of which there is nothing here.
    pub fn fill(&mut self, family: Family, id: u32, rows: Rows) {
        self.tables.insert((family, id), rows.into());
    }

    /// The parts that there is something in, but for exceptions: these are known of few tables.
    pub fn parts(&self) -> BTreeSet<Part> {
        let always = [
            Part::Links,
            Part::Addresses,
            Part::Neighbours,
            Part::NextHops,
        ];
        let rules = self.rules.keys().map(|&family| Part::Rules(family));
        let tables = self.tables.keys();
        let tables = tables.map(|&(family, id)| Part::Routes(family, id));
        always.into_iter().chain(rules).chain(tables).collect()
    }

    /// What leads from this state of a part to another.
    ///
    /// Neighbours that do not answer are left out: the kernel takes them in and asks again in
    /// silence.
    pub fn differences(&self, part: Part, other: &Self) -> Vec<Change> {
        let mut pairs = Pairs::default();
        match part {
            Part::Links => pairs.add(&self.links, &other.links, Fact::Link),
            Part::Addresses => pairs.add(&self.addresses, &other.addresses, Fact::Address),
            Part::Neighbours => pairs.add(&self.answering(), &other.answering(), Fact::Neighbour),
            Part::NextHops => pairs.add(&self.next_hops, &other.next_hops, Fact::NextHop),
            Part::Exceptions(family, id) => {
                let none = BTreeMap::new();
                let [mine, theirs] = [self, other]
                    .map(|network| network.exceptions.get(&(family, id)).unwrap_or(&none));
                pairs.add(mine, theirs, Fact::Exception);
            }
            Part::Rules(family) => {
                let (mine, theirs) = (self.rules(family), other.rules(family));
                if mine != theirs {
                    pairs.add_lists(mine, theirs, |rule| Fact::Rule(rule.clone()));
                }
            }
            Part::Routes(family, id) => {
                let none = Table::default();
                let [mine, theirs] =
                    [self, other].map(|network| network.table(family, id).unwrap_or(&none));
                for slot in mine.slots_that_differ(theirs) {
                    pairs.add_lists(mine.at(slot), theirs.at(slot), |path| {
                        Fact::Route(Route {
                            table: id,
                            slot,
                            path: Arc::clone(path),
                        })
                    });
                }
            }
        }
        pairs.0
    }

    fn answering(&self) -> BTreeMap<NeighbourKey, Neighbour> {
        let known = self.neighbours.iter();
        known
            .filter(|(_, neighbour)| neighbour.state != NeighbourState::Unresolved)
            .map(|(key, neighbour)| (*key, neighbour.clone()))
            .collect()
    }

    /// Exchanges a part with another network's.
    fn exchange(&mut self, part: Part, other: &mut Self) {
        match part {
            Part::Links => swap(&mut self.links, &mut other.links),
            Part::Addresses => swap(&mut self.addresses, &mut other.addresses),
            Part::Neighbours => swap(&mut self.neighbours, &mut other.neighbours),
            Part::NextHops => swap(&mut self.next_hops, &mut other.next_hops),
            Part::Rules(family) => exchange(&mut self.rules, &mut other.rules, family),
            Part::Routes(family, id) => {
                exchange(&mut self.tables, &mut other.tables, (family, id));
            }
            Part::Exceptions(family, id) => {
                exchange(&mut self.exceptions, &mut other.exceptions, (family, id));
            }
        }
    }

    fn add(&mut self, fact: Fact, place: Place) -> Option<Pair> {
        match fact {
            Fact::Link(link) => put(&mut self.links, link.index, link, Fact::Link),
            Fact::Address(it) => put(&mut self.addresses, it.key(), it, Fact::Address),
            Fact::Neighbour(it) => put(&mut self.neighbours, it.key(), it, Fact::Neighbour),
            Fact::NextHop(it) => put(&mut self.next_hops, it.id, it, Fact::NextHop),
            Fact::Exception(it) => {
                let known = self.exceptions.entry((it.family(), it.table)).or_default();
                put(known, it.key(), it, Fact::Exception)
            }
            Fact::Rule(rule) => {
                let rules = self.rules.entry(rule.family).or_default();
                if rules.contains(&rule) {
                    return None;
                }
                // Among those of one priority the newest stands last.
                let at = rules.partition_point(|other| other.priority <= rule.priority);
                rules.insert(at, rule.clone());
                Some((None, Some(Fact::Rule(rule))))
            }
            Fact::Route(route) => {
                let key = (route.slot.family(), route.table);
                let table = self.tables.entry(key).or_default();
                let (before, after) = table.add(route.slot, route.path, place)?;
                let fact = |path| {
                    Fact::Route(Route {
                        table: key.1,
                        slot: route.slot,
                        path,
                    })
                };
                Some((before.map(fact), Some(fact(after))))
            }
        }
    }

    fn remove(&mut self, fact: Fact) -> Option<Pair> {
        let gone = match fact {
            Fact::Link(link) => Fact::Link(self.links.remove(&link.index)?),
            Fact::Address(it) => Fact::Address(self.addresses.remove(&it.key())?),
            Fact::Neighbour(it) => Fact::Neighbour(self.neighbours.remove(&it.key())?),
            Fact::NextHop(it) => Fact::NextHop(self.next_hops.remove(&it.id)?),
            Fact::Exception(it) => {
                let known = self.exceptions.get_mut(&(it.family(), it.table))?;
                Fact::Exception(known.remove(&it.key())?)
            }
            Fact::Rule(rule) => {
                let rules = self.rules.get_mut(&rule.family)?;
                let at = rules.iter().position(|other| *other == rule)?;
                let gone = rules.remove(at);
                if rules.is_empty() {
                    self.rules.remove(&rule.family);
                }
                Fact::Rule(gone)
            }
            Fact::Route(route) => return self.remove_route(&route),
        };
        Some((Some(gone), None))
    }

    fn remove_route(&mut self, route: &Route) -> Option<Pair> {
        let key = (route.slot.family(), route.table);
        let table = self.tables.get_mut(&key)?;
        let (before, after) = table.remove(route.slot, &route.path)?;
        if table.is_empty() {
            self.tables.remove(&key);
        }
        let fact = |path| {
            Fact::Route(Route {
                path,
                ..route.clone()
            })
        };
        Some((Some(fact(before)), after.map(fact)))
    }
}

/// What was, and what is.
type Pair = (Option<Fact>, Option<Fact>);

fn put<K: Ord, V: Clone + PartialEq>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    fact: impl Fn(V) -> Fact,
) -> Option<Pair> {
    let before = map.insert(key, value.clone());
    if before.as_ref() == Some(&value) {
        return None;
    }
    Some((before.map(&fact), Some(fact(value))))
}

fn exchange<K: Ord + Copy, V>(mine: &mut BTreeMap<K, V>, theirs: &mut BTreeMap<K, V>, key: K) {
    let (before, after) = (mine.remove(&key), theirs.remove(&key));
    mine.extend(after.map(|value| (key, value)));
    theirs.extend(before.map(|value| (key, value)));
}

/// Changes that a dump showed.
#[derive(Default)]
struct Pairs(Vec<Change>);

impl Pairs {
    fn add<K: Ord, V: Clone + PartialEq>(
        &mut self,
        mine: &BTreeMap<K, V>,
        theirs: &BTreeMap<K, V>,
        fact: impl Fn(V) -> Fact,
    ) {
        for (key, before) in mine {
            let after = theirs.get(key);
            if after != Some(before) {
                self.found(Some(fact(before.clone())), after.cloned().map(&fact));
            }
        }
        for (_, after) in theirs.iter().filter(|&(key, _)| !mine.contains_key(key)) {
            self.found(None, Some(fact(after.clone())));
        }
    }

    /// Those that only one list has, in pairs as they stand; or all, where only their order differs.
    fn add_lists<T: PartialEq>(&mut self, mine: &[T], theirs: &[T], fact: impl Fn(&T) -> Fact) {
        let only = |of: &[T], other: &[T]| -> Vec<Fact> {
            let mut left: Vec<&T> = other.iter().collect();
            let mut only = Vec::new();
            for value in of {
                match left.iter().position(|other| *other == value) {
                    Some(at) => {
                        left.swap_remove(at);
                    }
                    None => only.push(fact(value)),
                }
            }
            only
        };
        let (mut before, mut after) = (only(mine, theirs), only(theirs, mine));
        if before.is_empty() && after.is_empty() {
            before = mine.iter().map(&fact).collect();
            after = theirs.iter().map(&fact).collect();
        }
        let (mut before, mut after) = (before.into_iter(), after.into_iter());
        loop {
            let pair = (before.next(), after.next());
            if pair == (None, None) {
                return;
            }
            self.found(pair.0, pair.1);
        }
    }

    fn found(&mut self, before: Option<Fact>, after: Option<Fact>) {
        self.0.push(Change {
            before,
            after,
            how: How::Found,
        });
    }
}
