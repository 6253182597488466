//! What counts of packets on their way add to the series.

use std::collections::{BTreeMap, HashMap};

use super::names::Names;
use super::sockets::{labels, phase_label, value};
use super::{ABSENT, AllSeries};
use crate::model::connection::{Phase, Sight};
use crate::model::passing::Passing;
use crate::model::{Class, Reading, identity};
use crate::sink::prometheus::sparse::Sparse;

/// What passed when it was read last, by what tells it apart.
#[derive(Debug, Default)]
pub(super) struct Pasts(HashMap<u64, Past>);

#[derive(Debug, Default)]
struct Past {
    phases: BTreeMap<Phase, Sparse>,
    sights: BTreeMap<Sight, u64>,
    seen: u64,
}

impl Pasts {
    /// Adds what came since the last reading. Flows are not sampled, so nothing is scaled.
    pub(super) fn add(
        &mut self,
        reading: &Reading,
        series: &mut AllSeries,
        names: &mut Names,
        now: u64,
    ) {
        for passing in &reading.passing {
            let Some(class) = reading.classes.get(passing.class) else {
                continue;
            };
            let birth = reading.births.classes.get(passing.class);
            let identity = identity::of_passing(class, birth, passing);
            let past = self.0.entry(identity).or_default();
            past.seen = now;
            past.add(class, passing, series, names);
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
    fn add(&mut self, class: &Class, now: &Passing, series: &mut AllSeries, names: &mut Names) {
        // Who counted less than before began anew.
        if self
            .sights
            .iter()
            .any(|(&it, &count)| now.sight(it) < count)
        {
            self.sights.clear();
            self.phases.clear();
        }
        let (namespace, device) = (&now.namespace, &*now.device);
        for (&phase, times) in &now.phases {
            let mut at = series.room();
            let own = [phase_label(phase)];
            let labels = labels(class, namespace, device, &own, names);
            let value = value(&mut series.passing_round_trips, labels, &mut at);
            let past = self.phases.entry(phase).or_default();
            value.rise(past.rise_to(times), 1);
            series.settle(&at);
        }
        for (&sight, &count) in &now.sights {
            let past = self.sights.entry(sight).or_default();
            let since = count.saturating_sub(*past);
            *past = count.max(*past);
            let mut at = series.room();
            let labels = labels(class, namespace, device, &[sight.name()], names);
            *value(&mut series.passing_events, labels, &mut at) += since;
            series.settle(&at);
        }
    }
}
