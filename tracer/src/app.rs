//! Opens the doors: arguments to configuration to source to report to sink.

pub mod agent;
mod asking;
mod blame;
mod changes;
mod configure;
mod doctor;
mod export;
mod incidents;
mod interrupt;
mod log;
mod off;
mod progress;
mod routes;
mod run;
mod screen;
mod verdict;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::{config, source, store};

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = Cli::parse();
    let does_report = matches!(arguments.command, Some(Command::Run(_)));
    log::start(arguments.verbose + u8::from(does_report));
    let done = match &arguments.command {
        None => verdict::run(&arguments.verdict, None, arguments.verbose),
        Some(Command::Why(why)) => verdict::why(why, arguments.verbose),
        Some(Command::Routes(routes)) => routes::run(routes, arguments.verbose),
        Some(Command::Blame(arguments)) => blame::run(arguments),
        Some(Command::Run(agent)) => run::run(agent, arguments.verbose),
        Some(Command::Changes(changes)) => changes::run(changes),
        Some(Command::Incidents(incidents)) => incidents::run(incidents),
        Some(Command::Export(what)) => export::run(*what),
        Some(Command::Off(off)) => off::run(off),
        Some(Command::Doctor(doctor)) => doctor::run(doctor),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("tracer: {failure}");
        failure.exit_code()
    })
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Configuration(#[from] config::Error),
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    Journal(#[from] store::Error),
    #[error("{doing}: {cause}; try {advice}")]
    System {
        doing: String,
        cause: io::Error,
        advice: &'static str,
    },
    #[error("{doing}: {because}; try {advice}")]
    Refused {
        doing: String,
        because: String,
        advice: String,
    },
}

impl Failure {
    /// 2 for what the user wrote, as clap has it; 1 for the rest.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(2),
            Self::Source(_) | Self::Journal(_) | Self::System { .. } | Self::Refused { .. } => {
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes a text to a file that an argument names.
fn write_to(file: &Path, text: &str, argument: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|cause| Failure::Refused {
        doing: format!("write {}", file.display()),
        because: cause.to_string(),
        advice: format!("{argument} with a file in a folder that you may write to"),
    })
}
