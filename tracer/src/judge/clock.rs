//! The judge's own seconds: they run with what passed, whatever is done to the host's clock.

use std::time::Duration;

use crate::model::journal::Moment;

const NS: u64 = 1_000_000_000;

/// Counts seconds from those since 1970 when it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    own_ns: u64,
    /// What the host's clock says now.
    at: Moment,
}

impl Clock {
    /// Goes on from what was saved; for the time away the host's clock is believed, unless it went
    /// backwards.
    pub(super) fn from(saved: Option<(u64, Moment)>, at: Moment) -> Self {
        let own_ns = match saved {
            Some((own_ns, then)) => own_ns.saturating_add(at.saturating_sub(then)),
            None => at,
        };
        Self { own_ns, at }
    }

    pub(super) fn saved(&self) -> (u64, Moment) {
        (self.own_ns, self.at)
    }

    /// So much time passed, and it is now so late.
    pub(super) fn pass(&mut self, at: Moment, passed: Duration) {
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        self.own_ns = self.own_ns.saturating_add(passed);
        self.at = at;
    }

    /// The judge's second.
    pub(super) fn at_s(&self) -> u64 {
        self.own_ns / NS
    }

    /// What the host's clock says.
    pub(super) fn now(&self) -> Moment {
        self.at
    }

    /// When a second of the judge's was, as the host's clock says it today.
    pub(super) fn moment(&self, at_s: u64) -> Moment {
        let ago = self.own_ns.saturating_sub(at_s.saturating_mul(NS));
        self.at.saturating_sub(ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_moves_no_second() {
        let mut clock = Clock::from(None, 1_000 * NS);
        clock.pass(1_001 * NS, Duration::from_secs(1));
        assert_eq!((clock.at_s(), clock.moment(1_000)), (1_001, 1_000 * NS));
        clock.pass(5_002 * NS, Duration::from_secs(1));
        assert_eq!((clock.at_s(), clock.moment(1_001)), (1_002, 5_001 * NS));
        let again = Clock::from(Some(clock.saved()), 4_000 * NS);
        assert_eq!(again.at_s(), 1_002, "it went backwards while nobody ran");
    }
}
