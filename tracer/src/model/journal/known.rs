//! The last known state of namespaces: since when each thing is as it is, and what changed while
//! nobody looked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Kind, Moment, Since, Subject, Who, fact};
use crate::model::network::{Fact, Network, names};

/// Routes of one protocol that are remembered in a namespace: of more, such as the Internet's, none
/// is.
const ROUTES: usize = 10_000;

/// Things that are remembered in all namespaces together.
const ROWS: usize = 100_000;

/// `RT_TABLE_LOCAL`: its routes follow from addresses.
const LOCAL: u32 = 255;

/// What a namespace has that is worth remembering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Each thing's state, and the protocol that set it.
    pub states: Vec<(Subject, String, Option<String>)>,
    /// Protocols with too many routes.
    pub left_out: BTreeSet<String>,
}

impl Snapshot {
    /// Of a namespace. Neighbours come and go, and are left out.
    pub fn of(network: &Network) -> Self {
        let links = network.links();
        let devices = links.map(|link| (link.index, link.name.clone())).collect();
        let mut counts = [0; 1 << u8::BITS];
        for path in network.paths_of(|table| table != LOCAL) {
            counts[usize::from(path.protocol)] += 1;
        }
        let is_left_out = |protocol: u8| counts[usize::from(protocol)] > ROUTES;
        let routes =
            network.routes_that(|table, path| table != LOCAL && !is_left_out(path.protocol));
        let rules = crate::model::network::Family::ALL;
        let rules = rules.into_iter().flat_map(|family| network.rules(family));
        let facts = (network.links().cloned().map(Fact::Link))
            .chain(network.addresses().cloned().map(Fact::Address))
            .chain(network.next_hops().cloned().map(Fact::NextHop))
            .chain(rules.cloned().map(Fact::Rule))
            .chain(routes.map(Fact::Route));
        Self {
            states: facts
                .map(|it| {
                    let state = fact::text(&it, &devices);
                    (fact::subject(&it, &devices), state, protocol(&it))
                })
                .collect(),
            left_out: (0..=u8::MAX)
                .filter(|&protocol| is_left_out(protocol))
                .map(names::protocol)
                .collect(),
        }
    }
}

/// Who set a route, a rule or a next hop.
pub fn protocol(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Route(route) => Some(names::protocol(route.path.protocol)),
        Fact::Rule(rule) => Some(names::protocol(rule.protocol)),
        Fact::NextHop(next_hop) => Some(names::protocol(next_hop.protocol)),
        Fact::Link(_) | Fact::Address(_) | Fact::Neighbour(_) | Fact::Exception(_) => None,
    }
}

/// What names a thing: its namespace's name, and its subject.
pub type Key = (String, Subject);

/// A thing as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its state.
    pub state: String,
    /// Since when.
    pub since: Since,
    /// Who made it so.
    pub who: Who,
}

/// What a first look shows to be otherwise than it was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What changed.
    pub subject: Subject,
    /// How it was.
    pub before: Option<String>,
    /// How it is.
    pub after: Option<String>,
    /// Who set it.
    pub protocol: Option<String>,
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct Known {
    rows: BTreeMap<Key, Row>,
    /// How many routes of a protocol a namespace has among them.
    routes: HashMap<(String, String), usize>,
    /// What is to be written.
    dirty: BTreeSet<Key>,
}

impl Known {
    /// What was written before.
    pub fn from_rows(rows: impl IntoIterator<Item = (Key, Row)>) -> Self {
        let mut known = Self::default();
        for ((namespace, subject), row) in rows {
            known.put(&namespace, &subject, row);
        }
        known.dirty.clear();
        known
    }

    /// A thing of a namespace.
    pub fn row(&self, namespace: &str, subject: &Subject) -> Option<&Row> {
        self.rows.get(&(namespace.to_owned(), subject.clone()))
    }

    /// The route of a place in a table.
    pub fn route(&self, namespace: &str, prefix: &str, table: u32, metric: u32) -> Option<&Row> {
        let name = fact::place(prefix, table, 0, metric);
        let kind = Kind::Route;
        self.row(namespace, &Subject { kind, name })
    }

    /// A first look at a namespace: what is otherwise than it was known. A namespace that is not
    /// known differs in nothing.
    pub fn look(&mut self, namespace: &str, snapshot: &Snapshot, now: Moment) -> Vec<Difference> {
        if !lasts(namespace) {
            return Vec::new();
        }
        let mut before: BTreeMap<Subject, String> = self
            .rows_of(namespace)
            .map(|(subject, row)| (subject.clone(), row.state.clone()))
            .collect();
        let is_new = before.is_empty();
        let mut now_there = BTreeMap::<&Subject, Vec<_>>::new();
        for (subject, state, protocol) in &snapshot.states {
            now_there
                .entry(subject)
                .or_default()
                .push((state, protocol));
        }
        let mut differences = Vec::new();
        for (subject, states) in now_there {
            let was = before.remove(subject);
            // Where several routes have one place, the first one counts.
            let (state, protocol) = states[0];
            let is_as_it_was = |was: &String| states.iter().any(|(state, _)| *state == was);
            if was.as_ref().is_some_and(is_as_it_was) {
                continue;
            }
            let since = Since {
                at: now,
                exact: false,
            };
            let row = Row {
                state: state.clone(),
                since,
                who: Who::Unknown,
            };
            self.put(namespace, subject, row);
            if !is_new {
                differences.push(Difference {
                    subject: subject.clone(),
                    before: was,
                    after: Some(state.clone()),
                    protocol: protocol.clone(),
                });
            }
        }
        for (subject, state) in before {
            self.remove(namespace, &subject);
            let left_out = |name: &String| state.contains(&format!(" proto {name}"));
            // One of a protocol that has too many now may still be there.
            if !snapshot.left_out.iter().any(left_out) {
                differences.push(Difference {
                    subject,
                    before: Some(state),
                    after: None,
                    protocol: None,
                });
            }
        }
        differences
    }

    /// A thing changed. What comes and goes by itself is not remembered.
    pub fn change(
        &mut self,
        namespace: &str,
        subject: &Subject,
        after: Option<&str>,
        since: Since,
        who: &Who,
    ) {
        let is_passing = [Kind::Neighbour, Kind::Exception].contains(&subject.kind);
        if is_passing || !lasts(namespace) {
            return;
        }
        match after {
            Some(state) => {
                let row = Row {
                    state: state.to_owned(),
                    since,
                    who: who.clone(),
                };
                self.put(namespace, subject, row);
            }
            None => self.remove(namespace, subject),
        }
    }

    /// A namespace is gone: one that gets its name later has nothing of it.
    pub fn forget(&mut self, namespace: &str) {
        let gone: Vec<Subject> = self
            .rows_of(namespace)
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in gone {
            self.remove(namespace, &subject);
        }
        self.routes.retain(|(of, _), _| of != namespace);
    }

    fn rows_of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a Subject, &'a Row)> {
        let first = (namespace.to_owned(), Subject::first());
        let rest = self.rows.range(first..);
        rest.take_while(move |((of, _), _)| of == namespace)
            .map(|((_, subject), row)| (subject, row))
    }

    /// What is to be written since the last time: a row, or none for one that is gone.
    pub fn take_dirty(&mut self) -> Vec<(Key, Option<Row>)> {
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        dirty
            .map(|key| {
                let row = self.rows.get(&key).cloned();
                (key, row)
            })
            .collect()
    }

    /// All is to be written again: nothing of it is where it was.
    pub fn write_all(&mut self) {
        self.dirty = self.rows.keys().cloned().collect();
    }

    /// What is too much of one kind is not remembered: it would take the room of the rest.
    fn put(&mut self, namespace: &str, subject: &Subject, row: Row) {
        self.remove(namespace, subject);
        if self.rows.len() >= ROWS {
            return;
        }
        let routes = self.routes_like(namespace, &row);
        if *routes < ROUTES {
            *routes += 1;
            let key = (namespace.to_owned(), subject.clone());
            self.dirty.insert(key.clone());
            self.rows.insert(key, row);
        }
    }

    /// How many there are of a row's protocol.
    fn routes_like(&mut self, namespace: &str, row: &Row) -> &mut usize {
        let protocol = row.state.split_once(" proto ").map_or("", |(_, rest)| rest);
        let protocol = protocol.split(' ').next().unwrap_or_default();
        self.routes
            .entry((namespace.to_owned(), protocol.to_owned()))
            .or_default()
    }

    fn remove(&mut self, namespace: &str, subject: &Subject) {
        let key = (namespace.to_owned(), subject.clone());
        if let Some(row) = self.rows.remove(&key) {
            let routes = self.routes_like(namespace, &row);
            *routes = routes.saturating_sub(1);
            self.dirty.insert(key);
        }
    }
}

impl Subject {
    /// One before which there is none.
    fn first() -> Self {
        Self {
            kind: Kind::Link,
            name: String::new(),
        }
    }
}

/// Whether a namespace's name will mean the same one later: one that is called by a process or by
/// its inode ends with it.
fn lasts(namespace: &str) -> bool {
    !namespace.contains('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str) -> Subject {
        Subject {
            kind: Kind::Route,
            name: name.to_owned(),
        }
    }

    fn snapshot(states: &[(&str, &str)]) -> Snapshot {
        let states = states.iter();
        Snapshot {
            states: states
                .map(|(name, state)| (route(name), (*state).to_owned(), None))
                .collect(),
            left_out: BTreeSet::new(),
        }
    }

    #[test]
    fn what_changed_while_nobody_looked_shows_at_the_next_look() {
        let mut known = Known::default();
        let first = snapshot(&[("a", "a1"), ("b", "b1"), ("c", "c1")]);
        assert_eq!(known.look("host", &first, 10), []);
        let mut later = Known::from_rows(
            known
                .take_dirty()
                .into_iter()
                .map(|(key, row)| (key, row.unwrap())),
        );
        let second = snapshot(&[("a", "a1"), ("b", "b2"), ("d", "d1")]);
        let found = later.look("host", &second, 20);
        let found: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    it.subject.name.as_str(),
                    it.before.as_deref(),
                    it.after.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("b", Some("b1"), Some("b2")),
                ("d", None, Some("d1")),
                ("c", Some("c1"), None)
            ]
        );
        let since = |name| {
            later
                .row("host", &route(name))
                .map(|row| (row.since.at, row.since.exact))
        };
        assert_eq!(
            [since("a"), since("b"), since("c")],
            [Some((10, false)), Some((20, false)), None]
        );
    }

    #[test]
    fn a_namespace_that_is_gone_leaves_nothing_to_the_next_of_its_name() {
        let mut known = Known::default();
        known.look(
            "guest",
            &snapshot(&[("a", "a1"), ("b", "b1 proto static")]),
            10,
        );
        known.look("guest-2", &snapshot(&[("a", "a1")]), 10);
        known.take_dirty();
        known.forget("guest");
        let told = known.take_dirty();
        assert!(
            told.iter()
                .all(|((of, _), row)| of == "guest" && row.is_none())
        );
        assert_eq!((told.len(), known.rows.len()), (2, 1));
        assert!(known.routes.keys().all(|(of, _)| of == "guest-2"));
        assert_eq!(known.look("guest", &snapshot(&[("c", "c1")]), 20), []);
    }

    #[test]
    fn one_of_several_routes_of_a_place_is_no_change() {
        let mut known = Known::default();
        known.look("host", &snapshot(&[("a", "a2")]), 10);
        assert_eq!(
            known.look("host", &snapshot(&[("a", "a1"), ("a", "a2")]), 20),
            []
        );
    }

    #[test]
    fn a_namespace_that_ends_with_a_process_is_not_remembered() {
        let mut known = Known::default();
        known.look("sleep[7]", &snapshot(&[("a", "a1")]), 10);
        assert_eq!(known.take_dirty(), []);
    }
}
