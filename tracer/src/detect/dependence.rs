//! How many independent packets a second of packets is worth.
//!
//! Packets of one second wait in the same queues, and seconds resemble their neighbours. The
//! chance that two packets of one second (or of one batch of 30 s) both lie above an edge, beyond
//! what independence would give, is the intra-class correlation ρ of a beta-binomial; n packets
//! are then worth n / (1 + (n − 1) ρ) (Kish's design effect, Survey Sampling 1965, §5.4).

/// The length of a batch in seconds.
pub const BATCH_S: f64 = 30.0;

/// What is believed before anything was seen, and how many batches that belief is worth.
const PRIOR_RHO: f64 = 0.002;
const PRIOR_BATCHES: f64 = 5.0;

/// Never more trust than this: the arithmetic of a thousand seconds is no proof of independence.
const LEAST_RHO: f64 = 2e-4;

/// The correlation of packets above an edge, within seconds and within batches.
#[derive(Clone, Copy, Debug)]
pub struct Dependence {
    pub(super) within: Pairs,
    pub(super) across: Pairs,
    pub(super) batch_above: f32,
    pub(super) batch_packets: f32,
    pub(super) rho: [f32; 2],
}

impl Default for Dependence {
    fn default() -> Self {
        Self {
            within: Pairs::default(),
            across: Pairs::default(),
            batch_above: 0.0,
            batch_packets: 0.0,
            rho: [PRIOR_RHO as f32; 2],
        }
    }
}

impl Dependence {
    /// Counts a calm second.
    pub fn second(&mut self, above: f64, packets: f64) {
        self.within.add(above, packets);
        self.batch_above += above as f32;
        self.batch_packets += packets as f32;
    }

    /// Ends a batch of [`BATCH_S`] seconds.
    pub fn end_batch(&mut self) {
        self.across
            .add(f64::from(self.batch_above), f64::from(self.batch_packets));
        self.drop_batch();
        let within = self.within.rho(PRIOR_BATCHES * BATCH_S);
        self.rho = [within as f32, self.across.rho(PRIOR_BATCHES) as f32];
    }

    /// Forgets the batch that has begun.
    pub fn drop_batch(&mut self) {
        self.batch_above = 0.0;
        self.batch_packets = 0.0;
    }

    /// Fades what was learnt by a factor.
    pub fn fade(&mut self, factor: f32) {
        self.within.fade(factor);
        self.across.fade(factor);
    }

    /// ρ within a second, and within a batch, as of the last batch.
    pub fn rho(&self) -> (f64, f64) {
        (f64::from(self.rho[0]), f64::from(self.rho[1]))
    }
}

/// The weight of a packet given the level of its second: 1 / design effect within the second.
pub fn worth_within(packets: f64, (within, _): (f64, f64)) -> f64 {
    (1.0 + (packets - 1.0).max(0.0) * within).recip()
}

/// The weight of a packet among `packets` of one second: 1 / design effect.
pub fn worth(packets: f64, (within, across): (f64, f64)) -> f64 {
    let second = 1.0 + (packets - 1.0).max(0.0) * within;
    let batch = 1.0 + (BATCH_S * (packets - 1.0)).max(0.0) * across;
    second.max(batch).recip()
}

/// Sums over groups of packets, for the chance that two of a group lie above the edge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pairs {
    pub(super) above: f32,
    pub(super) packets: f32,
    pub(super) both: f32,
    pub(super) groups: f32,
}

impl Pairs {
    fn add(&mut self, above: f64, packets: f64) {
        if packets < 2.0 {
            return;
        }
        self.above += above as f32;
        self.packets += packets as f32;
        self.both += (above * (above - 1.0).max(0.0) / (packets - 1.0)) as f32;
        self.groups += 1.0;
    }

    fn fade(&mut self, factor: f32) {
        for sum in [
            &mut self.above,
            &mut self.packets,
            &mut self.both,
            &mut self.groups,
        ] {
            *sum *= factor;
        }
    }

    fn rho(&self, prior_groups: f64) -> f64 {
        let groups = f64::from(self.groups);
        let above = f64::from(self.above / self.packets.max(1.0));
        let both = f64::from(self.both / self.packets.max(1.0));
        let spread = above * (1.0 - above);
        let seen = if spread > 1e-7 {
            (both - above * above) / spread
        } else {
            0.0
        };
        let rho = (seen.max(0.0) * groups + PRIOR_RHO * prior_groups) / (groups + prior_groups);
        rho.clamp(LEAST_RHO, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: impl Iterator<Item = (f64, f64)>) -> Dependence {
        let mut dependence = Dependence::default();
        for (second, (above, packets)) in seconds.enumerate() {
            dependence.second(above, packets);
            if (second + 1) % 30 == 0 {
                dependence.end_batch();
            }
        }
        dependence
    }

    #[test]
    fn packets_that_move_together_are_worth_few() {
        let together =
            after((0..36_000).map(|s| (if s / 60 % 10 == 0 { 30.0 } else { 0.0 }, 30.0)));
        assert!(30.0 * worth(30.0, together.rho()) < 0.1);
    }

    #[test]
    fn packets_that_do_not_are_worth_most_of_themselves() {
        let even = after((0..36_000).map(|_| (3.0, 30.0)));
        let worth = worth(30.0, even.rho());
        assert!(worth > 0.5, "{worth}");
    }
}
