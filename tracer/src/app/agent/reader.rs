//! The thread that reads the source each second, and does what it is asked to in between.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Budget;
use super::journal::{Cut, REST};
use super::state::State;
use super::watch::{Open, Watch};
use crate::app::Failure;
use crate::model::Reading;
use crate::source::Error;

/// How often the source is read.
const EACH: Duration = Duration::from_secs(1);

/// For how long packets after a change are counted apart, by either way.
const DURING: Duration = Duration::from_millis(100);

type Done = oneshot::Sender<Result<(), Error>>;

/// What the thread is asked for.
pub(super) enum Order {
    /// Another source.
    Open(Open, Done),
    /// Another budget for the programs.
    Govern(Option<Budget>),
    /// A reading, now.
    Look(oneshot::Sender<Arc<Reading>>),
    /// Something changed that concerns routes.
    Cut(Cut),
}

/// The thread that reads; it ends when this is dropped.
pub(super) struct Reader {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

/// Asks the reader for readings, for as long as it lives.
#[derive(Clone)]
pub(super) struct Look(mpsc::WeakUnboundedSender<Order>);

impl Look {
    /// What is known now; none where there is no source, or it can't be read.
    pub(super) async fn now(&self) -> Option<Arc<Reading>> {
        let (give, reading) = oneshot::channel();
        self.0.upgrade()?.send(Order::Look(give)).ok()?;
        reading.await.ok()
    }
}

impl Reader {
    /// Starts the thread, which does what it has to begin with, and has no source yet.
    pub(super) fn start(
        state: Arc<State>,
        begin: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Failure::System {
                doing: "start reading".to_owned(),
                cause,
                advice: "again",
            })?;
        let (orders, heard) = mpsc::unbounded_channel();
        let (tell, told) = std::sync::mpsc::channel();
        let journal = Arc::clone(&state.journal);
        let thread = thread::spawn(move || {
            let beginning = begin();
            let is_good = beginning.is_ok();
            // Whoever starts it waits for this.
            let _ = tell.send(beginning);
            if is_good {
                runtime.block_on(read(heard, &state));
            }
        });
        told.recv().unwrap_or_else(|_| Err(gone().into()))?;
        journal.ask(&orders);
        Ok(Self { orders, thread })
    }

    /// Opens a source and reads it from now on, in place of the one before.
    ///
    /// # Errors
    /// When it can't be opened or read; the one before goes on then.
    pub(super) async fn open(&self, open: Open) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        // The thread lives as long as this; should it have panicked, nobody answers.
        let _ = self.orders.send(Order::Open(open, done));
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Keeps the programs within this budget from now on.
    pub(super) fn govern(&self, budget: Option<Budget>) {
        // A thread that has panicked needs no budget.
        let _ = self.orders.send(Order::Govern(budget));
    }

    /// What asks for readings beside those of each second.
    pub(super) fn look(&self) -> Look {
        Look(self.orders.downgrade())
    }

    /// Ends the reading and detaches; waits so long at most.
    pub(super) async fn stop(self, longest: Duration) {
        drop(self.orders);
        let end = tokio::time::Instant::now() + longest;
        while !self.thread.is_finished() && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn gone() -> Error {
    Error::Kernel {
        doing: "read".to_owned(),
        because: "the reading thread is gone".to_owned(),
        advice: "to start the agent again".to_owned(),
    }
}

async fn read(mut orders: mpsc::UnboundedReceiver<Order>, state: &State) {
    let mut watch = Watch::new(state);
    let mut cuts = Cuts::default();
    let mut each = interval(EACH);
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Whoever asked may have gone meanwhile.
            order = orders.recv() => match order {
                None => return,
                Some(Order::Open(open, done)) => {
                    let _ = done.send(watch.open(open));
                    each.reset_immediately();
                }
                Some(Order::Govern(budget)) => watch.govern(budget),
                Some(Order::Look(give)) => {
                    if let Some(reading) = watch.look() {
                        let _ = give.send(reading);
                    }
                }
                Some(Order::Cut(cut)) => cuts.begin(cut, &mut watch, state),
            },
            () = cuts.due() => cuts.step(&mut watch, state),
            _ = each.tick() => watch.next(EACH),
        }
    }
}

/// Changes that are going on, and those that have to wait.
#[derive(Default)]
struct Cuts {
    /// When those that are going on are over.
    ends: Option<Instant>,
    /// Changes that came while there was no cut.
    waiting: Vec<Cut>,
    /// No cut before.
    rests: Option<Instant>,
}

impl Cuts {
    /// A reading parts what was before a change from what comes after.
    fn begin(&mut self, cut: Cut, watch: &mut Watch<'_>, state: &State) {
        self.waiting.push(cut);
        if self.rests.is_none_or(|until| until <= Instant::now()) {
            self.cut(watch, state);
        }
    }

    fn cut(&mut self, watch: &mut Watch<'_>, state: &State) {
        self.read(watch);
        for cut in self.waiting.drain(..) {
            state.journal.begin_change(&cut);
        }
        self.ends = Some(Instant::now() + DURING);
    }

    /// A reading; the longer it takes, the longer there is none.
    fn read(&mut self, watch: &mut Watch<'_>) {
        let start = Instant::now();
        watch.look();
        self.rests = Some(Instant::now() + start.elapsed() * REST);
    }

    /// Waits until there is something to do.
    async fn due(&self) {
        let waits = !self.waiting.is_empty();
        let ends = self.ends.into_iter();
        let rests = self.rests.filter(|_| waits).into_iter();
        match ends.chain(rests).min() {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    fn step(&mut self, watch: &mut Watch<'_>, state: &State) {
        let now = Instant::now();
        if self.ends.is_some_and(|ends| ends <= now) {
            self.ends = None;
            self.read(watch);
            state.journal.end_changes();
        }
        let rested = self.rests.is_none_or(|until| until <= now);
        if !self.waiting.is_empty() && rested {
            self.cut(watch, state);
        }
    }
}
