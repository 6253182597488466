//! Who depends on a dependency: what the process that asks it answers meanwhile, and whom.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::connection::{Connections, Phase, SAMPLE, Sockets};
use super::histogram::upper_bound;
use super::name::Who;
use super::report::class_key;
use super::verdict::Share;
use super::{Class, Histogram, Namespace, Report};

/// What a process serves while it asks a dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependents {
    /// The class of the dependency's answers, which the process waits for.
    pub dependency: Class,
    /// The class of the requests that the process serves.
    pub front: Class,
    /// The network namespace of its sockets.
    pub namespace: Namespace,
    /// Whether it is known to be one process that has both; else both are in one namespace, and who
    /// has them is not known.
    pub is_one_process: bool,
    /// Of its undisturbed answers those that took as long as the dependency's answers do at the
    /// median, or longer: no more of them can have waited for one. None where either side has too
    /// few answers.
    pub waited_at_most: Option<Share>,
    /// Who asks it.
    pub clients: Clients,
}

/// Client addresses, as far as they are known from a sample of the connections that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// How many addresses the connections of the sample have.
    pub addresses: usize,
    /// Connections of the sample.
    pub connections: usize,
    /// Whether the sample is all there are.
    pub is_whole: bool,
    /// The fewest addresses that together have four of five exchanges.
    pub busiest: usize,
    /// The connections that these have.
    pub connections_of_busiest: usize,
}

impl Clients {
    /// Few addresses carry most of the exchanges over many connections: they stand for others, and
    /// their number says nothing of how many users there are.
    pub fn is_behind_a_proxy(&self) -> bool {
        const FEW: usize = 3;
        /// A browser has six to a host at most.
        const EACH: usize = 8;
        let is_few = self.busiest > 0 && self.busiest <= FEW;
        is_few && self.connections_of_busiest >= EACH * self.busiest
    }
}

/// Fewer answers say nothing of what is usual.
const ENOUGH: u64 = 5;

impl Report {
    /// Who depends on whom on this host, as far as both sides' sockets are here: dependencies in the
    /// report's order.
    pub fn dependents(&self) -> Vec<Dependents> {
        let names: HashMap<String, &Who> = (self.routes.iter())
            .map(|route| (class_key(&route.class), &route.names.destination))
            .collect();
        let [asking, serving] = [false, true].map(|serves| ends(&self.sockets, serves));
        let mut all = Vec::new();
        for back in &asking {
            for front in &serving {
                let is_here = back.namespace() == front.namespace();
                if !is_here || back.is_other_end_of(front) {
                    continue;
                }
                let [theirs, ours] = [back, front].map(|it| names.get(&it.key).copied());
                if let Some(is_one_process) = is_one(theirs, ours) {
                    all.push(back.in_front(front, is_one_process));
                }
            }
        }
        all
    }
}

/// Whether both are one process; none where they are known to be others.
fn is_one(one: Option<&Who>, other: Option<&Who>) -> Option<bool> {
    match (one, other) {
        (Some(Who::Local(one)), Some(Who::Local(other))) => {
            (!one.is_disjoint(other)).then_some(true)
        }
        _ => Some(false),
    }
}

/// The sockets of one side of a class in one namespace, whatever they send by.
struct End<'a> {
    key: String,
    class: &'a Class,
    seen: Vec<&'a Connections>,
}

fn ends(all: &[Sockets], serves: bool) -> Vec<End<'_>> {
    let mut ends = Vec::<End<'_>>::new();
    for sockets in all.iter().filter(|it| it.serve() == Some(serves)) {
        let key = class_key(&sockets.class);
        let cookie = sockets.seen.namespace.cookie;
        let is_it = |end: &&mut End<'_>| end.key == key && end.namespace() == cookie;
        match ends.iter_mut().find(is_it) {
            Some(end) => end.seen.push(&sockets.seen),
            None => ends.push(End {
                key,
                class: &sockets.class,
                seen: vec![&sockets.seen],
            }),
        }
    }
    ends
}

impl End<'_> {
    fn namespace(&self) -> u64 {
        self.seen[0].namespace.cookie
    }

    /// Whether a process here asks itself.
    fn is_other_end_of(&self, other: &Self) -> bool {
        let [mine, theirs] = [self, other].map(|it| it.class.service.map(super::Service::port));
        mine == theirs && self.class.source == other.class.destination
    }

    fn times(&self, phases: &[Phase]) -> Histogram {
        let mut all = Histogram::default();
        for seen in &self.seen {
            for phase in phases {
                all.merge(&seen.phase(*phase));
            }
        }
        all
    }

    fn in_front(&self, front: &Self, is_one_process: bool) -> Dependents {
        // What was disturbed was waited for too.
        let answers = [Phase::Answer, Phase::Disturbed, Phase::PeerOrWayBack];
        let waited = self.times(&answers);
        Dependents {
            dependency: self.class.clone(),
            front: front.class.clone(),
            namespace: self.seen[0].namespace.clone(),
            is_one_process,
            waited_at_most: waited_at_most(&waited, &front.times(&[Phase::Service])),
            clients: clients(&front.seen),
        }
    }
}

fn waited_at_most(waited: &Histogram, served: &Histogram) -> Option<Share> {
    let median_ns = waited.quantile_ns(0.5)?;
    if waited.count() < ENOUGH || served.count() < ENOUGH {
        return None;
    }
    // The bucket that the median lies in counts too.
    let buckets = served.counts().buckets();
    let long = buckets.filter(|&(bucket, _)| upper_bound(bucket) >= median_ns);
    Some(Share {
        part: long.map(|(_, count)| count).sum(),
        of: served.count(),
    })
}

fn clients(seen: &[&Connections]) -> Clients {
    // Exchanges and connections of each.
    let mut addresses = BTreeMap::<IpAddr, (u64, usize)>::new();
    for connection in seen.iter().flat_map(|it| &it.sample) {
        let (exchanges, connections) = addresses.entry(connection.tuple.source).or_default();
        *exchanges += u64::from(connection.exchanges);
        *connections += 1;
    }
    let mut most: Vec<(u64, usize)> = addresses.values().copied().collect();
    most.sort_unstable_by(|a, b| b.cmp(a));
    let all: u64 = most.iter().map(|(exchanges, _)| exchanges).sum();
    let mut clients = Clients {
        addresses: addresses.len(),
        connections: most.iter().map(|(_, connections)| connections).sum(),
        is_whole: seen.iter().all(|it| it.sample.len() < SAMPLE),
        ..Clients::default()
    };
    let mut sum = 0;
    for (exchanges, connections) in most {
        if sum * 5 >= all * 4 {
            break;
        }
        sum += exchanges;
        clients.busiest += 1;
        clients.connections_of_busiest += connections;
    }
    clients
}

#[cfg(test)]
mod tests;
