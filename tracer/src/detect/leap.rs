//! Did nearly all packets become several times slower?
//!
//! The fast statistic. Nature makes some packets slow for seconds; it takes a fault to make most
//! of them slow at once. So it tells "half of them" from "nearly all of them", far beyond the
//! normal latencies, and needs no calibration: bursts are on its innocent side.

use super::baseline::Baseline;

/// The share beyond the edge that nature is granted, and the share of a fault.
const INNOCENT: f64 = 0.5;
const GUILTY: f64 = 0.9;

/// The edge: 1.9 times the median, 7.4 eighths of an octave, and beyond the 90th percentile.
const RISE: f64 = 7.4;

/// No second may count for more than this part of the threshold: three seconds at least.
const SECONDS: f64 = 2.2;

/// Evidence for a leap, and for its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leap {
    pub(super) edge: u8,
    pub(super) active: bool,
    pub(super) raised: bool,
    pub(super) sum: f32,
    pub(super) since_s: u32,
    pub(super) back: f32,
}

impl Leap {
    /// Sets the edge from what is normal, at least `least` (an edge in buckets).
    pub fn aim(&mut self, baseline: &Baseline, least: f64) {
        let (Some(median), Some(p90)) = (baseline.quantile(0.5), baseline.quantile(0.9)) else {
            return;
        };
        let edge = (median + RISE).max(p90 + 1.0).max(least);
        self.edge = edge.round().min(225.0) as u8;
        self.active = true;
    }

    /// Weighs a second; says whether it spoke for a leap.
    pub fn weigh(&mut self, at_s: u32, beyond: f64, packets: f64, threshold: f64) -> bool {
        if !self.active || packets <= 0.0 {
            return false;
        }
        let evidence = beyond * (GUILTY / INNOCENT).ln()
            + (packets - beyond) * ((1.0 - GUILTY) / (1.0 - INNOCENT)).ln();
        let cap = threshold / SECONDS;
        self.sum =
            (f64::from(self.sum) + evidence.clamp(-cap, cap)).clamp(0.0, 2.0 * threshold) as f32;
        if self.sum <= 0.0 {
            self.since_s = at_s;
        }
        if self.raised {
            self.back = (f64::from(self.back) - evidence.clamp(-cap, cap))
                .clamp(0.0, 2.0 * threshold) as f32;
        }
        evidence > 0.0
    }

    /// Whether the evidence passes.
    pub fn passes(&self, threshold: f64) -> bool {
        f64::from(self.sum) > threshold
    }

    /// Begins to watch for the end.
    pub fn raise(&mut self) {
        if !self.raised {
            self.raised = true;
            self.back = 0.0;
        }
    }

    /// Whether the leap is over.
    pub fn is_back(&self, threshold: f64) -> bool {
        !self.raised || f64::from(self.back) > threshold
    }

    /// Forgets it.
    pub fn end(&mut self) {
        self.raised = false;
        self.sum = 0.0;
        self.back = 0.0;
    }
}
