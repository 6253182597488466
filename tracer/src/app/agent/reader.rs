//! Reads the source each second, on a thread of its own, and exchanges it for another.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::notify;
use super::state::State;
use crate::app::Failure;
use crate::model::Reading;
use crate::source::{Error, Source};

/// How often the source is read.
const EACH: Duration = Duration::from_secs(1);

/// Opens a source; called on the reader's thread.
pub(super) type Open = Box<dyn FnOnce() -> Result<Box<dyn Source>, Error> + Send>;

type Done = oneshot::Sender<Result<(), Error>>;

/// What the thread is asked for.
enum Order {
    /// Another source.
    Open(Open, Done),
    /// A reading, now.
    Look(oneshot::Sender<Arc<Reading>>),
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
    let mut source: Option<Box<dyn Source>> = None;
    let mut each = interval(EACH);
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Whoever asked may have gone meanwhile.
            order = orders.recv() => match order {
                None => return,
                Some(Order::Open(open, done)) => {
                    let _ = done.send(exchange(&mut source, open, state));
                    each.reset_immediately();
                }
                Some(Order::Look(give)) => {
                    let source = source.as_mut();
                    if let Some(reading) = source.and_then(|it| read_once(it.as_mut(), state)) {
                        let _ = give.send(reading);
                    }
                }
            },
            _ = each.tick() => if let Some(source) = &mut source {
                read_once(source.as_mut(), state);
            },
        }
    }
}

fn read_once(source: &mut dyn Source, state: &State) -> Option<Arc<Reading>> {
    let start = Instant::now();
    match source.read() {
        Ok(reading) => {
            state.read(&reading, start.elapsed());
            notify::alive();
            Some(reading)
        }
        Err(error) => {
            tracing::error!("{error}");
            state.reading_failed();
            None
        }
    }
}

/// Opens a new source, and then finishes the old one, so that no packet goes by both.
///
/// Both see what comes between: what the new one counted until then is not counted again.
fn exchange(source: &mut Option<Box<dyn Source>>, open: Open, state: &State) -> Result<(), Error> {
    let mut new = open()?;
    if let Some(old) = source.take() {
        // The first reading looks up every name; the second is quick, and the old one ends right
        // after it.
        let until_now = match new.read().and_then(|_| new.read()) {
            Ok(reading) => reading,
            Err(error) => {
                *source = Some(old);
                return Err(error);
            }
        };
        let start = Instant::now();
        match old.finish() {
            Ok(last) => state.read(&last, start.elapsed()),
            Err(error) => {
                tracing::error!("{error}");
                state.reading_failed();
            }
        }
        state.go_on_from(&until_now);
    }
    state.attached();
    *source = Some(new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use crate::sink::prometheus::{Form, Settings, to_bytes};

    /// Has counted so many packets at every node of the lab, and as many more each time.
    struct Growing {
        packets: u64,
        each: u64,
    }

    impl Source for Growing {
        fn read(&mut self) -> Result<Arc<Reading>, Error> {
            let mut reading = example::lab();
            for node in &mut reading.nodes {
                node.packets = self.packets;
                node.born = 0;
            }
            self.packets += self.each;
            Ok(Arc::new(reading))
        }

        fn finish(mut self: Box<Self>) -> Result<Reading, Error> {
            self.read().map(Arc::unwrap_or_clone)
        }
    }

    fn packets(state: &State) -> Vec<u64> {
        let text = String::from_utf8(to_bytes(&state.page(), Form::OpenMetrics)).unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("tracer_packets_total{"));
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect()
    }

    #[test]
    fn another_source_goes_on_where_the_first_one_ended() {
        let state = State::new(Settings::default());
        let mut source = None;
        let open = |packets, each| -> Open {
            Box::new(move || Ok(Box::new(Growing { packets, each }) as Box<dyn Source>))
        };
        exchange(&mut source, open(100, 10), &state).unwrap();
        read_once(source.as_mut().unwrap().as_mut(), &state);
        assert!(packets(&state).iter().all(|&n| n == 100));
        // The first one ends at 110; the second has seen 7 of them by then, and sees 1 more.
        exchange(&mut source, open(6, 1), &state).unwrap();
        assert!(packets(&state).iter().all(|&n| n == 110));
        read_once(source.as_mut().unwrap().as_mut(), &state);
        assert!(packets(&state).iter().all(|&n| n == 111));
    }

    #[test]
    fn a_source_that_does_not_open_leaves_the_one_before() {
        let state = State::new(Settings::default());
        let mut source: Option<Box<dyn Source>> = Some(Box::new(Growing {
            packets: 1,
            each: 1,
        }));
        let refused = || {
            Err(Error::Kernel {
                doing: "attach".to_owned(),
                because: "no".to_owned(),
                advice: "later".to_owned(),
            })
        };
        assert!(exchange(&mut source, Box::new(refused), &state).is_err());
        assert!(source.is_some());
    }
}
