//! A histogram that takes no more room than it has latencies.

use crate::model::{Counts, Histogram};

/// A series' counts: those of a [`Histogram`] without its extremes, which Prometheus has no word for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    counts: Counts,
    count: u64,
    sum_ns: u64,
}

/// What came between two states of a histogram.
pub(super) struct Rise {
    /// By bucket.
    counts: Vec<(usize, u64)>,
    ns: u64,
}

impl Sparse {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn sum_s(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// The count of a bucket, as [`tracer_common::bucket::index`] numbers them.
    pub(super) fn get(&self, bucket: usize) -> u64 {
        self.counts.get(bucket)
    }

    /// The buckets from the lowest to the highest that hold any, with their counts.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.buckets()
    }

    /// Whether a histogram counted as much as this.
    pub(super) fn is_at(&self, now: &Histogram) -> bool {
        now.count() == self.count && now.sum_ns() == self.sum_ns
    }

    /// Raises this to what a histogram holds now; returns each bucket's rise, and the time's.
    ///
    /// A bucket that shrank stays as it was: it rises again when the histogram is above it.
    pub(super) fn rise_to(&mut self, now: &Histogram) -> Rise {
        let mut rise = Rise {
            ns: now.sum_ns().saturating_sub(self.sum_ns),
            counts: Vec::new(),
        };
        if now.count() == self.count && rise.ns == 0 {
            return rise;
        }
        // A second fills few buckets.
        rise.counts.reserve(16);
        let mut shrank = Vec::new();
        now.counts()
            .differences(&self.counts, |bucket, now, before| {
                if now > before {
                    rise.counts.push((bucket, now - before));
                } else {
                    shrank.push((bucket, before - now));
                }
            });
        for &(_, n) in &rise.counts {
            self.count = self.count.saturating_add(n);
        }
        // Where nothing shrank the room is the histogram's.
        self.counts = now.counts().clone();
        self.counts.add_all(&shrank);
        self.add_time(rise.ns);
        rise
    }

    /// Rises as another one did, so many times.
    pub(super) fn rise(&mut self, mut rise: Rise, times: u64) {
        for (_, n) in &mut rise.counts {
            *n = n.saturating_mul(times);
            self.count = self.count.saturating_add(*n);
        }
        self.counts.add_all(&rise.counts);
        self.add_time(rise.ns.saturating_mul(times));
    }

    fn add_time(&mut self, ns: u64) {
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }
}

#[cfg(test)]
impl Sparse {
    pub(super) fn add(&mut self, bucket: usize, n: u64) {
        let counts = vec![(bucket, n)];
        self.rise(Rise { counts, ns: 0 }, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(latencies: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &latency in latencies {
            histogram.record(latency);
        }
        histogram
    }

    #[test]
    fn what_shrinks_waits_until_it_is_above_its_highest() {
        let mut sparse = Sparse::default();
        let mut rise = |latencies: &[u64]| {
            let rise = sparse.rise_to(&of(latencies));
            let risen: u64 = rise.counts.iter().map(|(_, n)| n).sum();
            (risen, sparse.count())
        };
        assert_eq!(rise(&[500, 500, 90_000]), (3, 3));
        assert_eq!(rise(&[500]), (0, 3));
        assert_eq!(rise(&[500, 500, 90_000, 90_000]), (1, 4));
    }

    proptest! {
        #[test]
        fn it_holds_what_the_histogram_holds(latencies in prop::collection::vec(0u64..100_000_000_000, 0..80)) {
            let histogram = of(&latencies);
            let mut sparse = Sparse::default();
            let mut added = Sparse::default();
            for end in 0..=latencies.len() {
                let rise = sparse.rise_to(&of(&latencies[..end]));
                added.rise(rise, 1);
            }
            for (bucket, count) in histogram.counts().buckets() {
                prop_assert_eq!(sparse.get(bucket), count);
            }
            prop_assert_eq!(sparse.count(), histogram.count());
            prop_assert_eq!(sparse.sum_ns, histogram.sum_ns());
            prop_assert_eq!(added, sparse);
        }
    }
}
