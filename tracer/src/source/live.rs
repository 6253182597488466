//! The running kernel, watched by eBPF programs.

use std::io::Write;

use super::{Error, Settings, Source};
use crate::model::Reading;

/// The programs, attached.
#[derive(Debug)]
pub struct Live;

impl Live {
    /// Loads and attaches the programs.
    ///
    /// # Errors
    /// When a required program can't be loaded or attached.
    pub fn open(_settings: &Settings) -> Result<Self, Error> {
        Err(unavailable())
    }

    /// Writes each packet's timeline, one JSON object a line, from now on; called before the
    /// first reading, and only when [`Settings::passages`] is set.
    pub fn write_passages(&mut self, _to: Box<dyn Write + Send>) {}
}

impl Source for Live {
    fn read(&mut self) -> Result<Reading, Error> {
        Err(unavailable())
    }

    fn finish(self: Box<Self>) -> Result<Reading, Error> {
        Err(unavailable())
    }
}

fn unavailable() -> Error {
    Error::Kernel {
        doing: "trace the running kernel".to_owned(),
        because: "this build has no kernel half".to_owned(),
        advice: "--replay FILE".to_owned(),
    }
}

/// Whether tracing can work here.
pub mod doctor {
    use crate::model::{Availability, State};

    /// Asks the system for everything that tracing needs.
    pub fn examine() -> Vec<Availability> {
        vec![Availability {
            name: "kernel half".to_owned(),
            meaning: "watches the packets".to_owned(),
            state: State::Missing {
                because: "this build has none".to_owned(),
                advice: "build tracer with its kernel half".to_owned(),
            },
        }]
    }
}
