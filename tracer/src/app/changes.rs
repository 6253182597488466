//! `tracer changes`: the agent is asked, or where none runs, its journal is read.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::agent::now;
use super::{Failure, configure, screen};
use crate::cli;
use crate::model::journal::{Changes, Epochs};
use crate::sink::{changes_json, changes_text};
use crate::store::Store;

/// How long the agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: &cli::Changes) -> Result<ExitCode, Failure> {
    let config = configure::changes(arguments)?;
    let stream = match &config.agent.socket {
        Some(socket) => connect(socket)?,
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

/// The agent's socket; none where no agent listens.
fn connect(socket: &Path) -> Result<Option<UnixStream>, Failure> {
    match UnixStream::connect(socket) {
        Ok(stream) => Ok(Some(stream)),
        Err(cause)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&cause.kind()) =>
        {
            Ok(None)
        }
        Err(cause) => Err(failed(socket, cause)),
    }
}

fn failed(socket: &Path, cause: io::Error) -> Failure {
    Failure::System {
        doing: format!("ask the agent at {}", socket.display()),
        cause,
        advice: "sudo tracer changes",
    }
}

fn ask(mut stream: UnixStream, arguments: &cli::Changes) -> Result<String, Failure> {
    let look = screen::look();
    let form = if arguments.json { "json" } else { "text" };
    let request = format!(
        "GET /api/changes?since={}s&form={form}&width={}&colour={} HTTP/1.0\r\n\r\n",
        arguments.since.as_secs().max(1),
        look.width,
        look.colour
    );
    let mut answer = String::new();
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| stream.read_to_string(&mut answer));
    asked.map_err(|cause| failed(Path::new("its socket"), cause))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).unwrap_or("nothing");
    if code == "200" {
        return Ok(body.to_owned());
    }
    Err(Failure::Refused {
        doing: "ask the agent for changes".to_owned(),
        because: format!("it answers {code} {}", body.trim_end()),
        advice: "to start the agent anew, of this same version".to_owned(),
    })
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
