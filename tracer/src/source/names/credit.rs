//! How much processor time looking for names may take.

use std::time::{Duration, Instant};

use crate::source::spent::spent;

/// What may be spent at once: enough for all processes of most hosts.
const MOST: Duration = Duration::from_millis(250);

/// One part in so many of the time that passes is earned.
const SHARE: u32 = 400;

/// Processor time that may be spent, earned as time passes.
pub(super) struct Credit {
    left: Duration,
    /// What one long look took beyond that, which is earned first.
    debt: Duration,
    earned: Instant,
    /// When the present look began, in the thread's processor time.
    began: Duration,
}

impl Default for Credit {
    fn default() -> Self {
        Self {
            left: MOST,
            debt: Duration::ZERO,
            earned: Instant::now(),
            began: Duration::ZERO,
        }
    }
}

impl Credit {
    /// All is spent.
    #[cfg(test)]
    pub(super) fn gone() -> Self {
        Self {
            left: Duration::ZERO,
            ..Self::default()
        }
    }

    /// A look begins, on this thread.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        let earned = now.duration_since(self.earned) / SHARE;
        self.left = MOST.min(self.left + earned.saturating_sub(self.debt));
        self.debt = self.debt.saturating_sub(earned);
        self.earned = now;
        self.began = spent();
    }

    /// Whether the look may go on.
    pub(super) fn is_left(&self) -> bool {
        spent().saturating_sub(self.began) < self.left
    }

    /// The look is over.
    pub(super) fn end(&mut self) {
        let took = spent().saturating_sub(self.began);
        self.debt += took.saturating_sub(self.left);
        self.left = self.left.saturating_sub(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_gone_until_time_passes() {
        let mut credit = Credit::default();
        credit.begin();
        assert!(credit.is_left());
        let start = spent();
        while spent().saturating_sub(start) < MOST {
            std::hint::black_box(std::fs::metadata("/proc/self/comm").is_ok());
        }
        assert!(!credit.is_left());
        credit.end();
        let debt = credit.debt;
        credit.earned -= Duration::from_secs(4) + debt * SHARE;
        credit.begin();
        assert!(credit.is_left() && credit.left >= Duration::from_millis(10));
        assert!(credit.left < MOST);
        assert_eq!(credit.debt, Duration::ZERO);
    }
}
