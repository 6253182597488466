//! Arguments and the configuration file as one configuration; arguments win.

use std::path::PathBuf;

use crate::cli;
use crate::config::value::SocketPath;
use crate::config::{Config, Error};
use crate::store::Settings as Journal;

/// How often `-v` stands there before the kernel half's own log is shown.
const KERNEL_LOG: u8 = 2;

/// The configuration that `tracer run` follows.
pub(super) fn agent(arguments: &cli::Run, verbose: u8) -> Result<Config, Error> {
    let mut config = Config::load(arguments.config.as_deref())?;
    let agent = &mut config.agent;
    replace(&mut agent.listen, arguments.listen.as_ref());
    replace_some(&mut agent.web_config, arguments.web_config.as_ref());
    replace(&mut agent.socket, arguments.socket.as_ref());
    replace(&mut agent.max_cpu, arguments.max_cpu.as_ref());
    state_directory(&mut config.journal, arguments.state_directory.as_ref());
    let agent = &mut config.agent;
    agent.insecure_listen |= arguments.insecure_listen;
    config.alerts.shadow |= arguments.shadow;
    config.settings.fine |= arguments.fine;
    config.settings.kernel_log = verbose >= KERNEL_LOG;
    Ok(config)
}

/// What `tracer` without a command and `tracer why` follow.
pub(super) fn verdict(arguments: &cli::Verdict, verbose: u8) -> Result<Config, Error> {
    let mut config = Config::load(arguments.config.as_deref())?;
    replace(&mut config.agent.socket, arguments.socket.as_ref());
    replace(&mut config.duration, arguments.duration.as_ref());
    config.settings.kernel_log = verbose >= KERNEL_LOG;
    Ok(config)
}

/// The socket of the agent that is asked for changes, and the journal's folder.
pub(super) fn changes(arguments: &cli::Changes) -> Result<Config, Error> {
    let mut config = Config::load(arguments.config.as_deref())?;
    replace(&mut config.agent.socket, arguments.socket.as_ref());
    state_directory(&mut config.journal, arguments.state_directory.as_ref());
    Ok(config)
}

/// The socket of the agent that is asked how old routes are, and the journal's folder.
pub(super) fn blame(arguments: &cli::Blame) -> Result<Config, Error> {
    let mut config = Config::load(arguments.config.as_deref())?;
    replace(&mut config.agent.socket, arguments.socket.as_ref());
    state_directory(&mut config.journal, arguments.state_directory.as_ref());
    Ok(config)
}

/// The socket of the agent that is asked for incidents, and the folder that they are kept in.
pub(super) fn incidents(arguments: &cli::Incidents) -> Result<Config, Error> {
    let mut config = Config::load(arguments.config.as_deref())?;
    replace(&mut config.agent.socket, arguments.socket.as_ref());
    state_directory(&mut config.journal, arguments.state_directory.as_ref());
    Ok(config)
}

fn state_directory(journal: &mut Option<Journal>, given: Option<&SocketPath>) {
    let Some(directory) = given else {
        return;
    };
    let max_size = journal
        .as_ref()
        .map_or(Journal::default().max_size, |it| it.max_size);
    *journal = directory.clone().map(|directory| Journal {
        directory,
        max_size,
    });
}

/// The socket of the agent that `tracer off` ends; none where the agent has none.
pub(super) fn off(arguments: &cli::Off) -> Result<Option<PathBuf>, Error> {
    let mut socket = Config::load(arguments.config.as_deref())?.agent.socket;
    replace(&mut socket, arguments.socket.as_ref());
    Ok(socket)
}

/// The configuration that a run of `tracer routes` follows.
pub(super) fn configure(arguments: &cli::Routes, verbose: u8) -> Result<Config, Error> {
    let mut config = Config::load(arguments.config.as_deref())?;
    let settings = &mut config.settings;
    let (filter, given) = (&mut settings.filter, &arguments.filter);

    replace(&mut config.duration, arguments.duration.as_ref());
    replace_some(&mut filter.namespace, given.netns.as_ref());
    replace_some(&mut filter.device, given.device.as_ref());
    replace_some(&mut filter.prefix, given.prefix.as_ref());
    replace_some(&mut filter.protocol, given.protocol.as_ref());
    replace_some(&mut filter.port, given.port.as_ref());
    settings.fine |= arguments.fine;
    settings.passages = arguments.passages.is_some();
    settings.kernel_log = verbose >= KERNEL_LOG;
    Ok(config)
}

fn replace<T: Clone>(value: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        value.clone_from(given);
    }
}

fn replace_some<T: Clone>(value: &mut Option<T>, given: Option<&T>) {
    if given.is_some() {
        *value = given.cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use std::time::Duration;

    fn configured(arguments: &str) -> Config {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tracer.example.toml");
        let words = ["tracer", "routes", "--config", example];
        let words = words.into_iter().chain(arguments.split_whitespace());
        let cli = Cli::try_parse_from(words).expect("arguments");
        let Some(Command::Routes(routes)) = cli.command else {
            panic!("these are arguments of routes");
        };
        configure(&routes, cli.verbose).expect("a configuration")
    }

    #[test]
    fn without_arguments_the_file_holds() {
        assert_eq!(configured(""), Config::default());
    }

    #[test]
    fn every_argument_wins_over_the_file() {
        let config = configured(
            "--duration 500ms --netns a --device b --prefix 10.0.0.0/8 --protocol udp --port 53 \
             --passages c --fine -vv",
        );
        let settings = config.settings;
        assert_eq!(config.duration, Duration::from_millis(500));
        assert_eq!(settings.filter.namespace.as_deref(), Some("a"));
        assert_eq!(settings.filter.device.as_deref(), Some("b"));
        assert_eq!(settings.filter.prefix, "10.0.0.0/8".parse().ok());
        assert_eq!(settings.filter.protocol, Some(crate::model::Protocol::Udp));
        assert_eq!(settings.filter.port, Some(53));
        assert!(settings.passages && settings.fine && settings.kernel_log);
    }
}
