//! How long do bursts last on this host?
//!
//! Some packets slow for some seconds are a burst or the beginning of a fault, and nothing in them
//! says which. Only their length does. So all streams of a host learn together how long bursts
//! last there, and what looks like one must outlast them. What moves nearly all packets several
//! times needs no such patience ([`super::leap`]).

/// What ended by itself within this time was a burst.
pub const LONGEST_BURST_S: f64 = 40.0;

/// The longest burst that is feared on a host that nobody knows yet, in seconds.
const FEARED_S: f64 = 35.0;

/// Patience is this multiple of the longest burst, and a second.
const OVER: f64 = 1.25;

/// A host that nobody knows yet is taken for a wild one; the caution halves in two days.
const CAUTION_HALVES_S: f64 = 2.0 * 86_400.0;

/// The longest burst is forgotten by half in a month.
const MEMORY_HALVES_S: f64 = 30.0 * 86_400.0;

/// What a host's bursts are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habit {
    /// The longest burst seen lately, in seconds.
    pub longest_s: f64,
    /// The longest that is feared for want of knowledge.
    pub feared_s: f64,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            longest_s: 0.0,
            feared_s: FEARED_S,
        }
    }
}

impl Habit {
    /// A host that was watched for long, whose bursts last so many seconds at most.
    pub fn known(longest_s: f64) -> Self {
        Self {
            longest_s,
            feared_s: 0.0,
        }
    }

    /// Learns of a burst, from [`super::Stream::take_burst_s`].
    pub fn learn(&mut self, burst_s: f64) {
        if burst_s <= LONGEST_BURST_S {
            self.longest_s = self.longest_s.max(burst_s);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, seconds: f64) {
        self.feared_s *= (-seconds / CAUTION_HALVES_S).exp2();
        self.longest_s *= (-seconds / MEMORY_HALVES_S).exp2();
    }

    /// How long something must last that might be a burst.
    pub fn patience_s(&self) -> f64 {
        1.0 + OVER * self.longest_s.max(self.feared_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_bursts_is_trusted_in_time() {
        let mut habit = Habit::default();
        assert!(habit.patience_s() > 40.0);
        habit.pass(14.0 * 86_400.0);
        assert!(habit.patience_s() < 2.0);
    }

    #[test]
    fn one_long_burst_makes_all_streams_patient() {
        let mut habit = Habit::known(3.0);
        habit.learn(15.0);
        assert!(habit.patience_s() > 15.0);
        habit.learn(300.0);
        assert!(habit.patience_s() < 25.0, "a fault is no burst");
    }
}
