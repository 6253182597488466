//! `tracer run`: the agent, with the configuration and the source that the arguments name.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::Builder;

use super::agent::{self, Given};
use super::{Failure, configure};
use crate::cli;
use crate::config::Config;
use crate::source::{Source, live::Live, replay::Replay};

/// Threads that answer requests; pages are made on others.
const ANSWERING: usize = 2;

/// Threads that make pages and check passwords.
const MAKING: usize = 4;

pub(super) fn run(arguments: &cli::Run, verbose: u8) -> Result<ExitCode, Failure> {
    let given = arguments.clone();
    let files = arguments.config.iter().chain(&arguments.replay);
    let prepared = agent::prepare(Given {
        files: files.cloned().collect(),
        traces: arguments.replay.is_none(),
        config: Box::new(move || Ok(configure::agent(&given, verbose)?)),
        open: opener(arguments.replay.clone()),
    })?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(ANSWERING)
        .max_blocking_threads(MAKING)
        .enable_all()
        .build()
        .map_err(|cause| Failure::System {
            doing: "start the agent".to_owned(),
            cause,
            advice: "again",
        })?;
    let done = runtime.block_on(agent::run(prepared));
    // A page that is being made, or a client that takes none, keeps nobody waiting.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

/// What opens the source: the kernel, or the recording.
fn opener(replay: Option<PathBuf>) -> agent::OpenFor {
    Box::new(move |config: &Config, listen| {
        let (settings, replay) = (config.settings.clone(), replay.clone());
        Box::new(move || {
            Ok(match &replay {
                Some(path) => Box::new(Replay::open(path)?) as Box<dyn Source>,
                None => Box::new(Live::open_telling(&settings, Some(listen()))?),
            })
        })
    })
}
