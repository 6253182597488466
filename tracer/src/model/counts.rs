//! Counts by bucket that take no more room than what was counted.

use std::ops::Range;

use tracer_common::bucket::BUCKETS;

/// Counts from the lowest bucket that holds any to the highest, all as wide as the highest count.
///
/// An array of all buckets would be 1.8 kB; the latencies of a segment lie in a few octaves, and
/// most segments are seldom used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Each count as so many words as `width` says, the lowest first.
    words: Box<[u16]>,
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

    /// From the lowest bucket that holds any to behind the highest.
    pub fn span(&self) -> Range<usize> {
        let first = usize::from(self.first);
        first..first + self.words.len() / self.width().max(1)
    }

    /// Counts `n` more in a bucket, as far as a count goes.
    pub fn add(&mut self, bucket: usize, n: u64) {
        debug_assert!(bucket < BUCKETS);
        if n == 0 {
            return;
        }
        let count = self.get(bucket).saturating_add(n);
        self.make_room(bucket, count);
        let (width, place) = (self.width(), bucket - usize::from(self.first));
        write(&mut self.words[place * width..][..width], count);
    }

    fn width(&self) -> usize {
        self.width.into()
    }

    /// Makes room for a count in a bucket, and for no more than that.
    fn make_room(&mut self, bucket: usize, count: u64) {
        let width = (64 - count.leading_zeros())
            .div_ceil(u16::BITS)
            .max(self.width.into());
        let (first, end) = if self.words.is_empty() {
            (bucket, bucket + 1)
        } else {
            let Range { start, end } = self.span();
            (start.min(bucket), end.max(bucket + 1))
        };
        let len = (end - first) * width as usize;
        if len == self.words.len() {
            return;
        }
        let mut words = vec![0; len].into_boxed_slice();
        for (bucket, count) in self.buckets() {
            let place = (bucket - first) * width as usize;
            write(&mut words[place..][..width as usize], count);
        }
        *self = Self {
            words,
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

    proptest! {
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
        }
    }
}
