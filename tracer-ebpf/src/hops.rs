//! The probes: each says which packet, at which hop, and hands over.
//!
//! The argument lists are those of the kernel's tracepoints (include/trace/events/); where they
//! differ between versions, it is said beside.

mod device;
mod end;
mod socket;

use crate::journey::Program;
use tracer_common::hop::PROBES;

/// A program's number: its row in the catalogue.
const fn program(name: &str) -> Program {
    let mut row = 0;
    while row < PROBES.len() {
        if is_equal(PROBES[row].program.as_bytes(), name.as_bytes()) {
            return Program(row as u32);
        }
        row += 1;
    }
    panic!("a probe that is not in the catalogue")
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}
