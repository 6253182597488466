//! `tracer changes`: the agent is asked, or where none runs, its journal is read.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::agent::now;
use super::{Failure, asking, configure, screen};
use crate::cli;
use crate::model::journal::{Changes, Epochs};
use crate::sink::{changes_json, changes_text};
use crate::store::Store;

pub(super) fn run(arguments: &cli::Changes) -> Result<ExitCode, Failure> {
    let config = configure::changes(arguments)?;
    let stream = match &config.agent.socket {
        Some(socket) => asking::connect(socket)?,
        None => None,
    };
    let text = match (stream, &config.journal) {
        (Some(stream), _) => ask(stream, arguments)?,
        (None, Some(journal)) => read(&journal.directory, arguments)?,
        (None, None) => {
            return Err(Failure::Refused {
                doing: "find the journal".to_owned(),
                because: "no agent runs, and the configuration keeps it in memory alone".to_owned(),
                advice: "to start the agent".to_owned(),
            });
        }
    };
    screen::show(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn ask(stream: UnixStream, arguments: &cli::Changes) -> Result<String, Failure> {
    let look = screen::look();
    let form = if arguments.json { "json" } else { "text" };
    let path = format!(
        "/api/changes?since={}s&form={form}&width={}&colour={}",
        arguments.since.as_secs().max(1),
        look.width,
        look.colour
    );
    asking::get(stream, &path, Duration::ZERO)
}

fn read(directory: &Path, arguments: &cli::Changes) -> Result<String, Failure> {
    let back = u64::try_from(arguments.since.as_nanos()).unwrap_or(u64::MAX);
    let since = now().saturating_sub(back);
    let (store, past) = Store::past(directory)?;
    let entries = store.entries(since)?;
    let changes = Changes::of(entries, &Epochs::of(past.lives), since);
    Ok(if arguments.json {
        changes_json::to_text(&changes)
    } else {
        changes_text::to_text(&changes, screen::look())
    })
}
