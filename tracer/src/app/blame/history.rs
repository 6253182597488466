//! How old routes are and who set them: the agent is asked, or where none runs, its journal is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::app::agent::now;
use crate::app::asking;
use crate::config::Config;
use crate::model::blame::{Blamed, History, in_journal};
use crate::model::journal::known::{Key, Row};
use crate::model::journal::{Moment, Subject};
use crate::model::network::Network;
use crate::source::mirror;
use crate::store::{self, Store};

/// Fills in what the journal knows. Whatever keeps it from being asked is said there: the rest of the
/// answer needs no journal.
pub(super) fn fill_in(routes: &mut [Blamed], network: &Network, namespace: &Path, config: &Config) {
    let journal = Journal::of(namespace, config);
    for blamed in routes {
        let (subject, state) = in_journal(network, &blamed.route);
        let row = match &journal {
            Ok(journal) => journal.row(subject),
            Err(because) => Err(because.clone()),
        };
        blamed.history = match row {
            Ok((row, until)) => History::of(row.as_ref(), &state, now(), until),
            Err(because) => History::Unknown(because),
        };
    }
}

/// The journal of a namespace.
struct Journal<'a> {
    namespace: String,
    place: Place<'a>,
}

/// Where it is.
enum Place<'a> {
    Agent(&'a Path),
    Disk {
        known: BTreeMap<Key, Row>,
        until: Option<Moment>,
    },
}

impl<'a> Journal<'a> {
    fn of(namespace: &Path, config: &'a Config) -> Result<Self, String> {
        let place = match &config.agent.socket {
            Some(socket) if runs(socket)? => Place::Agent(socket),
            _ => read(config)?,
        };
        let name = mirror::name_of(namespace);
        Ok(Self {
            namespace: name.ok_or("what the journal calls this network namespace is not known")?,
            place,
        })
    }

    /// What it knows of a route, and until when it was written where it is so no more.
    fn row(&self, subject: Subject) -> Result<(Option<Row>, Option<Moment>), String> {
        match &self.place {
            Place::Disk { known, until } => {
                let row = known.get(&(self.namespace.clone(), subject)).cloned();
                Ok((row, *until))
            }
            Place::Agent(socket) => {
                let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
                let (netns, route) = (encoded(&self.namespace), encoded(&subject.name));
                let path = format!("/api/known?netns={netns}&route={route}");
                let row = ask(socket, &path)?;
                Ok((store::row(row.as_bytes()), None))
            }
        }
    }
}

fn runs(socket: &Path) -> Result<bool, String> {
    let stream = asking::connect(socket).map_err(|failure| failure.to_string())?;
    Ok(stream.is_some())
}

fn ask(socket: &Path, path: &str) -> Result<String, String> {
    let stream = asking::connect(socket).map_err(|failure| failure.to_string())?;
    let stream = stream.ok_or("the agent ended meanwhile")?;
    asking::get(stream, path, Duration::ZERO).map_err(|failure| failure.to_string())
}

fn read<'a>(config: &Config) -> Result<Place<'a>, String> {
    let because = "no agent runs, and the configuration keeps the journal in memory alone";
    let journal = config.journal.as_ref().ok_or(because)?;
    let past = Store::past(&journal.directory);
    let (_, mut past) = past.map_err(|cause| format!("no agent runs; {cause}"))?;
    past.forget_makers_before(&store::boot());
    Ok(Place::Disk {
        known: past.known.into_iter().collect(),
        until: past.heard,
    })
}
