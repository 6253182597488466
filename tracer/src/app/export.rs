//! `tracer export`: what monitoring is given to begin with.

use std::process::ExitCode;

use super::{Failure, screen};
use crate::cli;
use crate::sink::export;

pub(super) fn run(what: cli::Export) -> Result<ExitCode, Failure> {
    screen::show(match what {
        cli::Export::Rules => export::RULES,
        cli::Export::Dashboard => export::DASHBOARD,
    })?;
    Ok(ExitCode::SUCCESS)
}
