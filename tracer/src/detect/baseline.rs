//! What is normal for a stream: its latencies of the last half hour that nothing disturbed.
//!
//! Latencies are collected in a fresh block of about a minute and settle into the baseline only
//! when the judge found the minute calm. A window of 13 octaves around the median is kept, not
//! all 28 of the histogram, so that a stream stays within its 1.6 kB.

use super::increase::Increase;
use crate::model::bucket::BUCKETS;
use crate::model::histogram::{lower_bound, upper_bound};

/// How many buckets are kept: 13 octaves of eight.
pub const WINDOW: usize = 104;

/// Where in the window the first median is put: 4 octaves and a half from its lower end.
const ANCHOR: usize = 36;

/// A median nearer than this to an end of the window moves the window: two octaves.
const MARGIN: usize = 16;

/// How long a baseline remembers, in seconds (e-folding).
pub const MEMORY_S: f64 = 1_800.0;

/// Decayed counts of normal latencies, and the fresh block beside them.
#[derive(Clone, Debug)]
pub struct Baseline {
    pub(super) origin: u8,
    pub(super) anchored: bool,
    pub(super) settled: [f32; WINDOW],
    pub(super) fresh: [f32; WINDOW],
    pub(super) settled_packets: f32,
    pub(super) fresh_packets: f32,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            origin: 0,
            anchored: false,
            settled: [0.0; WINDOW],
            fresh: [0.0; WINDOW],
            settled_packets: 0.0,
            fresh_packets: 0.0,
        }
    }
}

impl Baseline {
    /// Adds an interval to the fresh block.
    pub fn collect(&mut self, increase: &Increase) {
        if !self.anchored {
            let Some(&(bucket, _)) = increase.cells().first() else {
                return;
            };
            self.anchored = true;
            self.origin = origin_for(usize::from(bucket));
        }
        for &(bucket, packets) in increase.cells() {
            self.fresh[self.place(bucket)] += packets as f32;
        }
        self.fresh_packets += increase.packets() as f32;
    }

    /// Takes the fresh block as normal, after the baseline faded by the block's age.
    pub fn settle(&mut self, block_s: u64) {
        self.recentre();
        let fade = (-(block_s as f64) / MEMORY_S).exp() as f32;
        for (settled, fresh) in self.settled.iter_mut().zip(&mut self.fresh) {
            // Below a thousandth of a packet a bucket is empty; it keeps denormals out.
            let faded = *settled * fade;
            *settled = if faded > 1e-3 { faded } else { 0.0 } + std::mem::take(fresh);
        }
        self.settled_packets = self.settled.iter().sum();
        self.fresh_packets = 0.0;
    }

    /// Forgets the fresh block.
    pub fn discard(&mut self) {
        self.fresh = [0.0; WINDOW];
        self.fresh_packets = 0.0;
    }

    /// Halves the fresh block: while a finding is open it holds the present, not a minute.
    pub fn fade_fresh(&mut self) {
        for fresh in &mut self.fresh {
            *fresh *= 0.5;
        }
        self.fresh_packets *= 0.5;
    }

    /// Lets the next minutes outweigh what is known: a tenth of it stays.
    pub fn doubt(&mut self) {
        for settled in &mut self.settled {
            *settled *= 0.1;
        }
        self.settled_packets *= 0.1;
    }

    /// Takes the fresh block alone as normal: the new level was accepted.
    pub fn adopt(&mut self) {
        self.settled = [0.0; WINDOW];
        self.settle(0);
    }

    /// How many packets the baseline stands on, faded.
    pub fn packets(&self) -> f64 {
        f64::from(self.settled_packets)
    }

    /// How many packets the fresh block holds.
    pub fn fresh_packets(&self) -> f64 {
        f64::from(self.fresh_packets)
    }

    /// The normal packets in buckets above `edge`.
    pub fn above(&self, edge: u8) -> f64 {
        let from = (usize::from(edge) + 1).saturating_sub(usize::from(self.origin));
        let above = self.settled.get(from..).unwrap_or_default();
        f64::from(above.iter().sum::<f32>())
    }

    /// The edge (in buckets, with a fraction) below which a share `q` of normal packets lies.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        quantile(&self.settled, q).map(|place| place + f64::from(self.origin))
    }

    /// The same of the fresh block.
    pub fn fresh_quantile(&self, q: f64) -> Option<f64> {
        quantile(&self.fresh, q).map(|place| place + f64::from(self.origin))
    }

    /// The mean and its variance in ns of packets cut at `cut_bucket`: normal, then fresh.
    pub fn winsorised(&self, cut_bucket: u8) -> [Moments; 2] {
        let cut = self.place(cut_bucket);
        [&self.settled, &self.fresh].map(|counts| Moments::of(counts, self.origin, cut))
    }

    fn place(&self, bucket: u8) -> usize {
        usize::from(bucket)
            .saturating_sub(usize::from(self.origin))
            .min(WINDOW - 1)
    }

    /// Moves the window when the block's median left its middle; what falls out counts at the end.
    fn recentre(&mut self) {
        let Some(median) = quantile(&self.fresh, 0.5) else {
            return;
        };
        let median = median as usize;
        if (MARGIN..WINDOW - MARGIN).contains(&median) {
            return;
        }
        let origin = origin_for(median + usize::from(self.origin));
        for counts in [&mut self.settled, &mut self.fresh] {
            let mut moved = [0.0; WINDOW];
            for (place, &count) in counts.iter().enumerate() {
                let to = (place + usize::from(self.origin)).saturating_sub(usize::from(origin));
                moved[to.min(WINDOW - 1)] += count;
            }
            *counts = moved;
        }
        self.origin = origin;
    }
}

/// A mean with what is needed for its error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Packets counted.
    pub packets: f64,
    /// Mean latency in ns.
    pub mean_ns: f64,
    /// Variance of one latency in ns².
    pub variance: f64,
}

impl Moments {
    fn of(counts: &[f32; WINDOW], origin: u8, cut: usize) -> Self {
        let (mut packets, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (place, &count) in counts.iter().enumerate().filter(|(_, n)| **n > 0.0) {
            let (count, ns) = (
                f64::from(count),
                middle_ns(place.min(cut) + usize::from(origin)),
            );
            packets += count;
            sum += count * ns;
            squares += count * ns * ns;
        }
        if packets <= 0.0 {
            return Self::default();
        }
        let mean_ns = sum / packets;
        let variance = (squares / packets - mean_ns * mean_ns).max(0.0);
        Self {
            packets,
            mean_ns,
            variance,
        }
    }
}

/// The latency in ns at an edge in buckets: the upper bound of a bucket, between by proportion.
pub fn edge_ns(edge: f64) -> f64 {
    238.418_579_101_562_5 * (edge / 8.0).exp2()
}

fn middle_ns(bucket: usize) -> f64 {
    let (lower, upper) = (
        lower_bound(bucket.min(BUCKETS - 2)),
        upper_bound(bucket.min(BUCKETS - 2)),
    );
    f64::midpoint(lower as f64, upper as f64)
}

fn origin_for(median: usize) -> u8 {
    median.saturating_sub(ANCHOR).min(BUCKETS - WINDOW) as u8
}

fn quantile(counts: &[f32; WINDOW], q: f64) -> Option<f64> {
    let all: f64 = counts.iter().map(|&n| f64::from(n)).sum();
    if all <= 0.0 {
        return None;
    }
    let mut missing = q * all;
    for (place, &count) in counts.iter().enumerate() {
        let count = f64::from(count);
        if count > 0.0 && count >= missing {
            // A bucket `place` ends at the edge `place`; it begins one below.
            return Some(place as f64 - 1.0 + missing / count);
        }
        missing -= count;
    }
    Some(WINDOW as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::Histogram;

    fn of(latencies_ns: &[u64]) -> Baseline {
        let mut histogram = Histogram::default();
        for &ns in latencies_ns {
            histogram.record(ns);
        }
        let mut baseline = Baseline::default();
        baseline.collect(&Increase::from(&histogram));
        baseline
    }

    #[test]
    fn a_quantile_is_near_the_latency() {
        let mut baseline = of(&[1_000_000; 100]);
        baseline.settle(60);
        let median_ns = edge_ns(baseline.quantile(0.5).unwrap());
        assert!((0.9e6..1.1e6).contains(&median_ns), "{median_ns}");
    }

    #[test]
    fn the_window_follows_a_first_packet_that_was_absurd() {
        let mut baseline = of(&[60_000_000_000]);
        let mut histogram = Histogram::default();
        histogram.record_n(1_000, 500);
        baseline.collect(&Increase::from(&histogram));
        for _ in 0..8 {
            baseline.settle(60);
            baseline.collect(&Increase::from(&histogram));
        }
        baseline.adopt();
        let median_ns = edge_ns(baseline.quantile(0.5).unwrap());
        assert!((850.0..1_150.0).contains(&median_ns), "{median_ns}");
    }

    #[test]
    fn a_discarded_block_leaves_no_trace() {
        let mut baseline = of(&[1_000_000; 100]);
        baseline.discard();
        baseline.settle(60);
        assert!(baseline.packets() <= 0.0);
    }
}
