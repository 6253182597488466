//! What the programs cost: how often they ran, and for how long.

use tracer_common::hop::{PROGRAMS, row};
use tracer_common::layout::{Run, Work};

use super::memory::Array;
use crate::model::ProgramWork;

/// Each program's work on all CPUs, of those that ran.
pub(super) fn done(memory: &Array<Run>) -> Vec<ProgramWork> {
    let mut works = [Work::default(); PROGRAMS];
    for run in (0..memory.len()).filter_map(|cpu| memory.get(cpu)) {
        for (all, of_cpu) in works.iter_mut().zip(run.work) {
            *all = sum(*all, of_cpu);
        }
    }
    let all = works.iter().enumerate();
    let ran = all.filter(|(_, work)| work.runs > 0);
    ran.map(|(number, work)| ProgramWork {
        program: row(number).program.to_owned(),
        runs: work.runs,
        busy_ns: busy_ns(work),
    })
    .collect()
}

fn sum(one: Work, other: Work) -> Work {
    Work {
        runs: one.runs + other.runs,
        timed: one.timed + other.timed,
        timed_ns: one.timed_ns + other.timed_ns,
    }
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
