//! What a report tells of the time since an earlier one of the same source.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::{Report, class_key};
use crate::model::connection::{Connection, Phase, Sight, Sockets, Totals};
use crate::model::passing::Flows;
use crate::model::{Ends, Histogram, Route, RouteId, Step, Tuple};

impl Report {
    /// What came since an earlier report. A route or a socket that the earlier one does not know is
    /// new; coverage and losses stay as they are, since their beginning.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let routes: HashMap<RouteId, &Route> = earlier
            .routes
            .iter()
            .map(|route| (route.id, route))
            .collect();
        let mut report = self.clone();
        report.duration_ns = self.duration_ns.saturating_sub(earlier.duration_ns);
        report.host = self.host.since(&earlier.host);
        for route in &mut report.routes {
            if let Some(before) = routes.get(&route.id) {
                *route = route_since(route, before);
            }
        }
        let sockets: HashMap<_, &Sockets> =
            earlier.sockets.iter().map(|it| (key(it), it)).collect();
        for mine in &mut report.sockets {
            if let Some(before) = sockets.get(&key(mine)) {
                *mine = sockets_since(mine, before);
            }
        }
        for mine in &mut report.passing {
            if let Some(before) = earlier.passing.iter().find(|it| is_same(it, mine)) {
                *mine = flows_since(mine, before);
            }
        }
        report
    }
}

impl Sockets {
    /// The same sockets in another report: by class, namespace, device and next hop.
    pub fn same<'a>(&self, all: &'a [Self]) -> Option<&'a Self> {
        let mine = place(self);
        all.iter().find(|it| {
            place(it) == mine
                && it.class.protocol == self.class.protocol
                && it.class.service == self.class.service
                && it.class.source == self.class.source
                && it.class.destination == self.class.destination
        })
    }
}

type Place = (u64, u32, Option<IpAddr>);

/// Where sockets are and send by.
fn place(sockets: &Sockets) -> Place {
    let seen = &sockets.seen;
    (seen.namespace.cookie, seen.ifindex, seen.next_hop)
}

fn key(sockets: &Sockets) -> (Place, String) {
    (place(sockets), class_key(&sockets.class))
}

fn route_since(route: &Route, before: &Route) -> Route {
    let mut since = Route {
        packets: route.packets.saturating_sub(before.packets),
        total: route.total.since(&before.total),
        connections: totals_since(&route.connections, &before.connections),
        ends: ends_since(&route.ends, &before.ends),
        ..route.clone()
    };
    for (step, before) in since.steps.iter_mut().zip(&before.steps) {
        *step = step_since(step, before);
    }
    since
}

fn step_since(step: &Step, before: &Step) -> Step {
    let mut since = Step {
        packets: step.packets.saturating_sub(before.packets),
        born: step.born.saturating_sub(before.born),
        bytes: step.bytes.saturating_sub(before.bytes),
        ends: ends_since(&step.ends, &before.ends),
        ..step.clone()
    };
    if let (Some(segment), Some(before)) = (&mut since.segment, &before.segment) {
        segment.latency = segment.latency.since(&before.latency);
    }
    since
}

fn ends_since(ends: &Ends, before: &Ends) -> Ends {
    Ends {
        delivered: ends.delivered.saturating_sub(before.delivered),
        merged: ends.merged.saturating_sub(before.merged),
        split: ends.split.saturating_sub(before.split),
        in_flight: ends.in_flight,
        dropped: counts_since(&ends.dropped, &before.dropped),
        lost: counts_since(&ends.lost, &before.lost),
    }
}

fn counts_since<K: Ord + Clone>(
    counts: &BTreeMap<K, u64>,
    before: &BTreeMap<K, u64>,
) -> BTreeMap<K, u64> {
    let since = counts.iter().map(|(key, &count)| {
        let before = before.get(key).copied().unwrap_or(0);
        (key.clone(), count.saturating_sub(before))
    });
    since.filter(|(_, count)| *count > 0).collect()
}

fn phases_since(
    phases: &BTreeMap<Phase, Histogram>,
    before: &BTreeMap<Phase, Histogram>,
) -> BTreeMap<Phase, Histogram> {
    let since = phases
        .iter()
        .map(|(&phase, times)| match before.get(&phase) {
            Some(before) => (phase, times.since(before)),
            None => (phase, times.clone()),
        });
    since.filter(|(_, times)| times.count() > 0).collect()
}

fn totals_since(totals: &Totals, before: &Totals) -> Totals {
    Totals {
        phases: phases_since(&totals.phases, &before.phases),
        sights: counts_since::<Sight>(&totals.sights, &before.sights),
    }
}

fn sockets_since(sockets: &Sockets, before: &Sockets) -> Sockets {
    let mut since = sockets.clone();
    since.seen.phases = phases_since(&sockets.seen.phases, &before.seen.phases);
    since.seen.sights = counts_since(&sockets.seen.sights, &before.seen.sights);
    sample_since(&mut since.seen.sample, &before.seen.sample);
    since
}

/// Whether these are of the same class, and came in by the same device.
fn is_same(one: &Flows, other: &Flows) -> bool {
    let place = |it: &Flows| (it.seen.namespace.cookie, it.seen.ifindex);
    place(one) == place(other) && class_key(&one.class) == class_key(&other.class)
}

fn flows_since(flows: &Flows, before: &Flows) -> Flows {
    let mut since = flows.clone();
    since.seen.phases = phases_since(&flows.seen.phases, &before.seen.phases);
    since.seen.sights = counts_since(&flows.seen.sights, &before.seen.sights);
    sample_since(&mut since.seen.sample, &before.seen.sample);
    since
}

fn sample_since(sample: &mut [Connection], before: &[Connection]) {
    let known: HashMap<Tuple, &Connection> = before.iter().map(|it| (it.tuple, it)).collect();
    for connection in sample {
        if let Some(before) = known.get(&connection.tuple) {
            *connection = connection_since(connection, before);
        }
    }
}

/// The smallest round trip stays that of the whole time.
fn connection_since(connection: &Connection, before: &Connection) -> Connection {
    Connection {
        rtts: connection.rtts.saturating_sub(before.rtts),
        rtt_sum_ns: connection.rtt_sum_ns.saturating_sub(before.rtt_sum_ns),
        retransmits: connection.retransmits.saturating_sub(before.retransmits),
        exchanges: connection.exchanges.saturating_sub(before.exchanges),
        disturbed: connection.disturbed.saturating_sub(before.disturbed),
        ..*connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::connection::example;

    #[test]
    fn a_window_of_a_connection_that_lives_for_long_is_exact() {
        let mut before = example::lab().connections[0].sample[0];
        (before.rtts, before.rtt_sum_ns) = (10_000_000, 7_654_321_987_654);
        let now = Connection {
            rtts: before.rtts + 80,
            rtt_sum_ns: before.rtt_sum_ns + 80 * 70_000,
            ..before
        };
        let since = connection_since(&now, &before);
        assert_eq!((since.rtts, since.rtt_mean_ns()), (80, 70_000));
    }

    #[test]
    fn nothing_came_since_the_same_report() {
        let report = Report::from_reading(&example::lab());
        let since = report.since(&report);
        assert_eq!((since.packets(), since.duration_ns), (0, 0));
        let sockets = &since.sockets[0].seen;
        assert!(sockets.phases.is_empty() && sockets.sights.is_empty());
        assert_eq!(
            (sockets.sample[0].rtts, sockets.sample[0].exchanges),
            (0, 0)
        );
        assert!(since.routes.iter().all(|route| route.total.count() == 0));
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let early = Report::from_reading(&example::lab());
        let mut late = early.clone();
        let seen = &mut late.sockets[0].seen;
        seen.phases
            .entry(Phase::Rtt)
            .or_default()
            .record_n(9_000_000, 4);
        *seen.sights.entry(Sight::Undisturbed).or_default() += 4;
        late.routes[0].packets += 8;
        let since = late.since(&early);
        let seen = &since.sockets[0].seen;
        assert_eq!(seen.phase(Phase::Rtt).count(), 4);
        assert_eq!(seen.sight(Sight::Undisturbed), 4);
        assert_eq!(since.routes[0].packets, 8);
    }

    #[test]
    fn sockets_that_are_new_came_since() {
        let late = Report::from_reading(&example::lab());
        let since = late.since(&Report::default());
        assert_eq!(since.sockets, late.sockets);
        assert_eq!(since.packets(), late.packets());
    }
}
