//! What sockets' counts add to the series.

use std::collections::{BTreeMap, HashMap};

use super::names::Names;
use super::{ABSENT, AllSeries, Labels, Room, Series};
use crate::model::connection::{Connections, Phase, Sight};
use crate::model::identity;
use crate::model::{Class, Namespace, Reading, Service};
use crate::sink::prometheus::sparse::Sparse;

/// Sockets when they were read last, by what tells them apart.
#[derive(Debug, Default)]
pub(super) struct Pasts(HashMap<u64, Past>);

#[derive(Debug, Default)]
struct Past {
    phases: BTreeMap<Phase, Sparse>,
    sights: BTreeMap<Sight, u64>,
    seen: u64,
}

impl Pasts {
    /// Adds what came since the last reading. Connections are not sampled, so nothing is scaled.
    pub(super) fn add(
        &mut self,
        reading: &Reading,
        series: &mut AllSeries,
        names: &mut Names,
        now: u64,
    ) {
        for connections in &reading.connections {
            let Some(class) = reading.classes.get(connections.class) else {
                continue;
            };
            let birth = reading.births.classes.get(connections.class);
            let identity = identity::of_sockets(class, birth, connections);
            let past = self.0.entry(identity).or_default();
            past.begin(connections, now);
            past.add(class, connections, series, names);
        }
    }

    /// Takes all that was counted as known.
    pub(super) fn go_on_from(&mut self, reading: &Reading, now: u64) {
        self.0.clear();
        let mut nowhere = AllSeries::default();
        self.add(reading, &mut nowhere, &mut Names::default(), now);
    }

    pub(super) fn forget_absent(&mut self, now: u64) {
        self.0.retain(|_, past| now - past.seen < ABSENT);
    }
}

impl Past {
    /// Who counted less than before began anew.
    fn begin(&mut self, now: &Connections, reading: u64) {
        self.seen = reading;
        let is_new = self
            .sights
            .iter()
            .any(|(&sight, &count)| now.sight(sight) < count);
        if is_new {
            self.sights.clear();
            self.phases.clear();
        }
    }

    fn add(&mut self, class: &Class, now: &Connections, series: &mut AllSeries, names: &mut Names) {
        for (&phase, times) in &now.phases {
            let mut at = series.room();
            let labels = sockets_labels(class, now, phase_label(phase), names);
            let into = if is_round_trip(phase) {
                &mut series.round_trips
            } else {
                &mut series.exchange_times
            };
            let value = value(into, labels, &mut at);
            let past = self.phases.entry(phase).or_default();
            value.rise(past.rise_to(times), 1);
            series.settle(&at);
        }
        for (&sight, &count) in &now.sights {
            let past = self.sights.entry(sight).or_default();
            let since = count.saturating_sub(*past);
            *past = count.max(*past);
            let mut at = series.room();
            let labels = sockets_labels(class, now, sight.name(), names);
            let into = if is_exchange(sight) {
                &mut series.exchanges
            } else {
                &mut series.tcp_events
            };
            *value(into, labels, &mut at) += since;
            series.settle(&at);
        }
    }
}

/// How much room there is, and how often there was none.
pub(super) struct Left {
    series: usize,
    missed: u64,
}

impl AllSeries {
    pub(super) fn room(&self) -> Left {
        Left {
            series: self.left,
            missed: 0,
        }
    }

    /// So much room was taken, and so often there was none.
    pub(super) fn settle(&mut self, left: &Left) {
        self.left = left.series;
        self.overflows += left.missed;
    }
}

pub(super) fn value<'s, V: Default>(
    series: &'s mut Series<V>,
    labels: Labels,
    left: &mut Left,
) -> &'s mut V {
    let labels = if series.contains_key(&labels) {
        labels
    } else {
        let mut room = Room {
            left: &mut left.series,
            overflows: &mut left.missed,
        };
        room.take().map_or_else(Labels::default, |()| labels)
    };
    series.entry(labels).or_default()
}

fn sockets_labels(class: &Class, at: &Connections, own: &str, names: &mut Names) -> Labels {
    let next_hop = at.next_hop.map_or_else(String::new, |it| it.to_string());
    labels(class, &at.namespace, &at.device, &[&next_hop, own], names)
}

/// The labels of a class at a device, with some of its own at the end.
pub(super) fn labels(
    class: &Class,
    namespace: &Namespace,
    device: &str,
    own: &[&str],
    names: &mut Names,
) -> Labels {
    let port = class
        .service
        .map_or_else(String::new, |service| service.port().to_string());
    let all = [
        &*class.source.to_string(),
        &class.destination.to_string(),
        &port,
        match class.service {
            None => "",
            Some(Service::Destination(_)) => "destination",
            Some(Service::Source(_)) => "source",
        },
        &namespace.name,
        device,
    ];
    let all = all.iter().chain(own);
    all.map(|value| names.intern(value)).collect()
}

fn is_round_trip(phase: Phase) -> bool {
    matches!(phase, Phase::Rtt | Phase::RttWithData | Phase::Handshake)
}

/// What a round trip is known by; for all others the phase.
pub(super) fn phase_label(phase: Phase) -> &'static str {
    match phase {
        Phase::Rtt => "acknowledgement",
        Phase::RttWithData => "data",
        other => other.name(),
    }
}

fn is_exchange(sight: Sight) -> bool {
    matches!(
        sight,
        Sight::Undisturbed
            | Sight::Disturbed
            | Sight::PeerOrWayBack
            | Sight::Overlapping
            | Sight::Unanswered
    )
}
