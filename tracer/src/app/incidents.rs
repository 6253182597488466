//! `tracer incidents`: what is wrong, what was, and what somebody says is normal.

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use super::agent::REVISION;
use super::{Failure, asking, configure, screen};
use crate::cli;
use crate::config::Config;
use crate::model::incident::{Incident, Name};
use crate::sink::{incident_report, incidents_json, incidents_text};
use crate::store::incidents::Incidents;

/// How often it is asked whether anything is new.
const EACH: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &cli::Incidents) -> Result<ExitCode, Failure> {
    let config = configure::incidents(arguments)?;
    if let Some(cli::OfIncidents::Accept { id }) = &arguments.what {
        let path = format!("/api/incidents/{id}/accept");
        let answer = asking::ask(running(&config)?, "POST", &path, Duration::ZERO)?;
        screen::show(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.follow {
        return follow(&config, arguments);
    }
    let text = match connect(&config)? {
        Some(stream) => asking::get(stream, &path(arguments, 0), Duration::ZERO)?,
        None => read(&config, arguments)?,
    };
    match &arguments.report {
        Some(file) => super::write_to(file, &text, "--report")?,
        None => screen::show(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what is new until the agent ends.
fn follow(config: &Config, arguments: &cli::Incidents) -> Result<ExitCode, Failure> {
    let mut revision = 0;
    loop {
        let answer = asking::ask(
            running(config)?,
            "GET",
            &path(arguments, revision),
            Duration::ZERO,
        )?;
        let last = answer.header(REVISION).and_then(|it| it.parse().ok());
        let last = last.unwrap_or(0);
        if last != revision {
            screen::show(&answer.body)?;
        }
        // Fewer than before: another agent began.
        revision = last;
        sleep(EACH);
    }
}

fn path(arguments: &cli::Incidents, after: u64) -> String {
    let look = screen::look();
    let form = match (&arguments.report, arguments.json) {
        (Some(_), _) => "report",
        (None, true) => "json",
        (None, false) => "text",
    };
    let id = arguments.id.map(|id| format!("&id={id}"));
    format!(
        "/api/incidents?form={form}&width={}&colour={}&after={after}{}",
        look.width,
        look.colour,
        id.unwrap_or_default()
    )
}

fn connect(config: &Config) -> Result<Option<UnixStream>, Failure> {
    match &config.agent.socket {
        Some(socket) => asking::connect(socket),
        None => Ok(None),
    }
}

fn running(config: &Config) -> Result<UnixStream, Failure> {
    connect(config)?.ok_or_else(|| Failure::Refused {
        doing: "ask the agent".to_owned(),
        because: match &config.agent.socket {
            Some(socket) => format!("no agent listens on {}", socket.display()),
            None => "the configuration gives it no socket".to_owned(),
        },
        advice: "to start it (tracer run), or --socket with the path that it was given".to_owned(),
    })
}

/// What the last agent left on disk.
fn read(config: &Config, arguments: &cli::Incidents) -> Result<String, Failure> {
    let Some(journal) = &config.journal else {
        running(config)?;
        return Ok(String::new());
    };
    let mut all = Incidents::past(&journal.directory)?.incidents;
    if let Some(name) = arguments.id {
        all.retain(|it| it.number == name.0);
        if all.is_empty() {
            return Err(no(name));
        }
    }
    eprintln!("tracer: no agent runs; this is what the last one wrote");
    Ok(text(&all, arguments))
}

fn text(all: &[Incident], arguments: &cli::Incidents) -> String {
    if arguments.report.is_some() {
        return all.iter().map(incident_report::to_text).collect();
    }
    if arguments.json {
        return incidents_json::to_text(all, &incidents_json::About::default());
    }
    incidents_text::to_text(all, None, screen::look())
}

fn no(name: Name) -> Failure {
    Failure::Refused {
        doing: format!("find {name}"),
        because: "there is none".to_owned(),
        advice: "tracer incidents, which lists them".to_owned(),
    }
}
