//! The thread that writes the journal to disk, and tries again where it can't.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Journal;
use crate::app::Failure;
use crate::app::agent::incidents::{Docket, Keeper};
use crate::judge;
use crate::model::journal::{Entry, Moment};
use crate::store::{Error, News, Past, Settings, Store};

/// How often what is new is written.
const EACH: Duration = Duration::from_millis(100);

/// How often it is written that the agent is alive, and how the lives of routes went on.
const ALIVE: Duration = Duration::from_secs(10);

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// A question for entries since a moment.
pub(in crate::app::agent) enum Ask {
    Entries(Moment, Sender<Vec<Entry>>),
    End,
}

/// The thread; what is new is written before it ends.
pub(in crate::app::agent) struct Writer {
    asks: Sender<Ask>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the journal on a thread of its own, which does first what it has to begin with, and
    /// writes it from then on. Without settings it is in memory alone.
    pub(in crate::app::agent) fn start(
        settings: Option<Settings>,
        judge: judge::Settings,
        begin: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(Self, Arc<Journal>, Arc<Docket>), Failure> {
        let (asks, heard) = channel();
        let (give, given) = channel();
        let for_journal = asks.clone();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || {
            let outcome = begin();
            let is_good = outcome.is_ok();
            let (store, past, because) = open(settings.as_ref(), is_good);
            let journal = Journal::of(past, settings.as_ref().map(|_| for_journal));
            if let Some(because) = because {
                journal.written(Some(because));
            }
            let (keeper, docket) = Keeper::open(settings.as_ref().filter(|_| is_good), judge);
            // Whoever starts it waits for this.
            let both = (Arc::clone(&journal), docket);
            let _ = give.send(outcome.map(|()| both));
            if let Some(settings) = settings.filter(|_| is_good) {
                write(&journal, store, &settings, keeper, &heard);
            }
        });
        let failed = |cause| Failure::System {
            doing: "start the journal".to_owned(),
            cause,
            advice: "again",
        };
        let thread = Some(thread.map_err(failed)?);
        let gone = |_| Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        let (journal, docket) = given.recv().unwrap_or_else(gone)?;
        Ok((Self { asks, thread }, journal, docket))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.asks.send(Ask::End);
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, the panic was shown.
            let _ = thread.join();
        }
    }
}

/// The entries since a moment that are on disk; none where the writer does not answer.
pub(super) fn entries(writer: &Sender<Ask>, since: Moment) -> Vec<Entry> {
    let (give, entries) = mpsc::channel();
    if writer.send(Ask::Entries(since, give)).is_err() {
        return Vec::new();
    }
    entries
        .recv_timeout(Duration::from_secs(5))
        .unwrap_or_default()
}

/// An agent without its journal is better than none.
fn open(settings: Option<&Settings>, may: bool) -> (Option<Store>, Past, Option<String>) {
    let Some(settings) = settings.filter(|_| may) else {
        return (None, Past::default(), None);
    };
    match Store::open(settings) {
        Ok((store, past, damaged)) => {
            if let Some(damaged) = damaged {
                let aside = settings.directory.join(crate::store::DAMAGED);
                tracing::error!(
                    "{damaged}; it was set aside as {}, and a new one begins",
                    aside.display()
                );
            }
            (Some(store), past, None)
        }
        Err(error) => {
            tracing::error!("{error}; changes are kept in memory alone");
            (None, Past::default(), Some(error.to_string()))
        }
    }
}

fn write(
    journal: &Journal,
    mut store: Option<Store>,
    settings: &Settings,
    mut keeper: Keeper,
    heard: &Receiver<Ask>,
) {
    let boot = crate::store::boot();
    let mut alive = Instant::now().checked_sub(ALIVE).unwrap();
    let mut again = Instant::now() + AGAIN;
    loop {
        let ends = match heard.recv_timeout(EACH) {
            Ok(Ask::Entries(since, give)) => {
                let found = store.as_ref().map(|store| store.entries(since));
                // Who asked may have gone.
                let _ = give.send(found.and_then(Result::ok).unwrap_or_default());
                continue;
            }
            Ok(Ask::End) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        if store.is_none() && (again <= Instant::now() || ends) {
            again = Instant::now() + AGAIN;
            store = reopened(settings);
        }
        let is_due = alive.elapsed() >= ALIVE || ends;
        if let Some(open) = &mut store {
            let news = News {
                boot: boot.clone(),
                ..journal.news(is_due)
            };
            let is_new = is_due || !news.entries.is_empty() || !news.known.is_empty();
            match if is_new { open.write(&news) } else { Ok(()) } {
                Ok(()) => journal.written(None),
                Err(error) => {
                    tracing::error!("{error}; changes are kept in memory until then");
                    journal.written(Some(error.to_string()));
                    store = None;
                    again = Instant::now() + AGAIN;
                }
            }
            if is_due {
                alive = Instant::now();
            }
        }
        keeper.keep(settings, ends);
        if ends {
            return;
        }
    }
}

/// What was written before is known already.
fn reopened(settings: &Settings) -> Option<Store> {
    match Store::open(settings) {
        Ok((store, _, _)) => {
            tracing::info!("the journal is written to disk again");
            Some(store)
        }
        Err(Error::Taken { .. }) => None,
        Err(error) => {
            tracing::debug!("{error}");
            None
        }
    }
}
