//! What the programs cost: how often they ran, and for how long.

use tracer_common::hop::PROBES;
use tracer_common::layout::Work;

use super::memory::Array;
use crate::model::ProgramWork;

/// Each program's work on all CPUs, of those that ran.
pub(super) fn done(memory: &Array<Work>) -> Vec<ProgramWork> {
    let mut sums = [Work::default(); PROBES.len()];
    // A CPU's programs stand one after the other.
    for (place, work) in memory.iter().enumerate() {
        let sum = &mut sums[place % PROBES.len()];
        sum.runs += work.runs;
        sum.timed += work.timed;
        sum.timed_ns += work.timed_ns;
    }
    let ran = PROBES.iter().zip(sums).filter(|(_, work)| work.runs > 0);
    ran.map(|(probe, work)| ProgramWork {
        program: probe.program.to_owned(),
        runs: work.runs,
        busy_ns: busy_ns(&work),
    })
    .collect()
}

/// The time of all runs, when the timed ones are like the others; 0 until one was timed.
fn busy_ns(work: &Work) -> u64 {
    let all = u128::from(work.timed_ns) * u128::from(work.runs);
    all.checked_div(u128::from(work.timed))
        .and_then(|ns| u64::try_from(ns).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_runs_are_like_those_that_were_timed() {
        let work = Work {
            runs: 10_240,
            timed: 10,
            timed_ns: 1_000,
        };
        assert_eq!(busy_ns(&work), 1_024_000);
        assert_eq!(busy_ns(&Work { timed: 0, ..work }), 0);
    }
}
