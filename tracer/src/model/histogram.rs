//! Latencies, counted by bucket.

use tracer_common::bucket::{self, BOUNDS};

use super::Counts;

/// Counts of latencies by bucket, with their sum and extremes.
///
/// The buckets are those of [`tracer_common::bucket`], an eighth of an octave each, so that a
/// quantile is known to within half a bucket (4.4 %).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Counts,
    count: u64,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            count: 0,
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
        }
    }
}

impl Histogram {
    /// A histogram from ready counts. The extremes are clamped into the buckets that they belong
    /// to, so that counts that were read while they grew give no absurd answer.
    pub fn from_counts(counts: Counts, sum_ns: u64, min_ns: u64, max_ns: u64) -> Self {
        let span = counts.span();
        if span.is_empty() {
            return Self::default();
        }
        let (first, last) = (span.start, span.end - 1);
        let min_ns = min_ns.clamp(lower_bound(first), upper_bound(first));
        Self {
            count: counts.sum(),
            sum_ns,
            min_ns,
            max_ns: max_ns
                .clamp(lower_bound(last), upper_bound(last))
                .max(min_ns),
            counts,
        }
    }

    /// Counts one latency.
    pub fn record(&mut self, latency_ns: u64) {
        self.record_n(latency_ns, 1);
    }

    /// Counts one latency `n` times.
    pub fn record_n(&mut self, latency_ns: u64, n: u64) {
        if n == 0 {
            return;
        }
        self.counts.add(bucket::index(latency_ns), n);
        self.count = self.count.saturating_add(n);
        self.sum_ns = self.sum_ns.saturating_add(latency_ns.saturating_mul(n));
        self.min_ns = self.min_ns.min(latency_ns);
        self.max_ns = self.max_ns.max(latency_ns);
    }

    /// Adds all that another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        let theirs: Vec<_> = other.counts.buckets().collect();
        self.counts.add_all(&theirs);
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// What was counted since an earlier state of the same histogram.
    ///
    /// The extremes of the difference are known to its outermost buckets only.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut risen = Vec::new();
        self.counts
            .differences(&earlier.counts, |bucket, now, before| {
                risen.push((bucket, now.saturating_sub(before)));
            });
        let mut counts = Counts::default();
        counts.add_all(&risen);
        Self::from_counts(
            counts,
            self.sum_ns.saturating_sub(earlier.sum_ns),
            self.min_ns,
            self.max_ns,
        )
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The smallest, if there is any.
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min_ns)
    }

    /// The largest, if there is any.
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max_ns)
    }

    /// The mean in nanoseconds, if there is any.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }

    /// The counts by bucket.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The latency that a share `q` of all latencies does not exceed, if there is any.
    ///
    /// It is the geometric middle of its bucket, at most half a bucket from the true value, and
    /// never beyond the smallest or largest latency seen.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0u64;
        for (index, count) in self.counts.buckets() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return Some(middle(index).clamp(self.min_ns, self.max_ns));
            }
        }
        Some(self.max_ns)
    }
}

/// The largest whole nanosecond below a bucket, plus one.
pub fn lower_bound(index: usize) -> u64 {
    index.checked_sub(1).map_or(0, |below| BOUNDS[below] + 1)
}

/// The largest whole nanosecond in a bucket.
pub fn upper_bound(index: usize) -> u64 {
    BOUNDS.get(index).copied().unwrap_or(u64::MAX)
}

fn middle(index: usize) -> u64 {
    match (index, BOUNDS.get(index)) {
        (0, _) => BOUNDS[0] / 2,
        (_, Some(&upper)) => ((upper as f64) * (lower_bound(index) as f64))
            .sqrt()
            .round() as u64,
        (_, None) => lower_bound(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tracer_common::bucket::BUCKETS;

    fn of(latencies: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &latency in latencies {
            histogram.record(latency);
        }
        histogram
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile_ns(0.5), None);
        assert_eq!(Histogram::default().min_ns(), None);
    }

    #[test]
    fn extremes_that_cross_give_no_absurd_answer() {
        let mut counts = Counts::default();
        counts.add(40, 1);
        let histogram = Histogram::from_counts(counts, 7, u64::MAX, 0);
        assert_eq!(histogram.quantile_ns(0.5), histogram.max_ns());
    }

    #[test]
    fn what_was_added_since_is_what_was_recorded_since() {
        let mut histogram = of(&[1_000, 2_000]);
        let earlier = histogram.clone();
        histogram.record(5_000_000);
        let since = histogram.since(&earlier);
        assert_eq!((since.count(), since.sum_ns()), (1, 5_000_000));
        assert_eq!(since.counts().get(bucket::index(5_000_000)), 1);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_half_a_bucket(mut latencies in prop::collection::vec(239u64..60_000_000_000, 1..300), q in 0.0f64..=1.0) {
            let histogram = of(&latencies);
            latencies.sort_unstable();
            let rank = ((q * latencies.len() as f64).ceil() as usize).clamp(1, latencies.len());
            let exact = latencies[rank - 1] as f64;
            let found = histogram.quantile_ns(q).unwrap() as f64;
            let half_a_bucket = 2f64.powf(1.0 / 16.0) * 1.001 + 1.0 / exact;
            prop_assert!(found / exact < half_a_bucket && exact / found < half_a_bucket, "{found} {exact}");
        }

        #[test]
        fn merging_is_recording_both(a in prop::collection::vec(any::<u64>(), 0..50), b in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn nothing_read_from_outside_makes_it_absurd(counts in prop::collection::vec((0..BUCKETS, any::<u64>()), 0..20), sum in any::<u64>(), min in any::<u64>(), max in any::<u64>(), q in any::<f64>()) {
            let mut filled = Counts::default();
            for (index, count) in counts {
                filled.add(index, count);
            }
            let histogram = Histogram::from_counts(filled, sum, min, max);
            if let Some(quantile) = histogram.quantile_ns(q) {
                prop_assert!(quantile >= histogram.min_ns().unwrap() && quantile <= histogram.max_ns().unwrap());
            }
        }
    }
}
