//! Routes whose packets behave as packets do: heavy tails, bursts, day and night, moody levels.
//!
//! Latencies are drawn on the histogram's own scale, in eighths of an octave above 238 ns, so that
//! a second of 300 packets costs microseconds.

use super::dice::Dice;
use super::fault::{Effect, Fault};
use std::f64::consts::{LN_2, TAU};
use std::sync::LazyLock;
use tracer::detect::{Increase, Mishap};

/// Hops of a route: each is a stream.
pub(crate) const HOPS: usize = 5;

/// The rates of the workload in packets per second.
pub(crate) const RATES: [f64; 4] = [0.3, 3.0, 30.0, 300.0];

const OCTAVE: f64 = 8.0;
const DAY_S: f64 = 86_400.0;
const CORE: usize = 4096;

/// How a route is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// Mean packets per second.
    pub(crate) rate: f64,
    /// How long a burst lasts, in seconds; none: no bursts.
    pub(crate) burst_s: Option<(f64, f64)>,
    /// Nothing but independent draws: no mood, no day, no bursts, no surges.
    pub(crate) iid: bool,
    /// The share of a hop's growth that the hop before it suffers too (queues fill backwards).
    pub(crate) back_pressure: f64,
}

impl Nature {
    /// Short bursts, independent hops.
    pub(crate) fn of(rate: f64) -> Self {
        Self {
            rate,
            burst_s: Some((1.0, 3.0)),
            iid: false,
            back_pressure: 0.0,
        }
    }
}

/// A route and all that will happen to it.
pub(crate) struct Route {
    nature: Nature,
    dice: Dice,
    hops: Vec<Hop>,
    surge_phase_s: f64,
    surge_s: f64,
    day_phase: f64,
    seconds: [Increase; HOPS],
    counts: Counts,
}

struct Hop {
    core: &'static [f32],
    median: f32,
    sigma: f32,
    tail_share: f64,
    tail_alpha: f64,
    second_class: Option<SecondClass>,
    mood: f64,
    mood_sd: f64,
    mood_memory: f64,
    day: f64,
    day_phase: f64,
    bursts_per_s: f64,
    burst: Option<Burst>,
    loss: f64,
    median_ns: f64,
    idle: bool,
}

/// A second's packets by bucket, between the lowest and the highest that has any.
struct Counts {
    of: [u32; 226],
    lowest: usize,
    highest: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            of: [0; 226],
            lowest: 226,
            highest: 0,
        }
    }
}

impl Counts {
    #[inline]
    fn count(&mut self, bucket: usize) {
        self.of[bucket] += 1;
        self.lowest = self.lowest.min(bucket);
        self.highest = self.highest.max(bucket);
    }

    fn empty_into(&mut self, second: &mut Increase) {
        for bucket in self.lowest..=self.highest {
            second.add(bucket as u8, std::mem::take(&mut self.of[bucket]));
        }
        (self.lowest, self.highest) = (226, 0);
    }
}

struct SecondClass {
    rise: f64,
    share: f64,
    swing: f64,
    period_s: f64,
}

struct Burst {
    until_s: f64,
    share: f64,
    rise: f64,
    loss: f64,
}

impl Route {
    pub(crate) fn new(seed: u64, nature: Nature) -> Self {
        let mut dice = Dice::new(seed, 1);
        let hops = (0..HOPS).map(|_| Hop::new(&mut dice, nature)).collect();
        Self {
            nature,
            hops,
            surge_phase_s: dice.between(0.0, 14_400.0),
            surge_s: dice.between(60.0, 300.0),
            day_phase: dice.between(0.0, TAU),
            seconds: Default::default(),
            counts: Counts::default(),
            dice,
        }
    }

    pub(crate) fn nature(&self) -> Nature {
        self.nature
    }

    /// The same nature, other chances.
    pub(crate) fn reseeded(mut self, seed: u64) -> Self {
        self.dice = Dice::new(seed, 2);
        self
    }

    /// Draws one hop only; the others count nothing.
    pub(crate) fn with_only(mut self, hop: usize) -> Self {
        (0..HOPS).for_each(|n| self.hops[n].idle = n != hop);
        self
    }

    /// What each hop counted in the second that ends at `at_s`.
    pub(crate) fn second(&mut self, at_s: u64, faults: &[Fault]) -> &[Increase; HOPS] {
        let packets = {
            let mean = self.packets_expected(at_s as f64);
            self.dice.poisson(mean)
        };
        let mut effects = [None; HOPS];
        for fault in faults {
            effects[fault.hop] = fault.at(at_s).or(effects[fault.hop]);
        }
        for hop in (0..HOPS).rev() {
            let behind = effects.get(hop + 1).copied().flatten();
            if let (None, Some(effect), true) =
                (effects[hop], behind, self.nature.back_pressure > 0.0)
            {
                // So much slower that the added time is the given part of the next hop's.
                let times = (effect.rise / OCTAVE).exp2();
                let added_ns =
                    (times - 1.0) * self.hops[hop + 1].median_ns * self.nature.back_pressure;
                let felt = 1.0 + added_ns / self.hops[hop].median_ns;
                effects[hop] = Some(Effect {
                    rise: OCTAVE * felt.log2(),
                    more: 0.0,
                    loss: 0.0,
                    ..effect
                });
            }
        }
        for ((hop, second), effect) in self.hops.iter_mut().zip(&mut self.seconds).zip(effects) {
            second.clear();
            if hop.idle {
                continue;
            }
            hop.second(
                at_s as f64,
                packets,
                effect,
                self.nature,
                &mut self.dice,
                &mut self.counts,
            );
            self.counts.empty_into(second);
            let loss = hop.loss_rate(effect);
            let drops = self.dice.poisson(f64::from(packets) * loss);
            second.add_mishaps(Mishap::Drop, drops);
        }
        &self.seconds
    }

    fn packets_expected(&mut self, at_s: f64) -> f64 {
        if self.nature.iid {
            return self.nature.rate;
        }
        let day = (0.6 * (TAU * at_s / DAY_S + self.day_phase).sin()).exp();
        let surging = (at_s + self.surge_phase_s) % 14_400.0 < self.surge_s;
        let surge = if surging { 4.0 } else { 1.0 };
        self.nature.rate * self.dice.gamma(8) * day * surge
    }
}

impl Hop {
    fn new(dice: &mut Dice, nature: Nature) -> Self {
        let median_ns = dice.log_between(50e3, 20e6);
        let sigma = dice.between(0.15, 0.6) * OCTAVE / LN_2;
        let median = OCTAVE * (median_ns / 238.418_579).log2();
        let bursts = nature
            .burst_s
            .filter(|_| !nature.iid)
            .map_or(0.0, |_| dice.between(0.0, 12.0));
        let two_classes = dice.unit() < 0.5 && !nature.iid;
        Self {
            core: normal_quantiles(),
            median: median as f32,
            sigma: sigma as f32,
            tail_share: dice.between(0.002, 0.02),
            tail_alpha: dice.between(1.5, 3.0),
            second_class: two_classes.then(|| SecondClass {
                rise: OCTAVE * dice.log_between(1.5, 4.0).log2(),
                share: dice.between(0.1, 0.4),
                swing: dice.between(0.02, 0.1),
                period_s: dice.log_between(3_600.0, 28_800.0),
            }),
            mood: 0.0,
            mood_sd: if nature.iid {
                0.0
            } else {
                dice.between(0.03, 0.12)
            },
            mood_memory: dice.between(0.5, 0.95),
            day: if nature.iid {
                0.0
            } else {
                dice.between(0.0, 0.4)
            },
            day_phase: dice.between(0.0, TAU),
            bursts_per_s: bursts / 3_600.0,
            burst: None,
            loss: dice.log_between(1e-6, 1e-4),
            median_ns,
            idle: false,
        }
    }

    fn second(
        &mut self,
        at_s: f64,
        packets: u32,
        effect: Option<Effect>,
        nature: Nature,
        dice: &mut Dice,
        counts: &mut Counts,
    ) {
        let memory = self.mood_memory;
        self.mood =
            memory * self.mood + self.mood_sd * (1.0 - memory * memory).sqrt() * dice.normal();
        let day = 1.0 + self.day * (TAU * at_s / DAY_S + self.day_phase).sin();
        let level = OCTAVE * (self.mood / LN_2 + day.log2());
        self.begin_burst(at_s, nature, dice);
        let (class_share, class_rise) = self.second_class.as_ref().map_or((0.0, 0.0), |class| {
            (
                class.share + class.swing * (TAU * at_s / class.period_s).sin(),
                class.rise,
            )
        });
        let (burst_share, burst_rise) = self
            .burst
            .as_ref()
            .map_or((0.0, 0.0), |burst| (burst.share, burst.rise));
        let effect = effect.unwrap_or_default();
        let more = dice.poisson(f64::from(packets) * effect.more);
        let plain = burst_share == 0.0 && effect.share == 0.0;
        let above = level + f64::from(self.median);
        for packet in 0..packets + more {
            let bits = dice.bits();
            let place = (bits >> 52) as usize;
            let part = (bits & 0xFFFF) as f32 * (1.0 / 65_536.0);
            let (low, high) = (self.core[place], self.core[place + 1]);
            let mut at = f64::from(self.sigma * (low + part * (high - low))) + above;
            let chance = |shift: u32| ((bits >> shift) & 0xFFFF) as f64 * (1.0 / 65_536.0);
            at += class_rise * f64::from(u8::from(chance(16) < class_share));
            if chance(32) < self.tail_share {
                at += OCTAVE - OCTAVE * (1.0 - dice.unit()).log2() / self.tail_alpha;
            }
            if packet >= packets {
                at += effect.rise;
            } else if !plain {
                if dice.unit() < burst_share {
                    at += burst_rise;
                }
                if dice.unit() < effect.share {
                    at += effect.rise;
                }
            }
            // The bucket whose upper bound is the next whole number.
            counts.count((at as i32 + 1).clamp(0, 225) as usize);
        }
    }

    /// The share that is lost in this second.
    fn loss_rate(&self, effect: Option<Effect>) -> f64 {
        let burst = self.burst.as_ref().map_or(0.0, |burst| burst.loss);
        self.loss + burst + effect.map_or(0.0, |effect| effect.loss)
    }

    fn begin_burst(&mut self, at_s: f64, nature: Nature, dice: &mut Dice) {
        if self
            .burst
            .as_ref()
            .is_some_and(|burst| at_s >= burst.until_s)
        {
            self.burst = None;
        }
        let Some((shortest_s, longest_s)) = nature.burst_s else {
            return;
        };
        if self.burst.is_none() && dice.unit() < self.bursts_per_s {
            self.burst = Some(Burst {
                until_s: at_s + dice.between(shortest_s, longest_s).round(),
                share: dice.between(0.02, 0.5),
                rise: OCTAVE * dice.log_between(2.0, 10.0).log2(),
                loss: if dice.unit() < 0.1 { 0.01 } else { 0.0 },
            });
        }
    }
}

/// The normal quantiles in steps of 1/4096, the same for all hops.
fn normal_quantiles() -> &'static [f32] {
    static QUANTILES: LazyLock<Vec<f32>> = LazyLock::new(|| {
        (0..=CORE)
            .map(|i| probit((i as f64 + 0.5) / (CORE as f64 + 1.0)) as f32)
            .collect()
    });
    &QUANTILES
}

/// The normal quantile (Acklam's rational approximation, error below 1.2e-9 relative).
fn probit(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let poly = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let edge = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        poly(&C, q) / (poly(&D, q) * q + 1.0)
    };
    if p < 0.02425 {
        edge(p)
    } else if p > 1.0 - 0.02425 {
        -edge(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probit_is_the_normal_quantile() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_964), (0.001, -3.090_232)] {
            assert!((probit(p) - z).abs() < 1e-5, "{p}");
        }
    }

    #[test]
    fn a_route_has_the_rate_that_was_asked_for() {
        let mut route = Route::new(
            7,
            Nature {
                iid: true,
                ..Nature::of(30.0)
            },
        );
        let packets: u64 = (0..2_000).map(|s| route.second(s, &[])[0].packets()).sum();
        assert!((58_000..62_000).contains(&packets), "{packets}");
    }
}
