//! The agent: it attaches once, reads each second, and answers over HTTP until it is told to end.

pub mod alerts;
mod api;
mod auth;
mod confine;
mod counts;
mod doors;
mod governor;
mod incidents;
mod journal;
mod listen;
pub(super) mod lock;
mod looker;
mod notify;
mod pages;
mod process;
mod reader;
mod rush;
mod serve;
pub mod settings;
mod signals;
mod state;
mod tls;
mod verdict;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) use api::REVISION;
pub(super) use journal::now;
pub use settings::{Budget, Settings};

use tokio::task::JoinSet;

use self::alerts::Alerts;
use self::api::Api;
use self::confine::Places;
use self::doors::{Doors, Plan};
use self::journal::Writer;
use self::listen::make_folder;
use self::reader::Reader;
use self::signals::{Heard, Signals};
use self::state::State;
use self::watch::Open;
use super::Failure;
use crate::config::Config;
use crate::config::web::Web;
use crate::source::live::makers::TellNoted;
use crate::source::{self, heap};

/// How long the reading may take to end; the process ends then in any case.
const LAST_CALL: Duration = Duration::from_millis(800);

/// How often room that nobody needs any more is given back.
const TIDY: Duration = Duration::from_secs(5);

/// Where configurations and sources come from.
pub(super) struct Given {
    /// Reads the configuration, anew each time.
    pub(super) config: Box<dyn Fn() -> Result<Config, Failure> + Send>,
    /// What opens the source.
    pub(super) open: OpenFor,
    /// Whether that source traces, which takes rights.
    pub(super) traces: bool,
    /// Files that the arguments name.
    pub(super) files: Vec<PathBuf>,
}

/// What opens the source that a configuration asks for.
pub(super) type OpenFor = Box<dyn Fn(&Config, Listen) -> Open + Send>;

/// Makes what a source tells of changes, for each source anew.
pub(super) type Listen = Box<dyn Fn() -> TellNoted + Send>;

/// The agent, before it serves: its reader runs, and this thread has given up all else.
pub(super) struct Prepared {
    given: Given,
    config: Config,
    state: Arc<State>,
    reader: Reader,
    writer: Writer,
    alerts: Alerts,
}

/// The agent, at work.
struct Agent {
    given: Given,
    config: Config,
    state: Arc<State>,
    api: Arc<Api>,
    /// Ends with the agent.
    _looker: JoinSet<()>,
    doors: Doors,
    reader: Reader,
    writer: Writer,
    alerts: Alerts,
}

/// Reads the configuration, starts the reader, and gives up every right that serving can do without.
///
/// Threads inherit what this one has: it is called before there are any.
pub(super) fn prepare(given: Given) -> Result<Prepared, Failure> {
    heap::return_large_blocks();
    let config = (given.config)()?;
    let places = Places::of(&config.agent, &web(&config)?, &given.files);
    config.agent.socket.as_deref().map_or(Ok(()), make_folder)?;
    let kept = config.journal.clone();
    let folder = kept.as_ref().map(|kept| kept.directory.clone());
    let (writer, journal, docket) =
        Writer::start(kept, config.incidents, move || confine::writer(folder))?;
    let for_alerts = config.alerts.clone();
    let alerts = Alerts::start(config.alerts.clone(), Arc::clone(&docket), move || {
        confine::sender(&for_alerts)
    })?;
    let state = Arc::new(State::new(config.metrics, journal, docket));
    let (for_reader, traces) = (places.clone(), given.traces);
    let reader = Reader::start(Arc::clone(&state), move || {
        confine::reader(&for_reader, traces)
    })?;
    confine::servers(&places)?;
    Ok(Prepared {
        given,
        config,
        state,
        reader,
        writer,
        alerts,
    })
}

/// Works until a signal says to end.
pub(super) async fn run(prepared: Prepared) -> Result<(), Failure> {
    let began = now();
    let mut signals = Signals::hear()?;
    let mut agent = Agent::start(prepared).await?;
    agent.reader.govern(agent.config.agent.max_cpu);
    let open = agent.open_for(&agent.config);
    let opened = tokio::select! {
        opened = agent.reader.open(open) => Some(opened),
        () = signals.end() => None,
    };
    match opened {
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(())) => agent.work(&mut signals).await,
        None => {}
    }
    notify::stopping();
    let Agent {
        doors,
        reader,
        writer,
        alerts,
        ..
    } = agent;
    drop(doors);
    reader.stop(LAST_CALL).await;
    list(alerts.withheld(began).as_deref());
    // What the last reading counted is written too.
    drop(writer);
    Ok(())
}

impl Agent {
    async fn start(prepared: Prepared) -> Result<Self, Failure> {
        let Prepared {
            given,
            config,
            state,
            reader,
            writer,
            alerts,
        } = prepared;
        let api = Api::new(Arc::clone(&state), reader.look());
        let doors = Doors::open(plan(&config, &api, &state)?).await?;
        let mut looker = JoinSet::new();
        looker.spawn(looker::run(Arc::clone(&api)));
        Ok(Self {
            given,
            config,
            state,
            api,
            _looker: looker,
            doors,
            reader,
            writer,
            alerts,
        })
    }

    async fn work(&mut self, signals: &mut Signals) {
        notify::ready();
        loop {
            tokio::select! {
                heard = signals.next() => match heard {
                    Heard::End => return,
                    Heard::Reload => tokio::select! {
                        () = self.reload() => {}
                        () = signals.end() => return,
                    },
                },
                () = tokio::time::sleep(TIDY) => self.api.tidy(),
            }
        }
    }

    /// Follows the configuration as it is now; where it is wrong, the one before.
    async fn reload(&mut self) {
        notify::reloading();
        let done = self.follow().await;
        match &done {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(failure) => tracing::error!("{failure}; the configuration before it goes on"),
        }
        self.state.reloaded(done.is_ok());
        notify::ready();
    }

    /// Does first what can fail without a trace, and last what can't fail.
    async fn follow(&mut self) -> Result<(), Failure> {
        let config = (self.given.config)()?;
        let plan = plan(&config, &self.api, &self.state)?;
        self.doors.change(plan).await?;
        let attached = self.attach(&config).await;
        if attached.is_err() {
            let before = self::plan(&self.config, &self.api, &self.state)?;
            self.doors.change(before).await?;
        }
        attached?;
        self.state.set(config.metrics);
        self.state.docket.set(config.incidents);
        self.alerts.set(config.alerts.clone());
        self.reader.govern(config.agent.max_cpu);
        self.config = config;
        Ok(())
    }

    /// What opens the source, which tells the journal.
    fn open_for(&self, config: &Config) -> Open {
        let journal = Arc::clone(&self.state.journal);
        (self.given.open)(config, Box::new(move || journal.listener()))
    }

    /// Attaches anew where the source is told something else than before.
    async fn attach(&self, config: &Config) -> Result<(), source::Error> {
        if config.settings == self.config.settings {
            return Ok(());
        }
        self.reader.open(self.open_for(config)).await
    }
}

/// What would have been sent, where nobody was told.
fn list(withheld: Option<&[String]>) {
    match withheld {
        None => {}
        Some([]) => eprintln!("shadow: no alert would have been sent"),
        Some(all) => {
            eprintln!("shadow: would have sent");
            for line in all {
                eprintln!("  {line}");
            }
        }
    }
}

fn plan(config: &Config, api: &Arc<Api>, state: &State) -> Result<Plan, Failure> {
    Plan::new(&config.agent, web(config)?, api, &state.counts)
}

fn web(config: &Config) -> Result<Web, Failure> {
    let file = config.agent.web_config.as_deref();
    Ok(file.map(Web::load).transpose()?.unwrap_or_default())
}
