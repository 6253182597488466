//! What the programs cost: how often they ran, and for how long.

use tracer_common::hop::place;
use tracer_common::layout::Work;

use super::finer;
use super::memory::Array;
use crate::model::ProgramWork;

/// Each program's work on all CPUs, of those that ran; the finer hops' too where there is room for
/// them.
pub(super) fn done(memory: &Array<Work>, fine: bool) -> Vec<ProgramWork> {
    let programs = finer::probes(fine).count();
    let cpus = (memory.len() / programs) as u32;
    let ran = finer::probes(fine).enumerate().map(|(number, probe)| {
        let of_cpu = |cpu| memory.get(place(number as u32, cpu, cpus) as usize);
        (probe, sum((0..cpus).filter_map(of_cpu)))
    });
    let ran = ran.filter(|(_, work)| work.runs > 0);
    ran.map(|(probe, work)| ProgramWork {
        program: probe.program.to_owned(),
        runs: work.runs,
        busy_ns: busy_ns(&work),
    })
    .collect()
}

fn sum(works: impl Iterator<Item = Work>) -> Work {
    works.fold(Work::default(), |sum, work| Work {
        runs: sum.runs + work.runs,
        timed: sum.timed + work.timed,
        timed_ns: sum.timed_ns + work.timed_ns,
    })
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
