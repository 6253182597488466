//! `tracer doctor`: whether tracing can work here.

use std::process::ExitCode;

use super::{Failure, screen};
use crate::cli;
use crate::model::reading;
use crate::sink::{doctor_json, doctor_text};
use crate::source::live;

pub(super) fn run(arguments: &cli::Doctor) -> Result<ExitCode, Failure> {
    let rows = live::doctor::examine();
    screen::show(&if arguments.json {
        doctor_json::to_text(&rows)
    } else {
        doctor_text::to_text(&rows, screen::look())
    })?;
    Ok(if reading::works(&rows) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
