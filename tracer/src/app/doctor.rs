//! `tracer doctor`: whether tracing can work here, and what the tracer can do.

use std::process::ExitCode;

use super::{Failure, screen};
use crate::cli;
use crate::model::reading;
use crate::sink::{doctor_json, doctor_text, object_json, object_text};
use crate::source::live;

pub(super) fn run(arguments: &cli::Doctor) -> Result<ExitCode, Failure> {
    if arguments.verify {
        let object = live::object::contents()?;
        screen::show(&if arguments.json {
            object_json::to_text(&object)
        } else {
            object_text::to_text(&object)
        })?;
        return Ok(ExitCode::SUCCESS);
    }
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
