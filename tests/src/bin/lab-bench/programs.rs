//! The programs that the kernel has.

use std::collections::HashSet;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use aya::programs::{ProgramError, ProgramInfo, loaded_programs};

/// All of them; one that others unload while it is listed is not there.
pub(crate) fn loaded() -> impl Iterator<Item = Result<ProgramInfo>> {
    let is_gone = |error: &ProgramError| {
        let ProgramError::SyscallError(error) = error else {
            return false;
        };
        error.io_error.kind() == ErrorKind::NotFound
    };
    loaded_programs()
        .filter(move |program| !program.as_ref().is_err_and(is_gone))
        .map(|program| program.context("list the kernel's programs"))
}

/// Their numbers.
pub(crate) fn ids() -> Result<HashSet<u32>> {
    loaded().map(|program| Ok(program?.id())).collect()
}
