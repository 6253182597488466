//! Are packets lost, sent again or connections reset more often than they were?
//!
//! Counts against packets: a cumulative sum of the Poisson likelihood ratio between the usual rate
//! and ten times it, divided by how much the counts clump.

use super::budget::Thresholds;
use super::exceedance::{REST, WINDOW};
use std::f64::consts::LN_10;

/// The rate that is taken for granted where none was seen, per packet.
const LEAST_RATE: f64 = 1e-4;

/// How much more often matters.
const TIMES: f64 = 10.0;

/// How many times the usual rate is worth a warning, and a page.
pub const WARN_TIMES: f64 = 5.0;
pub const PAGE_TIMES: f64 = 20.0;

/// So many mishaps a packet matter, whatever is usual.
const ENOUGH: f64 = 0.005;

/// An alarm takes at least this many seconds.
const SECONDS: f64 = 3.0;

/// From this rate per packet on hardly anything gets through, which no burst does: nobody waits for
/// its end.
const DEAD: f64 = 0.5;

/// So many mishaps tell that, and no fewer.
const DEAD_LEAST: f32 = 4.0;

/// What a burst loses per packet, and how much surely is more than that: it has to last for so many
/// seconds without a pause, and what it says against a burst must pass.
const BURST: f64 = 0.01;
const HEAVY: f64 = 0.025;
const HEAVY_S: f64 = 5.0;

/// A burst that loses begins once in most of an hour, not every second: so much less evidence against
/// it is enough, in nats.
const SELDOM: f64 = 8.0;

/// Evidence in nats that the excursion paused.
const PAUSED: f64 = 3.0;

/// An alarm needs this multiple of the largest excursion that ended by itself.
const OVER_PEAK: f64 = 1.3;

/// One sort of mishap of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mishaps {
    pub(super) settled: f32,
    pub(super) settled_packets: f32,
    pub(super) fresh: f32,
    pub(super) fresh_packets: f32,
    pub(super) clumps: f32,
    pub(super) blocks: f32,
    pub(super) sum: f32,
    pub(super) peak: f32,
    pub(super) excursion: f32,
    pub(super) since_s: u32,
    pub(super) streak_from_s: u32,
    /// What a window as long as bursts last says, in nats, and the most that one of them said.
    pub(super) window: f32,
    pub(super) best: f32,
    pub(super) back: f32,
    pub(super) count: f32,
    pub(super) packets: f32,
    pub(super) raised: bool,
}

impl Mishaps {
    /// Begins with the first second of the stream.
    pub fn begin(&mut self, at_s: u32) {
        (self.since_s, self.streak_from_s) = (at_s, at_s);
    }

    /// The usual rate per packet.
    pub fn rate(&self) -> f64 {
        let rate = (f64::from(self.settled) + 0.5) / (f64::from(self.settled_packets) + 1.0);
        rate.clamp(LEAST_RATE, 0.5 / TIMES)
    }

    /// The rate per packet since the sum left zero.
    pub fn rate_since(&self) -> f64 {
        f64::from(self.count) / f64::from(self.packets).max(1.0)
    }

    /// Whether hardly anything got through since the sum left zero.
    fn is_dead(&self) -> bool {
        self.sum > 0.0 && self.count >= DEAD_LEAST && self.rate_since() >= DEAD
    }

    /// Whether more was lost since the sum left zero than any burst loses, by so much evidence.
    fn is_heavy(&self, threshold: f64) -> bool {
        let (rate, usual) = (self.rate_since(), self.rate());
        if self.sum <= 0.0 || rate < HEAVY.max(TIMES * usual) {
            return false;
        }
        let burst = BURST.max(usual);
        let against =
            f64::from(self.count) * (rate / burst).ln() - f64::from(self.packets) * (rate - burst);
        against / self.clumping() > threshold - SELDOM
    }

    /// Weighs an interval; says whether it spoke for a change.
    pub fn weigh(&mut self, at_s: u32, count: f64, packets: f64, thresholds: &Thresholds) -> bool {
        let threshold = thresholds.page;
        self.fresh += count as f32;
        self.fresh_packets += packets as f32;
        // A mishap may be counted for a packet that was timed in the second before.
        let packets = packets.max(count);
        let cap = threshold / SECONDS;
        if packets <= 0.0 {
            // Who waits for an answer sends again after 1, 2, 4 … s; the silence in between says as
            // much.
            if self.is_dead() {
                self.sum = (f64::from(self.sum) + cap).min(20.0 * threshold) as f32;
                self.peak = self.peak.max(self.sum);
            }
            return self.raised && self.is_dead();
        }
        if count <= 0.0 && self.peak <= 0.0 && !self.raised {
            self.begin(at_s);
            return false;
        }
        let rate = self.rate();
        let evidence = (count * LN_10 - packets * rate * (TIMES - 1.0)) / self.clumping();
        self.sum = (f64::from(self.sum) + evidence.min(cap)).clamp(0.0, 20.0 * threshold) as f32;
        let window = f64::from(self.window) * (1.0 - thresholds.patience_s.max(1.0).recip());
        self.window = (window + evidence.clamp(0.0, cap)) as f32;
        self.best = self.best.max(self.window);
        if self.sum <= 0.0 {
            if !self.raised {
                self.end_excursion(true);
            }
            self.begin(at_s);
            (self.window, self.best) = (0.0, 0.0);
        } else {
            self.peak = self.peak.max(self.sum);
            if count >= f64::from(DEAD_LEAST) && count >= DEAD * packets && self.rate_since() < DEAD
            {
                // What got through before it died, in the same second, says nothing for it.
                (self.count, self.packets) = (0.0, 0.0);
            }
            self.count += count as f32;
            self.packets += packets as f32;
        }
        if self.sum > 0.0 || self.raised {
            let wrong = (0.5 * self.rate_since()).max(TIMES * rate);
            let evidence = count * (wrong / rate).ln() - packets * (wrong - rate);
            self.back =
                (f64::from(self.back) - evidence.max(-cap)).clamp(0.0, 20.0 * threshold) as f32;
            if !self.raised && f64::from(self.back) > PAUSED {
                self.back = PAUSED as f32;
                self.streak_from_s = at_s;
            }
        }
        evidence > 0.0
    }

    /// Whether the evidence passes, has lasted, lasts now, and is of so many times the usual rate.
    pub fn passes(&self, at_s: u32, threshold: f64, times: f64, patience_s: f64) -> bool {
        let peak = OVER_PEAK * f64::from(self.excursion);
        let streak_s = f64::from(at_s.saturating_sub(self.streak_from_s));
        let outlasts = if self.is_dead() {
            streak_s >= patience_s.min(SECONDS)
        } else if streak_s >= HEAVY_S && self.is_heavy(threshold) {
            true
        } else {
            streak_s >= patience_s
                && f64::from(self.sum) - WINDOW * f64::from(self.best) > REST * threshold
        };
        let lasts = self.back <= 0.0 && outlasts;
        let matters = self.rate_since() >= (times * self.rate()).min(ENOUGH);
        f64::from(self.sum) > threshold.max(peak.min(6.0 * threshold)) && lasts && matters
    }

    /// Begins to watch for the return to normal.
    pub fn raise(&mut self) {
        if !self.raised {
            self.raised = true;
            self.back = 0.0;
        }
    }

    /// Whether what was raised is back to normal.
    pub fn is_back(&self, threshold: f64) -> bool {
        !self.raised || f64::from(self.back) > threshold
    }

    /// Forgets the excursion; `learn` when it was nothing wrong.
    pub fn end_excursion(&mut self, learn: bool) {
        if learn {
            self.excursion = self.excursion.max(self.peak);
        }
        self.raised = false;
        self.sum = 0.0;
        self.peak = 0.0;
        (self.window, self.best) = (0.0, 0.0);
        self.back = 0.0;
        self.count = 0.0;
        self.packets = 0.0;
    }

    /// Takes the block since the last call as normal, after fading what was.
    pub fn settle(&mut self, fade: f32, slow_fade: f32) {
        let expected = self.rate() * f64::from(self.fresh_packets);
        if self.settled_packets > 2.0 * self.fresh_packets {
            let off = f64::from(self.fresh) - expected;
            self.clumps = self.clumps * slow_fade + (off * off / expected.max(0.1)) as f32;
            self.blocks = self.blocks * slow_fade + 1.0;
        }
        self.settled = self.settled * fade + self.fresh;
        self.settled_packets = self.settled_packets * fade + self.fresh_packets;
        self.excursion *= slow_fade;
        self.discard();
    }

    /// Forgets the block.
    pub fn discard(&mut self) {
        self.fresh = 0.0;
        self.fresh_packets = 0.0;
    }

    /// Variance over mean of a block's count: 1 when mishaps come one by one.
    fn clumping(&self) -> f64 {
        let (clumps, blocks) = (f64::from(self.clumps), f64::from(self.blocks));
        ((clumps + 5.0) / (blocks + 5.0)).max(1.0)
    }
}
