//! The configuration file, and what is valid in it.

pub mod error;
mod file;
mod keys;
mod locate;
pub mod value;
pub mod web;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

pub use error::Error;

use crate::app::agent::alerts::settings::Settings as Alerts;
use crate::app::agent::settings::Settings as Agent;
use crate::judge::settings::Settings as Incidents;
use crate::sink::prometheus::settings::Settings as Metrics;
use crate::source::Settings;
use crate::store::Settings as Journal;

/// The file that is read where no other is named.
pub const DEFAULT_PATH: &str = "/etc/tracer/tracer.toml";

/// All that is configured, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For how long `tracer routes` traces.
    pub duration: Duration,
    /// Where and to whom the agent serves.
    pub agent: Agent,
    /// How much the agent's page of metrics may hold.
    pub metrics: Metrics,
    /// Where the journal is kept; none where it is in memory alone.
    pub journal: Option<Journal>,
    /// What an incident needs to be worth waking someone.
    pub incidents: Incidents,
    /// Who is told of one.
    pub alerts: Alerts,
    /// What the source is told.
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(10),
            agent: Agent::default(),
            metrics: Metrics::default(),
            journal: Some(Journal::default()),
            incidents: Incidents::default(),
            alerts: Alerts::default(),
            settings: Settings::default(),
        }
    }
}

impl Config {
    /// Reads the named file; else the default one, which need not be there.
    ///
    /// # Errors
    /// When the file can't be read or something in it is wrong.
    pub fn load(named: Option<&Path>) -> Result<Self, Error> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(cause) => Err(Error::Read {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    /// The configuration in a file's text; the path is for messages.
    ///
    /// # Errors
    /// When something in it is wrong: with the line, the key, and what is allowed.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        file::parse(text).map_err(|wrong| locate::error(wrong, text, path))
    }
}

#[cfg(test)]
mod tests;
