//! Do more packets lie above an edge than they used to?
//!
//! A cumulative sum (Page, Biometrika 1954) of the likelihood ratio between the share that is
//! normal and the least share that would matter, over independent packets ([`super::dependence`]).
//! The last second at which the sum was zero is the estimate of when it changed.

use super::dependence::{Dependence, worth};
use super::finding::Direction;

/// An alarm needs this multiple of the largest excursion that ended by itself.
const WARN_OVER_PEAK: f64 = 1.3;
const PAGE_OVER_PEAK: f64 = 1.6;

/// However wild a stream was, its thresholds stay below this multiple.
const MOST_PATIENCE: f64 = 8.0;

/// The shares that an edge tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// The normal share beyond the edge.
    pub normal: f64,
    /// The least share beyond the edge that matters.
    pub wrong: f64,
}

/// One edge, the share of packets beyond it, and the evidence that it grew.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exceedance {
    pub(super) edge: u8,
    pub(super) below: bool,
    pub(super) active: bool,
    pub(super) raised: bool,
    pub(super) normal: f32,
    pub(super) wrong: f32,
    pub(super) sum: f32,
    pub(super) since_s: u32,
    pub(super) peak: f32,
    pub(super) excursion: f32,
    pub(super) back: f32,
    pub(super) beyond: f32,
    pub(super) packets: f32,
    pub(super) dependence: Dependence,
}

impl Exceedance {
    /// Watches packets above the edge (or below it), once [`Self::aim`] has set it.
    pub fn watching(direction: Direction) -> Self {
        Self { below: direction == Direction::Down, ..Self::default() }
    }

    /// Sets the edge, as a bucket whose upper bound it is, and the shares to tell apart.
    pub fn aim(&mut self, edge: u8, shares: Shares) {
        self.edge = edge;
        self.normal = shares.normal as f32;
        self.wrong = shares.wrong as f32;
        self.active = true;
    }

    /// Whether a bucket lies beyond the edge.
    pub fn is_beyond(&self, bucket: u8) -> bool {
        (bucket > self.edge) != self.below
    }

    /// Weighs a second; says whether it spoke for a change. No second counts more than `cap` nats.
    pub fn weigh(&mut self, at_s: u32, beyond: f64, packets: f64, cap: f64) -> bool {
        if !self.active || packets <= 0.0 {
            return false;
        }
        let effective = packets * worth(packets, self.dependence.rho());
        let share = beyond / packets;
        let normal = f64::from(self.normal);
        let evidence = effective * evidence(share, normal, f64::from(self.wrong));
        self.sum = (f64::from(self.sum) + evidence.min(cap)).clamp(0.0, 40.0 * cap) as f32;
        if self.sum <= 0.0 {
            if !self.raised {
                self.end_excursion(true);
            }
            self.since_s = at_s;
        } else {
            self.peak = self.peak.max(self.sum);
            self.beyond += beyond as f32;
            self.packets += packets as f32;
        }
        if self.raised {
            let fault = f64::from(self.beyond / self.packets.max(1.0));
            let wrong = (normal + 0.5 * (fault - normal)).clamp(f64::from(self.wrong), 0.98);
            let evidence = effective * evidence_at(share, normal, wrong);
            self.back = (f64::from(self.back) - evidence.max(-cap)).clamp(0.0, 40.0 * cap) as f32;
        }
        evidence > 0.0
    }

    /// Whether the evidence passes a threshold, raised by what this stream does when nothing is
    /// wrong.
    pub fn passes(&self, threshold: f64, page: bool) -> bool {
        let over = if page { PAGE_OVER_PEAK } else { WARN_OVER_PEAK };
        let peak = over * f64::from(self.excursion);
        f64::from(self.sum) > threshold.max(peak.min(MOST_PATIENCE * threshold))
    }

    /// Whether what was raised is back to normal.
    pub fn is_back(&self, threshold: f64) -> bool {
        !self.raised || f64::from(self.back) > threshold
    }

    /// Begins to watch for the return to normal.
    pub fn raise(&mut self) {
        if !self.raised {
            self.raised = true;
            self.back = 0.0;
        }
    }

    /// Forgets the excursion; `learn` when it was nothing wrong.
    pub fn end_excursion(&mut self, learn: bool) {
        if learn {
            self.excursion = self.excursion.max(self.peak);
        }
        self.raised = false;
        self.sum = 0.0;
        self.peak = 0.0;
        self.back = 0.0;
        self.beyond = 0.0;
        self.packets = 0.0;
    }

    /// Lets the memory of excursions fade.
    pub fn fade(&mut self, factor: f32) {
        self.excursion *= factor;
    }

    /// The share beyond the edge since the sum left zero.
    pub fn share_since(&self) -> f64 {
        f64::from(self.beyond / self.packets.max(1.0))
    }
}

/// The evidence of one packet's share beyond the edge for `wrong`, and for twice the distance when
/// that explains it better, in nats.
fn evidence(share: f64, normal: f64, wrong: f64) -> f64 {
    evidence_at(share, normal, wrong)
}

fn evidence_at(share: f64, normal: f64, wrong: f64) -> f64 {
    share * (wrong / normal).ln() + (1.0 - share) * ((1.0 - wrong) / (1.0 - normal)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed() -> Exceedance {
        let mut exceedance = Exceedance::watching(Direction::Up);
        exceedance.aim(100, Shares { normal: 0.1, wrong: 0.35 });
        exceedance
    }

    #[test]
    fn the_change_is_dated_at_the_last_zero() {
        let mut exceedance = aimed();
        (0..100).for_each(|s| {
            exceedance.weigh(s, 1.0, 20.0, 5.0);
        });
        (100..110).for_each(|s| {
            exceedance.weigh(s, 15.0, 20.0, 5.0);
        });
        assert!(exceedance.passes(20.0, false));
        assert_eq!(exceedance.since_s, 99);
    }

    #[test]
    fn an_excursion_that_ended_by_itself_raises_the_threshold() {
        let mut exceedance = aimed();
        (0..4).for_each(|s| {
            exceedance.weigh(s, 20.0, 20.0, 5.0);
        });
        let peak = f64::from(exceedance.sum);
        (4..100).for_each(|s| {
            exceedance.weigh(s, 0.0, 20.0, 5.0);
        });
        assert!((f64::from(exceedance.excursion) - peak).abs() < 1e-3);
    }
}
