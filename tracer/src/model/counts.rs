//! Counts by bucket that take no more room than what was counted.

use std::ops::Range;
use std::sync::Arc;

use tracer_common::bucket::BUCKETS;

/// So many counts are compared at once.
const GROUP: usize = 16;

/// Counts from the lowest bucket that holds any to the highest, all as wide as the highest count.
///
/// An array of all buckets would be 1.8 kB; the latencies of a segment lie in a few octaves, and
/// most segments are seldom used. A copy shares the room until one of both counts on, so that
/// whoever keeps what was counted until a moment keeps it at no cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Each count as so many words as `width` says, the lowest first.
    words: Arc<[u16]>,
    /// Words of a count: 1 to 4, and 0 where nothing was counted.
    width: u8,
    /// The bucket of the first count.
    first: u16,
}

impl Counts {
    /// The count of a bucket, as [`tracer_common::bucket::index`] numbers them.
    pub fn get(&self, bucket: usize) -> u64 {
        let place = bucket.checked_sub(self.first.into());
        let words = place.and_then(|place| self.words.get(place * self.width()..));
        words.map_or(0, |words| number(&words[..self.width().min(words.len())]))
    }

    /// The buckets from the lowest to the highest that hold any, with their counts.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.words.chunks_exact(self.width().max(1)).map(number);
        (self.first.into()..).zip(counts)
    }

    /// All counts together, as far as a number goes.
    pub fn sum(&self) -> u64 {
        // As a rule each count is one word, of which no 229 add up to more than a number holds.
        if self.width == 1 {
            return self.words.iter().map(|&word| u64::from(word)).sum();
        }
        let counts = self.buckets();
        counts.fold(0, |sum: u64, (_, count)| sum.saturating_add(count))
    }

    /// From the lowest bucket that holds any to behind the highest.
    pub fn span(&self) -> Range<usize> {
        let first = usize::from(self.first);
        first..first + self.words.len() / self.width().max(1)
    }

    /// Hands over each bucket that does not hold what it held in others, with both counts, the lowest
    /// first.
    pub fn differences(&self, others: &Self, mut each: impl FnMut(usize, u64, u64)) {
        let is_same_room = Arc::ptr_eq(&self.words, &others.words);
        if is_same_room && self.first == others.first && self.width == others.width {
            return;
        }
        let (ours, theirs) = (self.span(), others.span());
        let span = match (ours.is_empty(), theirs.is_empty()) {
            (true, true) => return,
            (true, false) => theirs.clone(),
            (false, true) => ours.clone(),
            (false, false) => ours.start.min(theirs.start)..ours.end.max(theirs.end),
        };
        // What two readings of a second have as a rule.
        if self.width == others.width && ours == theirs {
            let width = self.width();
            let [ours, theirs] = [self, others].map(|it| it.words.chunks(GROUP * width));
            // Few counts are other ones: those of a group are compared at once.
            for (group, (ours, theirs)) in ours.zip(theirs).enumerate() {
                if ours == theirs {
                    continue;
                }
                let counts = ours.chunks(width).zip(theirs.chunks(width));
                for (bucket, (now, before)) in (span.start + group * GROUP..).zip(counts) {
                    if now != before {
                        each(bucket, number(now), number(before));
                    }
                }
            }
            return;
        }
        for bucket in span {
            let (now, before) = (self.get(bucket), others.get(bucket));
            if now != before {
                each(bucket, now, before);
            }
        }
    }

    /// Counts `n` more in a bucket, as far as a count goes.
    pub fn add(&mut self, bucket: usize, n: u64) {
        self.add_all(&[(bucket, n)]);
    }

    /// Writes the lower halves of counts, from that of a bucket on.
    pub fn lower_halves(&self, from: usize, into: &mut [u32]) {
        into.fill(0);
        let span = self.span();
        let (start, end) = (from.max(span.start), (from + into.len()).min(span.end));
        if start >= end {
            return;
        }
        let width = self.width();
        let words = &self.words[(start - span.start) * width..(end - span.start) * width];
        let into = &mut into[start - from..end - from];
        if width == 1 {
            for (half, &word) in into.iter_mut().zip(words) {
                *half = word.into();
            }
        } else {
            for (half, words) in into.iter_mut().zip(words.chunks_exact(width)) {
                *half = u32::from(words[0]) | u32::from(words[1]) << u16::BITS;
            }
        }
    }

    /// Counts more in several buckets, each of which is named once.
    pub fn add_all(&mut self, more: &[(usize, u64)]) {
        if more.iter().all(|&(_, n)| n == 0) {
            return;
        }
        let is_done = match self.width {
            1 => self.add_in_place::<1>(more),
            2 => self.add_in_place::<2>(more),
            _ => false,
        };
        if is_done {
            return;
        }
        let more = || more.iter().filter(|&&(_, n)| n > 0);
        let mut span: Option<Range<usize>> = None;
        let mut highest = 0;
        for &(bucket, n) in more() {
            debug_assert!(bucket < BUCKETS);
            highest = self.get(bucket).saturating_add(n).max(highest);
            span = Some(match span {
                None => bucket..bucket + 1,
                Some(span) => span.start.min(bucket)..span.end.max(bucket + 1),
            });
        }
        let Some(span) = span else {
            return;
        };
        self.make_room(span, highest);
        let (width, first) = (self.width(), usize::from(self.first));
        let words = Arc::make_mut(&mut self.words);
        for &(bucket, n) in more() {
            let words = &mut words[(bucket - first) * width..][..width];
            write(words, number(words).saturating_add(n));
        }
    }

    /// Counts more where all of it has room, as nearly all has; returns whether it has.
    fn add_in_place<const WIDTH: usize>(&mut self, more: &[(usize, u64)]) -> bool {
        let first = usize::from(self.first);
        let most = u64::MAX >> (u64::BITS - u16::BITS * WIDTH as u32);
        let fits = more.iter().all(|&(bucket, n)| {
            let place = bucket.wrapping_sub(first).wrapping_mul(WIDTH);
            let words = self.words.get(place..place.wrapping_add(WIDTH));
            words.is_some_and(|words| n <= most - number(words))
        });
        if fits {
            let words = Arc::make_mut(&mut self.words);
            for &(bucket, n) in more {
                let words = &mut words[(bucket - first) * WIDTH..][..WIDTH];
                write(words, number(words) + n);
            }
        }
        fits
    }

    fn width(&self) -> usize {
        self.width.into()
    }

    /// Makes room for counts in some buckets, and for no more than that.
    fn make_room(&mut self, span: Range<usize>, count: u64) {
        let width = (64 - count.leading_zeros())
            .div_ceil(u16::BITS)
            .max(self.width.into());
        let (first, end) = if self.words.is_empty() {
            (span.start, span.end)
        } else {
            let Range { start, end } = self.span();
            (start.min(span.start), end.max(span.end))
        };
        let len = (end - first) * width as usize;
        if len == self.words.len() {
            return;
        }
        let mut words = vec![0; len];
        for (bucket, count) in self.buckets() {
            let place = (bucket - first) * width as usize;
            write(&mut words[place..][..width as usize], count);
        }
        *self = Self {
            words: words.into(),
            width: width as u8,
            first: first as u16,
        };
    }
}

fn number(words: &[u16]) -> u64 {
    let words = words.iter().rev();
    words.fold(0, |number, &word| number << u16::BITS | u64::from(word))
}

fn write(words: &mut [u16], mut number: u64) {
    for word in words {
        *word = number as u16;
        number >>= u16::BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_counted_in_few_buckets_takes_the_room_of_these() {
        let mut counts = Counts::default();
        for bucket in [40, 35, 44] {
            counts.add(bucket, 7);
        }
        assert_eq!(counts.words.len(), 10);
        counts.add(35, u64::from(u16::MAX));
        assert_eq!(counts.words.len(), 20);
    }

    #[test]
    fn a_copy_keeps_what_it_was() {
        let mut counts = Counts::default();
        counts.add_all(&[(40, 7), (35, 1)]);
        let copy = counts.clone();
        counts.add(40, 1);
        assert_eq!((copy.get(40), counts.get(40)), (7, 8));
        let mut same = copy.clone();
        same.add(40, 0);
        assert!(Arc::ptr_eq(&same.words, &copy.words));
    }

    fn any_counts() -> impl Strategy<Value = Counts> {
        let count = prop_oneof![1u64..9, Just(u16::MAX.into()), any::<u64>()];
        prop::collection::vec((0..BUCKETS, count), 0..9).prop_map(|added| {
            let mut counts = Counts::default();
            for (bucket, n) in added {
                counts.add(bucket, n);
            }
            counts
        })
    }

    proptest! {
        #[test]
        fn differences_are_all_that_differs(before in any_counts(), more in prop::collection::btree_map(0..BUCKETS, 0u64..9, 0..5), other in any_counts()) {
            let mut now = before.clone();
            let more: Vec<_> = more.into_iter().collect();
            now.add_all(&more);
            for (one, two) in [(&now, &before), (&before, &now), (&now, &other), (&other, &now), (&now, &now)] {
                let mut found = Vec::new();
                one.differences(two, |bucket, now, before| found.push((bucket, now, before)));
                let expected: Vec<_> = (0..BUCKETS).map(|bucket| (bucket, one.get(bucket), two.get(bucket)))
                    .filter(|(_, one, two)| one != two).collect();
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn lower_halves_are_those_of_the_counts(counts in any_counts(), from in 0..BUCKETS, len in 0..BUCKETS) {
            let mut halves = vec![7; len];
            counts.lower_halves(from, &mut halves);
            let expected: Vec<u32> = (from..from + len).map(|bucket| counts.get(bucket) as u32).collect();
            prop_assert_eq!(halves, expected);
        }

        #[test]
        fn they_are_what_an_array_would_hold(added in prop::collection::vec((0..BUCKETS, prop_oneof![0u64..9, any::<u64>(), Just(u16::MAX.into()), Just(u32::MAX.into())]), 0..60)) {
            let mut counts = Counts::default();
            let mut array = [0u64; BUCKETS];
            for (bucket, n) in added {
                counts.add(bucket, n);
                array[bucket] = array[bucket].saturating_add(n);
                for (bucket, &count) in array.iter().enumerate() {
                    prop_assert_eq!(counts.get(bucket), count);
                }
            }
            let filled = |buckets: &mut dyn Iterator<Item = (usize, u64)>| -> Vec<_> {
                buckets.filter(|(_, count)| *count > 0).collect()
            };
            let expected = filled(&mut array.into_iter().enumerate());
            prop_assert_eq!(filled(&mut counts.buckets()), expected.clone());
            let ends = [counts.buckets().next(), counts.buckets().last()];
            prop_assert_eq!(ends, [expected.first().copied(), expected.last().copied()]);
            let bounds = expected.first().zip(expected.last());
            let span = bounds.map_or(0..0, |(first, last)| first.0..last.0 + 1);
            prop_assert_eq!(counts.span(), span);
            prop_assert_eq!(counts.sum(), array.into_iter().fold(0, u64::saturating_add));
        }
    }
}
