//! Keeps incidents on disk, and tries again where it can't.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Docket;
use crate::detect::Habit;
use crate::judge::{self, News, Past, Saved};
use crate::store::incidents::{DAMAGED, IncidentNews, Incidents, Kept};
use crate::store::{Error, Settings};

/// How often what lasts is written, with a part of all streams.
const EACH: Duration = Duration::from_secs(10);

/// A stream that nothing happened to is written once in so many times: every five minutes.
const PART: u64 = 30;

/// Writes what the docket has to keep; without settings nothing.
pub(in crate::app::agent) struct Keeper {
    docket: Arc<Docket>,
    file: Option<Incidents>,
    due: Instant,
}

impl Keeper {
    /// Opens the file, and goes on from what is in it.
    pub(in crate::app::agent) fn open(
        settings: Option<&Settings>,
        judge: judge::Settings,
    ) -> (Self, Arc<Docket>) {
        let (file, kept, because) = open(settings);
        let docket = Arc::new(Docket::of(judge, past(kept)));
        if because.is_some() {
            docket.written(because);
        }
        let keeper = Self {
            docket: Arc::clone(&docket),
            file,
            due: Instant::now() + EACH,
        };
        (keeper, docket)
    }

    /// Writes what there is, if it is time or something happened; at the end, all.
    pub(in crate::app::agent) fn keep(&mut self, settings: &Settings, ends: bool) {
        let is_due = self.due <= Instant::now() || ends;
        if !self.docket.take_urgent() && !is_due {
            return;
        }
        if is_due {
            self.due = Instant::now() + EACH;
        }
        if self.file.is_none() {
            if !is_due {
                return;
            }
            self.file = reopened(settings);
        }
        let Some(file) = &mut self.file else {
            return;
        };
        // What is urgent is the incident; its streams are among those that changed.
        let part = match (ends, is_due) {
            (true, _) => 1,
            (_, true) => PART,
            (_, false) => u64::MAX,
        };
        match file.write(&news(self.docket.news(part))) {
            Ok(()) => self.docket.written(None),
            Err(error) => {
                tracing::error!("{error}; incidents are kept in memory until then");
                self.docket.written(Some(error.to_string()));
                self.file = None;
            }
        }
    }
}

fn open(settings: Option<&Settings>) -> (Option<Incidents>, Kept, Option<String>) {
    let Some(settings) = settings else {
        return (None, Kept::default(), None);
    };
    match Incidents::open(settings) {
        Ok((file, kept, damaged)) => {
            if let Some(damaged) = damaged {
                let aside = settings.directory.join(DAMAGED);
                tracing::error!(
                    "{damaged}; it was set aside as {}, and a new one begins",
                    aside.display()
                );
            }
            (Some(file), kept, None)
        }
        Err(error) => {
            tracing::error!("{error}; incidents are kept in memory alone");
            (None, Kept::default(), Some(error.to_string()))
        }
    }
}

/// What was written before is known already.
fn reopened(settings: &Settings) -> Option<Incidents> {
    match Incidents::open(settings) {
        Ok((file, ..)) => Some(file),
        Err(Error::Taken { .. }) => None,
        Err(error) => {
            tracing::debug!("{error}");
            None
        }
    }
}

fn past(kept: Kept) -> Past {
    let streams = kept.streams.iter();
    Past {
        incidents: kept.incidents,
        streams: streams
            .filter_map(|(key, bytes)| Saved::from_bytes(*key, bytes))
            .collect(),
        clock: kept.clock,
        habit: kept.habit.as_deref().and_then(Habit::from_bytes),
        next: kept.next,
    }
}

fn news(from: News) -> IncidentNews {
    let streams = from.streams.into_iter();
    IncidentNews {
        incidents: from.incidents,
        streams: streams
            .map(|(key, saved)| (key, saved.map(|it| it.to_bytes())))
            .collect(),
        clock: from.clock,
        habit: from.habit.to_bytes(),
        next: from.next,
    }
}
