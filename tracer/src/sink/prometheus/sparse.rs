//! A histogram that takes no more room than it has latencies.

use crate::model::{Counts, Histogram};

/// A series' counts: those of a [`Histogram`] without its extremes, which Prometheus has no word for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    counts: Counts,
    count: u64,
    sum_ns: u64,
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

    /// Raises this to what a histogram holds now, and hands over each bucket's rise.
    ///
    /// A bucket that shrank stays as it was: it rises again when the histogram is above it.
    pub(super) fn rise_to(&mut self, now: &Histogram, mut by: impl FnMut(usize, u64)) -> u64 {
        let since_ns = now.sum_ns().saturating_sub(self.sum_ns);
        if now.count() == self.count && since_ns == 0 {
            return 0;
        }
        for (bucket, count) in now.counts().buckets() {
            let since = count.saturating_sub(self.get(bucket));
            if since > 0 {
                self.add(bucket, since);
                by(bucket, since);
            }
        }
        self.add_time(since_ns);
        since_ns
    }

    pub(super) fn add(&mut self, bucket: usize, n: u64) {
        self.counts.add(bucket, n);
        self.count = self.count.saturating_add(n);
    }

    pub(super) fn add_time(&mut self, ns: u64) {
        self.sum_ns = self.sum_ns.saturating_add(ns);
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
            let mut risen = 0;
            sparse.rise_to(&of(latencies), |_, n| risen += n);
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
                let ns = sparse.rise_to(&of(&latencies[..end]), |bucket, n| added.add(bucket, n));
                added.add_time(ns);
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
