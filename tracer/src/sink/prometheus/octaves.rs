//! A histogram as Prometheus has it: classic, with one bucket an octave, or native.

use super::sparse::Sparse;
use crate::model::bucket::{BUCKETS, HIGHEST_EXPONENT, LOWEST_EXPONENT, NATIVE_OFFSET, PER_OCTAVE};

/// The schema whose boundaries our buckets have: eight an octave.
pub(super) const SCHEMA: i32 = 3;

/// How long a run of empty buckets may be before a new span is shorter.
const GAP: usize = 2;

/// The upper boundary of our lowest bucket, in seconds; it holds all that is below, as Prometheus's
/// zero bucket does.
pub(super) fn zero_threshold() -> f64 {
    2f64.powi(LOWEST_EXPONENT)
}

/// Upper boundaries in seconds with the count of each bucket alone; the last one has no boundary.
pub(super) fn classic(histogram: &Sparse) -> Vec<(f64, u64)> {
    let exponents = LOWEST_EXPONENT..=HIGHEST_EXPONENT;
    let bounds = exponents.map(|exponent| 2f64.powi(exponent));
    let mut buckets: Vec<_> = bounds.chain([f64::INFINITY]).map(|it| (it, 0)).collect();
    for (bucket, count) in histogram.buckets() {
        buckets[bucket.div_ceil(PER_OCTAVE)].1 += count;
    }
    buckets
}

/// The buckets above the zero bucket: spans of (gap before, length), and the counts, each as its
/// difference to the one before.
///
/// Latencies above our highest boundary (64 s) stand in the bucket that follows it: a native
/// histogram has no other place for them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Native {
    pub(super) spans: Vec<(i32, u32)>,
    pub(super) deltas: Vec<i64>,
}

impl Native {
    pub(super) fn of(histogram: &Sparse) -> Self {
        let mut native = Self::default();
        let (mut next, mut last) = (0, 0);
        let filled = histogram.buckets().filter(|&(_, count)| count > 0);
        for (bucket, count) in filled.filter(|&(bucket, _)| (1..BUCKETS).contains(&bucket)) {
            let index = NATIVE_OFFSET + (bucket as u32).cast_signed();
            match native.spans.last_mut() {
                Some((_, length)) if (index - next) as usize <= GAP => {
                    for _ in next..index {
                        native.deltas.push(-last);
                        last = 0;
                        *length += 1;
                    }
                    *length += 1;
                }
                // The first span counts from bucket 0, the others from the end of the one before.
                _ => native.spans.push((index - next, 1)),
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            native.deltas.push(count - last);
            (next, last) = (index + 1, count);
        }
        native
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(buckets: &[(usize, u64)]) -> Sparse {
        let mut sparse = Sparse::default();
        for &(bucket, n) in buckets {
            sparse.add(bucket, n);
        }
        sparse
    }

    /// The counts by native index, as a reader of spans and deltas finds them.
    fn read(native: &Native) -> Vec<(i32, i64)> {
        let (mut index, mut count, mut found) = (0, 0, Vec::new());
        let mut deltas = native.deltas.iter();
        for &(gap, length) in &native.spans {
            index += gap;
            for _ in 0..length {
                count += deltas.next().expect("a delta for each bucket");
                found.push((index, count));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        found.retain(|&(_, count)| count > 0);
        found
    }

    #[test]
    fn short_gaps_are_filled_and_long_ones_end_a_span() {
        let native = Native::of(&of(&[(0, 9), (10, 5), (13, 7), (20, 1)]));
        assert_eq!(native.spans, [(10 - 176, 4), (6, 1)]);
        assert_eq!(native.deltas, [5, -5, 0, 7, -6]);
    }

    #[test]
    fn a_bucket_belongs_to_the_octave_that_it_ends_in() {
        let classic = classic(&of(&[(0, 1), (1, 2), (8, 3), (9, 4), (224, 5), (225, 6)]));
        assert_eq!(classic.len(), 30);
        assert_eq!(classic[0], (2f64.powi(-22), 1));
        assert_eq!(classic[1], (2f64.powi(-21), 5));
        assert_eq!(classic[2], (2f64.powi(-20), 4));
        assert_eq!(classic[28], (64.0, 5));
        assert_eq!(classic[29], (f64::INFINITY, 6));
    }

    proptest! {
        #[test]
        fn a_native_histogram_is_read_as_it_was(counts in prop::collection::btree_map(0..BUCKETS, 1u64..1_000_000, 0..60)) {
            let buckets: Vec<_> = counts.into_iter().collect();
            let found = read(&Native::of(&of(&buckets)));
            let expected: Vec<_> = buckets.iter().filter(|&&(bucket, _)| bucket > 0)
                .map(|&(bucket, n)| ((bucket as u32).cast_signed() - 176, n.cast_signed())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
