//! What a stream counted in one interval.

use crate::model::histogram::Histogram;

/// Something that went wrong with packets, known as a count only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mishap {
    /// Dropped by a hop.
    Drop,
    /// Sent again by TCP.
    Retransmit,
    /// A connection was reset.
    Reset,
}

impl Mishap {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Retransmit, Self::Reset];
}

/// The latencies and mishaps of one interval, sparse: most seconds fill few buckets.
///
/// Keep one and refill it, so that a second allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Increase {
    cells: Vec<(u8, u32)>,
    packets: u64,
    mishaps: [u32; 3],
}

impl Increase {
    /// Empties it for the next interval.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.packets = 0;
        self.mishaps = [0; 3];
    }

    /// Takes out what is in lower buckets.
    pub fn drop_below(&mut self, bucket: u8) {
        self.cells.retain(|(it, _)| *it >= bucket);
        self.packets = self.cells.iter().map(|(_, count)| u64::from(*count)).sum();
    }

    /// Counts packets of a bucket, as [`crate::model::bucket::index`] numbers them. A bucket may
    /// be named more than once.
    pub fn add(&mut self, bucket: u8, packets: u32) {
        if packets > 0 {
            self.cells.push((bucket, packets));
            self.packets = self.packets.saturating_add(u64::from(packets));
        }
    }

    /// Counts mishaps.
    pub fn add_mishaps(&mut self, mishap: Mishap, count: u32) {
        let counter = &mut self.mishaps[mishap as usize];
        *counter = counter.saturating_add(count);
    }

    /// Refills it from a histogram's increase ([`Histogram::since`]), without mishaps.
    pub fn refill(&mut self, since: &Histogram) {
        self.clear();
        for (bucket, count) in since.counts().buckets() {
            self.add(bucket as u8, u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// The buckets that are not empty, with their packets.
    pub fn cells(&self) -> &[(u8, u32)] {
        &self.cells
    }

    /// Whether nothing was timed and nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.packets == 0 && self.mishaps == [0; 3]
    }

    /// How many packets were timed.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How many mishaps of a sort there were.
    pub fn mishaps(&self, mishap: Mishap) -> u32 {
        self.mishaps[mishap as usize]
    }
}

impl From<&Histogram> for Increase {
    fn from(since: &Histogram) -> Self {
        let mut increase = Self::default();
        increase.refill(since);
        increase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_the_histogram_counted() {
        let mut histogram = Histogram::default();
        histogram.record_n(1_000_000, 7);
        histogram.record(5_000_000);
        let increase = Increase::from(&histogram);
        assert_eq!((increase.packets(), increase.cells().len()), (8, 2));
    }
}
