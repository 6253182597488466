//! Do more packets lie above an edge than they used to?
//!
//! A cumulative sum (Page, Biometrika 1954) of the likelihood ratio between the share that is
//! normal and the least share that would matter, over independent packets ([`super::dependence`]).
//! The last second at which the sum was zero is the estimate of when it changed.

use super::dependence::{Dependence, worth, worth_within};
use super::finding::Direction;

/// An alarm needs this multiple of the largest excursion that ended by itself.
const WARN_OVER_PEAK: f64 = 1.3;
const PAGE_OVER_PEAK: f64 = 1.6;

/// However wild a stream was, its thresholds stay below this multiple.
const MOST_PATIENCE: f64 = 8.0;

/// A second sum looks for a share this part of the way from the least that matters to all
/// packets: few packets prove a strong change.
const STRONGLY: f64 = 0.4;

/// A finding needs this part of the least growth that matters, however sure it is; and more of it
/// when it took minutes to become sure, for levels wander that slowly.
const EFFECT: f64 = 0.6;
const SLOW_EFFECT: f64 = 0.75;
const SLOW_S: f64 = 300.0;

/// From so many seconds on it needs ever more, with the fourth root of the time, unless more of the
/// packets moved than wander: a mix of traffic does, by a tenth or two, in hours. The few of a tail
/// take so much longer to become sure that it begins later for them.
const WANDERS_S: f64 = 300.0;
const FEW_WANDER_S: f64 = 600.0;
const WANDERS: f64 = 0.2;

/// The shares of packets that may have come in addition: more are no longer beside the usual ones.
const ADDITION: std::ops::Range<f64> = 0.01..0.6;

/// That fewer lie below the edge can't be told of a share below this from a rate that breathes: it
/// came in addition when so many times the usual packets came in all, at first and once that is sure.
const FEW: f64 = 0.1;
const MORE: [f64; 2] = [1.1, 1.15];

/// Where most packets moved beyond another edge, it takes so many times the usual packets.
const SURGE: f64 = 1.3;

/// A burst slows this share of the packets at most, half of them and what the level wanders beside
/// it; three sigmas more are no burst.
const BURST: f64 = 0.6;
const SIGMAS: f64 = 3.0;

/// Until then a rate may look raised by chance, in seconds.
const UNSURE_S: f64 = 20.0;

/// From then on a rate is known so well that half way decides, in seconds.
const STEADY_S: f64 = 40.0;

/// The sum stays below so many capped seconds.
const MOST_NATS: f64 = 100.0;

/// What is no streak must have this many times the evidence: the same burst again and again.
const AGAIN: f64 = 6.0;

/// Evidence in nats that the excursion paused: a burst ended, a fault did not.
const PAUSED: f64 = 3.0;

/// One burst may explain the best window of an excursion, so what the rest of it says must pass this
/// part of the threshold: a burst begins once in five minutes, not every second.
pub(super) const REST: f64 = 0.6;

/// A window that fades with its length holds (1 − 1/e) of a burst that fills it.
pub(super) const WINDOW: f64 = 1.58;

/// The shares that an edge tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// The normal share beyond the edge.
    pub normal: f64,
    /// The least share beyond the edge that matters.
    pub wrong: f64,
}

/// What a packet beyond the edge and one within it say for a share, in nats.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logs {
    pub(super) beyond: f32,
    pub(super) within: f32,
}

impl Logs {
    fn of(normal: f64, wrong: f64) -> Self {
        let within = ((1.0 - wrong) / (1.0 - normal)).ln();
        Self {
            beyond: (wrong / normal).ln() as f32,
            within: within as f32,
        }
    }

    fn evidence(self, share: f64) -> f64 {
        share * f64::from(self.beyond) + (1.0 - share) * f64::from(self.within)
    }
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
    pub(super) logs: [Logs; 2],
    pub(super) sum: f32,
    pub(super) strong: f32,
    pub(super) since_s: u32,
    pub(super) streak_from_s: u32,
    pub(super) last_bad_s: u32,
    /// What a window as long as bursts last says, in nats, and the most that one of them said.
    pub(super) window: f32,
    pub(super) best: f32,
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
        Self {
            below: direction == Direction::Down,
            ..Self::default()
        }
    }

    /// Begins with the first second of the stream.
    pub fn begin(&mut self, at_s: u32) {
        (self.since_s, self.streak_from_s, self.last_bad_s) = (at_s, at_s, at_s);
    }

    /// Sets the edge, as a bucket whose upper bound it is, and the shares to tell apart.
    pub fn aim(&mut self, edge: u8, shares: Shares) {
        self.edge = edge;
        self.normal = shares.normal as f32;
        self.wrong = shares.wrong as f32;
        let strongly = shares.wrong + STRONGLY * (1.0 - shares.wrong);
        self.logs = [shares.wrong, strongly].map(|wrong| Logs::of(shares.normal, wrong));
        self.active = true;
    }

    /// Whether a bucket lies beyond the edge.
    pub fn is_beyond(&self, bucket: u8) -> bool {
        (bucket > self.edge) != self.below
    }

    /// At most so many packets of a second count as beyond the edge: what matters is that a share
    /// is there all the time, not that a burst is high.
    pub fn clip(&self, beyond: f64, packets: f64) -> f64 {
        let wrong = packets * f64::from(self.wrong);
        beyond.min(1.5 * wrong + 2.0 * wrong.sqrt() + 1.0)
    }

    /// Weighs a second; says whether it looks more like the fault than like before. No
    /// second counts more than `cap` nats, and bursts last for `patience_s` at most.
    pub fn weigh(
        &mut self,
        at_s: u32,
        beyond: f64,
        packets: f64,
        cap: f64,
        patience_s: f64,
    ) -> bool {
        if !self.active || packets <= 0.0 {
            return false;
        }
        if beyond <= 0.0 && self.peak <= 0.0 && !self.raised {
            // The common second: nothing beyond the edge, and no excursion to end.
            self.begin(at_s);
            return false;
        }
        let rho = self.dependence.rho();
        let share = self.clip(beyond, packets) / packets;
        let (normal, wrong) = (f64::from(self.normal), f64::from(self.wrong));
        let effective = packets * worth(packets, rho);
        let [evidence, strong] = self.logs.map(|logs| effective * logs.evidence(share));
        self.sum = (f64::from(self.sum) + evidence.min(cap)).clamp(0.0, MOST_NATS * cap) as f32;
        self.strong = (f64::from(self.strong) + strong.min(cap)).clamp(0.0, MOST_NATS * cap) as f32;
        if self.sum > 0.0 {
            self.peak = self.peak.max(self.sum).max(self.strong);
            self.beyond += beyond as f32;
            self.packets += packets as f32;
        } else if !self.raised {
            self.end_excursion(true);
        }
        let window = f64::from(self.window) * (1.0 - patience_s.max(1.0).recip());
        self.window = (window + evidence.clamp(0.0, cap)) as f32;
        self.best = self.best.max(self.window);
        if self.sum <= 0.0 {
            self.begin(at_s);
            (self.window, self.best) = (0.0, 0.0);
        }
        let mut present = evidence;
        if self.sum > 0.0 || self.raised {
            let fault = normal + 0.5 * (self.share_since() - normal);
            // What was found may be less than what would matter most surely.
            let least = if self.raised {
                normal + 0.5 * EFFECT * (wrong - normal)
            } else {
                wrong
            };
            let fault = fault.min(0.98).max(least);
            present = packets
                * worth_within(packets, rho)
                * Logs::of(normal, fault).evidence(beyond / packets);
            self.back =
                (f64::from(self.back) - present.max(-cap)).clamp(0.0, MOST_NATS * cap) as f32;
            if self.back <= 0.0 {
                self.last_bad_s = at_s;
            }
            if !self.raised && f64::from(self.back) > PAUSED {
                self.back = PAUSED as f32;
                (self.streak_from_s, self.last_bad_s) = (at_s, at_s);
            }
        }
        present > 0.0
    }

    /// Whether the evidence passes a threshold, raised by what this stream does when nothing is
    /// wrong; and has lasted for longer than bursts do, or comes again and again.
    pub fn passes(&self, at_s: u32, nats: f64, page: bool, patience_s: f64) -> bool {
        let over = if page { PAGE_OVER_PEAK } else { WARN_OVER_PEAK };
        let peak = over * f64::from(self.excursion);
        let threshold = nats.max(peak.min(MOST_PATIENCE * nats));
        let sum = f64::from(self.sum.max(self.strong));
        if sum <= threshold {
            return false;
        }
        let (normal, wrong) = (f64::from(self.normal), f64::from(self.wrong));
        let took_s = f64::from(at_s.saturating_sub(self.since_s));
        let effect = if took_s > SLOW_S { SLOW_EFFECT } else { EFFECT } * (wrong - normal);
        let wanders_s = if wrong < FEW { FEW_WANDER_S } else { WANDERS_S };
        let wanders = (effect * (took_s / wanders_s).max(1.0).sqrt().sqrt()).min(WANDERS);
        let matters = self.share_since() - normal >= wanders.max(effect);
        let lasts = self.last_bad_s == at_s;
        let outlasts = self.streak_s() >= patience_s
            && f64::from(self.sum) - WINDOW * f64::from(self.best) > REST * nats;
        let is_fault = outlasts || self.moved_most() || sum > AGAIN * threshold;
        matters && lasts && is_fault
    }

    /// Whether surely more packets moved than a burst moves.
    fn moved_most(&self) -> bool {
        let burst = BURST + (1.0 - BURST) * f64::from(self.normal);
        let error = 0.5 / f64::from(self.packets.max(1.0)).sqrt();
        self.share_since() > burst + SIGMAS * error
    }

    /// How long the excursion lasted without a pause, to the last second that spoke for it.
    pub fn streak_s(&self) -> f64 {
        f64::from(self.last_bad_s.saturating_sub(self.streak_from_s))
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
        self.strong = 0.0;
        self.peak = 0.0;
        (self.window, self.best) = (0.0, 0.0);
        self.back = 0.0;
        self.beyond = 0.0;
        self.packets = 0.0;
    }

    /// Forgets the evidence for the fault, while its end is watched.
    pub fn rest(&mut self) {
        self.sum = 0.0;
        self.strong = 0.0;
    }

    /// Lets the memory of excursions fade, and evidence that is older than what it is judged by.
    pub fn fade(&mut self, slow: f32, evidence: f32) {
        self.excursion *= slow;
        self.sum *= evidence;
        self.strong *= evidence;
        self.beyond *= evidence;
        self.packets *= evidence;
    }

    /// Whether the packets beyond the edge came in addition: as many as ever lie below it.
    /// Then the mix of traffic changed, which is no one's fault.
    pub fn is_addition(&self, at_s: u32, usual_rate: f64, most_moved: bool) -> bool {
        let normal = f64::from(self.normal);
        let moved = self.moved();
        if !ADDITION.contains(&moved) || usual_rate <= 0.0 {
            return false;
        }
        let lasted_s = f64::from(at_s.saturating_sub(self.since_s).max(1));
        let rate = f64::from(self.packets) / lasted_s;
        if most_moved && rate <= SURGE * usual_rate {
            return false;
        }
        if moved < FEW {
            let more = MORE[usize::from(lasted_s >= UNSURE_S)];
            return rate > more * usual_rate;
        }
        // Had they moved, so many fewer would lie below; most of the way there is a fault.
        // Had they come beside the others, so many more would come in all.
        let below = rate * (1.0 - self.share_since()) / (usual_rate * (1.0 - normal));
        let more = 1.0 + 0.5 * moved / (1.0 - moved);
        let part = if lasted_s < STEADY_S { 0.8 } else { 0.65 };
        below > (1.0 - moved).powf(part) || (lasted_s < UNSURE_S && rate > more * usual_rate)
    }

    /// The part of the packets that usually lie within the edge and have moved beyond it.
    pub fn moved(&self) -> f64 {
        let normal = f64::from(self.normal);
        (self.share_since() - normal) / (1.0 - normal)
    }

    /// The share beyond the edge since the sum left zero.
    pub fn share_since(&self) -> f64 {
        f64::from(self.beyond / self.packets.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed() -> Exceedance {
        let mut exceedance = Exceedance::watching(Direction::Up);
        exceedance.aim(
            100,
            Shares {
                normal: 0.1,
                wrong: 0.35,
            },
        );
        exceedance
    }

    #[test]
    fn the_change_is_dated_at_the_last_zero() {
        let mut exceedance = aimed();
        (0..100).for_each(|s| {
            exceedance.weigh(s, 1.0, 20.0, 5.0, 3.0);
        });
        (100..110).for_each(|s| {
            exceedance.weigh(s, 15.0, 20.0, 5.0, 3.0);
        });
        assert!(exceedance.passes(109, 20.0, false, 3.0));
        assert_eq!(exceedance.since_s, 99);
    }

    #[test]
    fn what_took_long_must_be_more_unless_more_moved_than_wanders() {
        let (few, some) = ((0.01, 0.03), (0.07, 0.19));
        for ((normal, wrong), share, seconds, passes) in [
            (some, 0.15, 200, true),
            (some, 0.15, 400, false),
            (some, 0.165, 310, true),
            (some, 0.165, 500, false),
            (some, 0.18, 720, false),
            (some, 0.21, 1_500, true),
            (some, 0.2, 3_600, false),
            (some, 0.28, 3_600, true),
            (few, 0.027, 500, true),
            (few, 0.027, 1_500, false),
        ] {
            let mut exceedance = Exceedance::watching(Direction::Up);
            exceedance.aim(100, Shares { normal, wrong });
            (0..seconds).for_each(|s| {
                exceedance.weigh(s, share * 300.0, 300.0, 5.0, 3.0);
            });
            let passed = exceedance.passes(seconds - 1, 20.0, false, 3.0);
            assert_eq!(passed, passes, "{share} for {seconds} s");
        }
    }

    #[test]
    fn what_came_in_addition_is_told_by_the_rate() {
        // A fifth of the packets more lies beyond the edge; 20 packets a second are usual.
        for (packets, seconds, most_moved, added) in [
            // As many as ever lie below, or as many fewer as have moved.
            (25.0, 30, false, true),
            (20.0, 30, false, false),
            // Where most packets moved, it takes a surge.
            (25.0, 30, true, false),
            (27.0, 30, true, true),
        ] {
            let mut exceedance = aimed();
            let beyond = 0.28 * packets;
            (0..seconds).for_each(|s| {
                exceedance.weigh(s, beyond, packets, 5.0, 3.0);
            });
            let said = exceedance.is_addition(seconds - 1, 20.0, most_moved);
            assert_eq!(said, added, "{packets} a second for {seconds} s");
        }
    }

    #[test]
    fn an_excursion_that_ended_by_itself_raises_the_threshold() {
        let mut exceedance = aimed();
        (0..4).for_each(|s| {
            exceedance.weigh(s, 20.0, 20.0, 5.0, 3.0);
        });
        let peak = f64::from(exceedance.sum);
        (4..100).for_each(|s| {
            exceedance.weigh(s, 0.0, 20.0, 5.0, 3.0);
        });
        assert!((f64::from(exceedance.excursion) - peak).abs() < 1e-3);
    }
}
