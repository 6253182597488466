//! How much of the time is an open fault there?
//!
//! Two states, there and gone. Each second says by its packets which of them it looks like; what
//! it says is added up and bounded, so that a second of few packets does not change the state and
//! one of many does at once.

/// Doubt is never larger than this, in nats: a clear second overcomes it.
const MOST_DOUBT: f64 = 6.0;

/// How fast the level of the fault is learnt, from seconds that look like it. Of few packets a
/// second these are its worst, so that below some ten a constant share seems to come and go.
const LEARNING: f64 = 0.05;

/// The state, and the seconds spent in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence {
    pub(super) belief: f32,
    pub(super) level: f32,
    pub(super) there_s: u32,
    pub(super) seen_s: u32,
    /// The same two, as of the last second in which it was there.
    pub(super) at_last: [u32; 2],
}

impl Presence {
    /// It has been there for so long, in this share of the packets.
    pub(super) fn new(took_s: u32, level: f64) -> Self {
        Self {
            belief: MOST_DOUBT as f32,
            level: level as f32,
            there_s: took_s,
            seen_s: took_s,
            at_last: [took_s; 2],
        }
    }

    /// Counts a second with packets, by the share of them beyond the edge; says whether the fault
    /// was there.
    pub(super) fn second(&mut self, share: f64, normal: f64, packets: f64) -> bool {
        let level = f64::from(self.level)
            .max(1.5 * normal)
            .min(0.98)
            .max(normal + 0.01)
            .min(0.99);
        let said =
            share * (level / normal).ln() + (1.0 - share) * ((1.0 - level) / (1.0 - normal)).ln();
        let belief = f64::from(self.belief) + packets * said;
        self.belief = belief.clamp(-MOST_DOUBT, MOST_DOUBT) as f32;
        let there = self.belief > 0.0;
        if said > 0.0 {
            self.level += (LEARNING * (share - f64::from(self.level))) as f32;
        }
        self.count(there);
        there
    }

    /// Counts a second in which it was there or not.
    pub(super) fn count(&mut self, there: bool) {
        self.seen_s = self.seen_s.saturating_add(1);
        if there {
            self.there_s = self.there_s.saturating_add(1);
            self.at_last = [self.there_s, self.seen_s];
        }
    }

    /// The part of the time from the change to its last second.
    pub(super) fn of_the_time(&self) -> f32 {
        let [there_s, seen_s] = self.at_last;
        if seen_s == 0 {
            1.0
        } else {
            there_s as f32 / seen_s as f32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_packets_flicker_and_the_fault_stays() {
        let mut presence = Presence::new(5, 0.3);
        // Three packets a second, one of them slow in two seconds of three.
        (0..900).for_each(|s| {
            presence.second(if s % 3 == 0 { 0.0 } else { 1.0 / 3.0 }, 0.03, 3.0);
        });
        assert!(presence.of_the_time() > 0.95, "{presence:?}");
    }

    #[test]
    fn what_is_nearly_always_beyond_the_edge_has_a_level_too() {
        let mut presence = Presence::new(5, 0.9);
        assert!(presence.second(1.0, 0.9, 30.0) || !presence.of_the_time().is_nan());
    }

    #[test]
    fn five_of_twenty_seconds_are_a_quarter() {
        let mut presence = Presence::new(5, 0.4);
        (0..4_000).for_each(|s| {
            presence.second(if s % 20 < 5 { 0.95 } else { 0.05 }, 0.03, 30.0);
        });
        assert!(
            (0.23..0.3).contains(&presence.of_the_time()),
            "{presence:?}"
        );
    }
}
