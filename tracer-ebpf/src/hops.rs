//! The probes: each says which packet, at which hop, and hands over.
//!
//! The argument lists are those of the kernel's tracepoints (include/trace/events/); where they
//! differ between versions, it is said beside.

mod connection;
mod device;
mod end;
mod finer;
mod socket;

use core::hint::cold_path;

use tracer_common::{
    hop::{self, PROGRAMS},
    layout::RUNS_A_TIMING,
};

use crate::{
    journey::{Place, Program},
    kernel,
};

/// A program's number: its row in the catalogue.
const fn program(name: &str) -> Program {
    let mut row = 0;
    while row < PROGRAMS {
        if is_equal(hop::row(row).program.as_bytes(), name.as_bytes()) {
            return Program(row as u32);
        }
        row += 1;
    }
    panic!("a probe that is not in the catalogue")
}

/// A run of a program: counted, and timed if it is one of those that are.
struct Work {
    place: Place,
    /// When it began; 0 for a run that is not timed.
    since: u64,
}

impl Work {
    #[inline(always)]
    fn begin(program: Program) -> Option<Self> {
        let place = Place::of(program)?;
        let work = place.work();
        work.runs = work.runs.wrapping_add(1);
        let since = if work.runs % RUNS_A_TIMING == 0 {
            cold_path();
            kernel::now()
        } else {
            0
        };
        Some(Self { place, since })
    }

    /// Ends it; the answer is the program's, which nobody reads.
    #[inline(always)]
    fn end(self) -> i32 {
        if self.since != 0 {
            cold_path();
            let work = self.place.work();
            work.timed = work.timed.wrapping_add(1);
            let took = kernel::now().wrapping_sub(self.since);
            work.timed_ns = work.timed_ns.wrapping_add(took);
        }
        0
    }
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}
