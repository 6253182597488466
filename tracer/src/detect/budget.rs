//! How much evidence a finding needs, so that a host keeps its budget of false ones.
//!
//! A cumulative sum of log-likelihood ratios passes h nats by chance about e^-h times an interval,
//! so the threshold is the logarithm of all the chances that a host has in the time in which one
//! false finding is granted.

use super::habit::Habit;

/// Chances that a stream has in a second. It watches eight statistics, but a sum that is near its
/// threshold stays there for seconds: at a threshold of 15.4 nats the workload of
/// `cargo xtask bench detect` gave a tenth of what eight independent chances would.
const CHANCES: f64 = 1.0;

/// A warning a week, a page a month.
const WEEK_S: f64 = 7.0 * 86_400.0;
const MONTH_S: f64 = 30.0 * 86_400.0;

/// What a host grants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// How many streams it watches.
    pub streams: u32,
    /// False warnings in a week, for the host as a whole.
    pub warnings_a_week: f64,
    /// False pages in a month, for the host as a whole.
    pub pages_a_month: f64,
}

impl Budget {
    /// One false warning a week and one false page a month.
    pub fn for_streams(streams: u32) -> Self {
        Self {
            streams,
            warnings_a_week: 1.0,
            pages_a_month: 1.0,
        }
    }

    /// What keeps the budget on a host of such habits.
    pub fn thresholds(&self, habit: &Habit) -> Thresholds {
        let chances = CHANCES * f64::from(self.streams.max(1));
        Thresholds {
            warn: (chances * WEEK_S / self.warnings_a_week.max(1e-6))
                .ln()
                .max(5.0),
            page: (chances * MONTH_S / self.pages_a_month.max(1e-6))
                .ln()
                .max(5.0),
            patience_s: habit.patience_s(),
        }
    }
}

/// What a finding needs: evidence in nats, and time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// For a warning.
    pub warn: f64,
    /// For a page.
    pub page: f64,
    /// How long it must last in seconds when it could be a burst.
    pub patience_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_times_the_streams_cost_seven_nats() {
        let [few, many] =
            [50, 50_000].map(|streams| Budget::for_streams(streams).thresholds(&Habit::default()));
        assert!((many.page - few.page - 1000f64.ln()).abs() < 1e-9);
        assert!(many.warn < many.page);
    }
}
