//! The source that is read, and how much of what passes it follows.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::governor::{Governor, Meter, Step};
use super::rush::Rush;
use super::state::State;
use super::{Budget, notify};
use crate::model::Reading;
use crate::source::{Error, Source, heap};

/// Opens a source; called on the reader's thread, and again after a rest.
pub(super) type Open = Box<dyn Fn() -> Result<Box<dyn Source>, Error> + Send>;

/// How long packets that are on their way when fewer are followed are still counted as before.
const UNDER_WAY: Duration = Duration::from_millis(10);

/// A source, where there is one now.
pub(super) struct Watch<'a> {
    source: Option<Box<dyn Source>>,
    open: Option<Open>,
    governor: Governor,
    meter: Meter,
    rush: Rush,
    state: &'a State,
}

impl<'a> Watch<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self {
            source: None,
            open: None,
            governor: Governor::new(None),
            meter: Meter::default(),
            rush: Rush::default(),
            state,
        }
    }

    /// The budget is another one from now on.
    pub(super) fn govern(&mut self, budget: Option<Budget>) {
        self.governor.set(budget);
        self.state.govern(budget);
    }

    /// A reading, now.
    pub(super) fn look(&mut self) -> Option<Arc<Reading>> {
        read_once(self.source.as_mut()?.as_mut(), self.state)
    }

    /// A reading, or a while of a rest, and the step that follows from it.
    pub(super) fn next(&mut self, time: Duration) {
        let (rush, processors) = self.rush.now();
        let step = if self.governor.rests() {
            notify::alive();
            self.state.rests();
            self.governor.wait(time, rush)
        } else {
            let Some(reading) = self.look() else {
                return;
            };
            self.state.judge(&reading);
            let Some(used) = self.meter.used(&reading, processors) else {
                return;
            };
            self.state.used(used);
            let step = self.governor.judge(used, rush);
            self.tell(step, used);
            step
        };
        if let Some(step) = step {
            self.take(step);
        }
    }

    /// Says which step follows from what the programs took.
    fn tell(&self, step: Option<Step>, used: f64) {
        let budget = self.governor.budget().map_or(1.0, Budget::share);
        let (used, budget) = (used * 100.0, budget * 100.0);
        let took = format!("the programs took {used:.2} % of the processors' time, of {budget} %");
        match step {
            Some(Step::Down(each)) => tracing::warn!("{took}: 1 packet in {each} is followed now"),
            Some(Step::FewerHops) => tracing::warn!("{took}: finer hops are left out for a while"),
            Some(Step::AllHops) => tracing::info!("{took}: finer hops are watched again"),
            Some(Step::Detach) => tracing::warn!("{took}: they are detached for a while"),
            Some(Step::Up(1)) => tracing::info!("{took}: every packet is followed again"),
            Some(Step::Up(each)) => tracing::info!("{took}: 1 packet in {each} is followed now"),
            Some(Step::Attach(_)) | None => {}
        }
    }

    fn take(&mut self, step: Step) {
        let done = match step {
            Step::Down(each) => self.follow_fewer(each),
            Step::Up(each) => self.follow(each),
            Step::FewerHops => self.watch_finer(false),
            Step::AllHops => self.watch_finer(true),
            Step::Detach => {
                self.detach();
                Ok(())
            }
            Step::Attach(_) => self.attach_again(),
        };
        match done {
            Ok(()) => self.state.stepped(step),
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// What passes from here to the reading counts as if all were followed as before: the packets
    /// that are on their way were.
    fn follow_fewer(&mut self, each: u32) -> Result<(), Error> {
        let Some(source) = &mut self.source else {
            return Ok(());
        };
        source.follow(share(each))?;
        sleep(UNDER_WAY);
        if let Some(reading) = read_once(source.as_mut(), self.state) {
            self.meter.begin(&reading);
        }
        self.state.follow(each);
        Ok(())
    }

    /// Follows more packets, right after a reading.
    fn follow(&mut self, each: u32) -> Result<(), Error> {
        if let Some(source) = &mut self.source {
            source.follow(share(each))?;
        }
        self.meter.forget_pace();
        self.state.follow(each);
        Ok(())
    }

    fn watch_finer(&mut self, watched: bool) -> Result<(), Error> {
        if let Some(source) = &mut self.source
            && let Err(error) = source.watch_finer(watched)
        {
            if watched {
                self.governor.refused_all_hops();
            }
            return Err(error);
        }
        self.meter.forget_pace();
        Ok(())
    }

    fn detach(&mut self) {
        if let Some(source) = self.source.take() {
            finish(source, self.state);
        }
        self.meter.begin_anew();
        self.state.detached();
    }

    fn attach_again(&mut self) -> Result<(), Error> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        match opened(open, &mut self.governor) {
            Ok(source) => {
                self.source = Some(source);
                self.state.follow(self.governor.each());
                self.state.attached();
                let each = self.governor.each();
                tracing::info!("attached again: 1 packet in {each} is followed now");
                Ok(())
            }
            Err(error) => {
                self.governor.failed();
                Err(error)
            }
        }
    }

    /// Opens a new source, and then finishes the old one, so that no packet goes by both.
    ///
    /// Both see what comes between: what the new one counted until then is not counted again.
    pub(super) fn open(&mut self, open: Open) -> Result<(), Error> {
        let mut new = opened(&open, &mut self.governor)?;
        if let Some(old) = self.source.take() {
            // The first reading looks up every name; the second is quick, and the old one ends right
            // after it.
            let until_now = match new.read().and_then(|_| new.read()) {
                Ok(reading) => reading,
                Err(error) => {
                    self.source = Some(old);
                    return Err(error);
                }
            };
            finish(old, self.state);
            self.state.go_on_from(&until_now);
        }
        self.source = Some(new);
        self.open = Some(open);
        self.meter.begin_anew();
        self.governor.attached();
        self.state.follow(self.governor.each());
        self.state.attached();
        Ok(())
    }
}

fn share(each: u32) -> f64 {
    1.0 / f64::from(each)
}

fn opened(open: &Open, governor: &mut Governor) -> Result<Box<dyn Source>, Error> {
    let mut source = open()?;
    heap::return_free_pages();
    governor.found(source.has_finer());
    if governor.leaves_out() {
        source.watch_finer(false)?;
    }
    if governor.each() > 1 {
        source.follow(share(governor.each()))?;
    }
    Ok(source)
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

fn finish(source: Box<dyn Source>, state: &State) {
    let start = Instant::now();
    match source.finish() {
        Ok(last) => state.read(&last, start.elapsed()),
        Err(error) => {
            tracing::error!("{error}");
            state.reading_failed();
        }
    }
}

#[cfg(test)]
mod tests;
