//! Which share of the host's processor time the programs take.

use crate::model::Reading;

/// Less time says nothing.
const SHORTEST_NS: u64 = 100_000_000;

/// Compares readings.
#[derive(Debug, Default)]
pub(in super::super) struct Meter {
    last: Point,
    /// Nanoseconds a run in the interval before.
    before: Option<f64>,
}

/// All programs, at one reading.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    at_ns: u64,
    runs: u64,
    busy_ns: u64,
}

impl Point {
    fn of(reading: &Reading) -> Self {
        let all = reading.programs.iter();
        let (runs, busy_ns) = all.fold((0, 0), |(runs, busy_ns): (u64, u64), it| {
            (
                runs.saturating_add(it.runs),
                busy_ns.saturating_add(it.busy_ns),
            )
        });
        Self {
            at_ns: reading.duration_ns,
            runs,
            busy_ns,
        }
    }
}

impl Meter {
    /// Begins anew at this reading: what a run takes is another time from now on.
    pub(in super::super) fn begin(&mut self, reading: &Reading) {
        self.last = Point::of(reading);
        self.before = None;
    }

    /// Forgets what a run takes: it is another time from now on.
    pub(in super::super) fn forget_pace(&mut self) {
        self.before = None;
    }

    /// Programs that are attached now have done nothing yet.
    pub(in super::super) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// The share of so many processors' time since the last reading; none of too short a time.
    ///
    /// Runs are counted, and few are timed: one that was interrupted in the middle speaks for a
    /// thousand. So a run is taken to last as long as in the shorter one of two intervals.
    pub(in super::super) fn used(&mut self, reading: &Reading, processors: usize) -> Option<f64> {
        let now = Point::of(reading);
        let time_ns = now.at_ns.checked_sub(self.last.at_ns)?;
        if time_ns < SHORTEST_NS {
            return None;
        }
        let last = std::mem::replace(&mut self.last, now);
        let runs = now.runs.saturating_sub(last.runs) as f64;
        if runs == 0.0 {
            return Some(0.0);
        }
        let a_run = now.busy_ns.saturating_sub(last.busy_ns) as f64 / runs;
        let shorter = self.before.replace(a_run).unwrap_or(a_run).min(a_run);
        Some(runs * shorter / (time_ns as f64 * processors.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProgramWork;

    fn reading(second: u64, works: &[(u64, u64)]) -> Reading {
        let programs = works.iter().map(|&(runs, busy_ns)| ProgramWork {
            program: "queue".to_owned(),
            runs,
            busy_ns,
        });
        Reading {
            duration_ns: second * 1_000_000_000,
            programs: programs.collect(),
            ..Reading::default()
        }
    }

    #[track_caller]
    fn check(used: Option<f64>, expected: f64) {
        let used = used.unwrap();
        assert!((used - expected).abs() < 1e-9, "{used} {expected}");
    }

    #[test]
    fn all_programs_share_all_processors() {
        let mut meter = Meter::default();
        check(meter.used(&reading(1, &[(0, 0), (5, 400)]), 4), 1e-7);
        let later = reading(3, &[(1_000_000, 60_000_000), (1_000_005, 100_000_400)]);
        check(meter.used(&later, 4), 0.02);
        check(meter.used(&reading(4, &[(1_000_000, 60_000_000)]), 4), 0.0);
        check(meter.used(&reading(5, &[]), 4), 0.0);
    }

    #[test]
    fn one_interrupted_run_is_no_work() {
        let mut meter = Meter::default();
        meter.begin(&reading(0, &[(0, 0)]));
        check(meter.used(&reading(1, &[(100_000, 10_000_000)]), 1), 0.01);
        let interrupted = reading(2, &[(200_000, 2_020_000_000)]);
        check(meter.used(&interrupted, 1), 0.01);
        let after = reading(3, &[(300_000, 2_030_000_000)]);
        check(meter.used(&after, 1), 0.01);
    }

    #[test]
    fn a_reading_from_before_says_nothing() {
        let mut meter = Meter::default();
        meter.begin(&reading(5, &[(10, 1_000)]));
        assert_eq!(meter.used(&reading(4, &[(0, 0)]), 1), None);
    }
}
