//! The quantile-exceedance CUSUM as it was first described, for comparison.
//!
//! One threshold per stream and week (warn 19.3 nats, page 23.9), 5 s at least, calibrated by the
//! excess of its own peaks; a new level is adopted after 900 s.

use tracer::detect::Increase;

const BUCKETS: usize = 226;
const WARN: f64 = 19.3;
const PAGE: f64 = 23.9;

#[derive(Clone)]
pub(crate) struct Prototype {
    base: Vec<f64>,
    block: Vec<f64>,
    second: Vec<f64>,
    edges: Vec<Edge>,
    age_s: u64,
    alarm_from: Option<u64>,
    paged: bool,
}

#[derive(Clone, Default)]
struct Edge {
    at: usize,
    p0: f64,
    p1: f64,
    active: bool,
    sum: f64,
    peak: f64,
    excess: f64,
    within: [f64; 4],
    across: [f64; 4],
    batch: (f64, f64),
}

impl Default for Prototype {
    fn default() -> Self {
        Self {
            base: vec![0.0; BUCKETS],
            block: vec![0.0; BUCKETS],
            second: vec![0.0; BUCKETS],
            edges: vec![Edge::default(); 3],
            age_s: 0,
            alarm_from: None,
            paged: false,
        }
    }
}

impl Prototype {
    /// Judges a second: whether a warning or a page begins (0 nothing, 1 warn, 2 page).
    pub(crate) fn observe(&mut self, increase: &Increase) -> u8 {
        self.age_s += 1;
        self.second.fill(0.0);
        for &(bucket, count) in increase.cells() {
            self.second[usize::from(bucket)] += f64::from(count);
            self.block[usize::from(bucket)] += f64::from(count);
        }
        let packets = increase.packets() as f64;
        let (mut warn, mut page) = (false, false);
        for edge in &mut self.edges {
            let above = self.second[(edge.at + 1).min(BUCKETS)..].iter().sum();
            edge.weigh(
                above,
                packets,
                self.age_s.is_multiple_of(30),
                self.alarm_from.is_none(),
            );
            let calibrated = |h: f64| h.max(edge.excess.min(8.0 * h));
            warn |= edge.sum > calibrated(WARN);
            page |= edge.sum > calibrated(PAGE);
        }
        let mut said = 0;
        if warn && self.alarm_from.is_none() {
            self.alarm_from = Some(self.age_s);
            said = 1;
        }
        if page && !self.paged && self.alarm_from.is_some() {
            self.paged = true;
            said = 2;
        }
        if let Some(from) = self.alarm_from {
            let over = self.edges.iter().all(|edge| edge.sum <= 0.0);
            if over || self.age_s - from > 900 {
                if !over {
                    self.base.fill(0.0);
                    self.settle(60.0);
                }
                self.alarm_from = None;
                self.paged = false;
                self.edges.iter_mut().for_each(|edge| edge.sum = 0.0);
            }
        }
        if self.age_s.is_multiple_of(60) {
            if self.alarm_from.is_none() {
                self.settle(60.0);
            }
            self.block.fill(0.0);
        }
        said
    }

    fn settle(&mut self, block_s: f64) {
        let fade = (-block_s / 1_800.0).exp();
        for (base, block) in self.base.iter_mut().zip(&self.block) {
            *base = *base * fade + block;
        }
        let all: f64 = self.base.iter().sum();
        let aims = [
            (0.5, 0.25, 2.0, 100.0),
            (0.9, 0.12, 2.0, 100.0),
            (0.99, 0.02, 3.0, 500.0),
        ];
        for (edge, (q, more, times, enough)) in self.edges.iter_mut().zip(aims) {
            edge.active = all >= enough;
            edge.excess *= (-block_s / 86_400.0f64).exp();
            if !edge.active {
                continue;
            }
            let mut seen = 0.0;
            let mut place = 0.0;
            for (bucket, count) in self
                .base
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0.0)
            {
                place = bucket as f64 - 1.0 + ((q * all - seen) / count).clamp(0.0, 1.0);
                seen += count;
                if seen >= q * all {
                    break;
                }
            }
            let ns = 238.418_579 * (place / 8.0f64).exp2();
            let risen = (ns * 1.3).max(ns + 20_000.0);
            edge.at = ((risen / 238.418_579).log2() * 8.0).round() as usize;
            let above: f64 = self.base[(edge.at + 1).min(BUCKETS)..].iter().sum();
            edge.p0 = ((above + 0.5 + (above + 0.25).sqrt()) / (all + 1.0)).clamp(1e-4, 0.9);
            edge.p1 = (edge.p0 + more).max(times * edge.p0).min(0.95);
        }
    }
}

impl Edge {
    fn weigh(&mut self, above: f64, packets: f64, batch_ends: bool, calm: bool) {
        if calm && self.active {
            add(&mut self.within, above, packets);
            self.batch.0 += above;
            self.batch.1 += packets;
            if batch_ends {
                let (above, packets) = std::mem::take(&mut self.batch);
                add(&mut self.across, above, packets);
            }
        }
        if !self.active || packets <= 0.0 {
            return;
        }
        let rho = rho(&self.within).max(30.0 * rho(&self.across)).min(1.0);
        let effective = packets / (1.0 + (packets - 1.0) * rho);
        let x = above / packets;
        let l = effective
            * (x * (self.p1 / self.p0).ln() + (1.0 - x) * ((1.0 - self.p1) / (1.0 - self.p0)).ln());
        self.sum = (self.sum + l.min(WARN / 5.0)).max(0.0);
        if self.sum > 0.0 {
            self.peak = self.peak.max(self.sum);
        } else {
            self.excess = self.excess.max(std::mem::take(&mut self.peak));
        }
    }
}

fn add(sums: &mut [f64; 4], above: f64, packets: f64) {
    if packets >= 2.0 {
        sums[0] += above;
        sums[1] += packets;
        sums[2] += above * (above - 1.0);
        sums[3] += packets * (packets - 1.0);
    }
}

fn rho(sums: &[f64; 4]) -> f64 {
    let p = sums[0] / sums[1].max(1.0);
    let both = sums[2] / sums[3].max(1.0);
    if p * (1.0 - p) > 1e-9 {
        ((both - p * p) / (p * (1.0 - p))).clamp(0.0, 1.0)
    } else {
        0.0
    }
}
