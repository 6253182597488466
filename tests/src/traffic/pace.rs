//! When things are sent: a schedule that does not wait for answers.

use crate::clock::{now_ns, sleep_until};

/// How fast a sender goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as it can; a requester waits for each answer.
    BackToBack,
    /// Equal gaps.
    Constant {
        /// The rate.
        per_second: f64,
    },
    /// Random gaps with an exponential distribution, as from many independent users.
    Poisson {
        /// The mean rate.
        per_second: f64,
        /// Where the random numbers begin.
        seed: u64,
    },
}

/// The moments of a pace. A sender that is late catches up: the schedule does not shift.
pub(crate) struct Schedule {
    pace: Pace,
    random: fastrand::Rng,
    next_ns: f64,
    start_ns: u64,
}

impl Schedule {
    pub(crate) fn start(pace: Pace) -> Self {
        let seed = match pace {
            Pace::Poisson { seed, .. } => seed,
            _ => 0,
        };
        Self {
            pace,
            random: fastrand::Rng::with_seed(seed),
            next_ns: 0.0,
            start_ns: now_ns(),
        }
    }

    /// Waits for the next moment and returns it, even when it is past.
    pub(crate) fn next(&mut self) -> u64 {
        let gap_ns = match self.pace {
            Pace::BackToBack => return now_ns(),
            Pace::Constant { per_second } => 1e9 / per_second,
            Pace::Poisson { per_second, .. } => -(1.0 - self.random.f64()).ln() * 1e9 / per_second,
        };
        let moment_ns = self.start_ns + self.next_ns as u64;
        self.next_ns += gap_ns;
        sleep_until(moment_ns);
        moment_ns
    }
}
