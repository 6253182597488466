//! The running kernel, watched by eBPF programs.

mod assemble;
mod connections;
mod constants;
mod coverage;
pub mod doctor;
mod finer;
mod hops;
mod host;
mod kernel_types;
mod load;
pub mod loaded;
pub mod makers;
mod maps;
mod memory;
pub mod object;
mod passages;
mod passing;
mod places;
pub mod rights;
mod room;
mod rules;
mod sockets;
mod sweep;
mod tally;
mod work;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use rustix::time::{ClockId, clock_gettime};

use tracer_common::layout::{ALL_FOLLOWED, Orders};

use self::assemble::{Assembly, Counted};
use self::makers::{Listeners, TellNoted};
use self::maps::Memory;
use self::room::Room;
use super::mirror::{Event, Mirror, Note, Tell, Ways};
use super::names::Names;
use super::{Error, Settings, Source};
use crate::model::Reading;

/// The programs, attached. They are detached when this is dropped, and by the kernel when the
/// process ends.
pub struct Live {
    ebpf: Ebpf,
    memory: Memory,
    room: Room,
    assembly: Assembly,
    /// The last one, which the next one goes on from.
    reading: Arc<Reading>,
    ways: Option<Ways>,
    names: Names,
    coverage: coverage::Watch,
    host: host::Watch,
    passages: Option<passages::Passages>,
    log: Option<load::KernelLog>,
    orders: Orders,
    finer: finer::Links,
    started: Instant,
}

/// How long packets on their way are waited for at the end, at most.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How often it is looked whether any are left.
const LOOK: Duration = Duration::from_millis(20);

impl Live {
    /// Loads and attaches the programs.
    ///
    /// # Errors
    /// When a right is missing, or a required program can't be loaded or attached.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        Self::open_telling(settings, None)
    }

    /// The same, and tells what changes on the network, and who makes it.
    ///
    /// # Errors
    /// As above.
    pub fn open_telling(settings: &Settings, tell: Option<TellNoted>) -> Result<Self, Error> {
        let mut prepared = load::prepare(settings)?;
        // Whoever is told of changes reads at once, and that looks at the host.
        let reads_at_once = tell.is_some();
        let told = match tell {
            None => Ok((Box::new(|note| warn(&note)) as Tell, None)),
            Some(tell) => told_with_makers(&mut prepared.ebpf, settings, tell),
        };
        // The kernel looks into programs for as long as it takes to dump hundreds of namespaces.
        let (mirror, loaded) = load::beside(
            || told.and_then(|(tell, listeners)| Mirror::start_by(tell, listeners)),
            || prepared.attach(),
        );
        let (ways, loaded) = (ways(mirror), loaded?);
        let mut host = host::Watch::default();
        if let Some(ways) = ways.as_ref().filter(|_| !reads_at_once) {
            host.begin(ways.mirror());
        }
        Ok(Self {
            ways,
            names: Names::default(),
            coverage: coverage::Watch::new(settings),
            host,
            memory: loaded.memory,
            room: loaded.room,
            assembly: Assembly::new(
                settings,
                loaded.scope,
                loaded.drop_reasons,
                loaded.availability,
            ),
            reading: Arc::default(),
            ebpf: loaded.ebpf,
            passages: None,
            log: loaded.log,
            orders: load::OPEN,
            finer: loaded.finer,
            started: Instant::now(),
        })
    }

    /// Writes each packet's timeline, one JSON object a line, from now on; called before the
    /// first reading, and only when [`Settings::passages`] is set.
    ///
    /// # Errors
    /// When the kernel half's ring buffer can't be read.
    pub fn write_passages(&mut self, to: Box<dyn Write + Send>) -> Result<(), Error> {
        if let Some(steps) = self.ebpf.take_map("STEPS") {
            self.passages = Some(passages::Passages::start(steps, &self.ebpf, to)?);
        }
        Ok(())
    }

    /// Follows only this share of the packets that are born from now on, from 0 to 1; the others
    /// cost a look at each hop. While it is not all of them, packets whose beginning was not seen
    /// are no losses.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn follow(&mut self, share: f64) -> Result<(), Error> {
        self.orders.followed = (share.clamp(0.0, 1.0) * f64::from(ALL_FOLLOWED)) as u32;
        load::order(&mut self.ebpf, self.orders)
    }

    /// What is known now. The kernel forgets what it skipped with the programs, so that the caller
    /// has to ask in time.
    fn reading(&mut self, recursion: u64) -> Result<Arc<Reading>, Error> {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let drops = load::drops(&self.ebpf)?;
        let counted = Counted {
            recursion,
            duration: self.started.elapsed(),
            now_ns: now_ns(),
        };
        // Whoever still has the last one keeps it as it was.
        let reading = Arc::make_mut(&mut self.reading);
        let assembly = &mut self.assembly;
        assembly.read(reading, &self.memory, &drops, &counted);
        self.finer.mark(&mut reading.availability);
        self.room.tell(reading, &assembly.places);
        reading.programs = work::done(&self.memory.runs);
        reading.followed = f64::from(self.orders.followed) / f64::from(ALL_FOLLOWED);
        if let Some(ways) = &mut self.ways {
            ways.tell(reading);
            self.names.tell(reading, ways.mirror());
            let look = self.host.look(ways.mirror(), false);
            self.coverage.tell(look.map(|it| it.devices), reading);
            reading.host = self.host.told();
        }
        let ebpf = &mut self.ebpf;
        self.room
            .look(&self.memory, ebpf, assembly, reading, counted.now_ns)?;
        Ok(Arc::clone(&self.reading))
    }
}

/// Now, by the clock that the kernel half reads.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // It begins when the host starts.
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// What hears of changes and knows their makers, and what the kernel half is told of who listens.
fn told_with_makers(
    ebpf: &mut Ebpf,
    settings: &Settings,
    tell: TellNoted,
) -> io::Result<(Tell, Option<Listeners>)> {
    let book = settings
        .makers
        .then(|| makers::Book::take(ebpf))
        .transpose()
        .unwrap_or_else(|error| {
            tracing::warn!("{error}; who changes routes stays unknown");
            None
        });
    let listeners = book.as_ref().map(|book| book.listeners.clone());
    let notes = makers::start(book, tell)?;
    let tell = Box::new(move |note| {
        warn(&note);
        // The thread lives as long as this sender.
        let _ = notes.send(note);
    });
    Ok((tell, listeners))
}

/// Latencies are worth showing without the names of routes too.
fn ways(mirror: io::Result<Mirror>) -> Option<Ways> {
    match mirror {
        Ok(mirror) => Some(Ways::new(mirror)),
        Err(error) => {
            tracing::warn!("follow the routes of network namespaces: {error}");
            None
        }
    }
}

/// What was lost is said.
fn warn(note: &Note) {
    if let Event::Gap { .. } = note.event {
        let name = &note.namespace.name;
        tracing::warn!(
            "the kernel had more route changes to tell than it could keep in {name}; all were read anew"
        );
    }
}

impl Source for Live {
    fn read(&mut self) -> Result<Arc<Reading>, Error> {
        self.reading(load::recursion_misses(&self.ebpf))
    }

    fn follow(&mut self, share: f64) -> Result<(), Error> {
        Live::follow(self, share)
    }

    fn has_finer(&self) -> bool {
        !self.finer.is_empty()
    }

    fn watch_finer(&mut self, watched: bool) -> Result<(), Error> {
        if watched {
            return self.finer.take_up(&mut self.ebpf);
        }
        self.finer.leave_out();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Reading, Error> {
        if let Some(ways) = &self.ways {
            // What devices carry while packets on their way are waited for is not at their hops.
            let look = self.host.look(ways.mirror(), true);
            self.coverage.close(look.map(|it| it.devices));
        }
        self.orders.closing = 1;
        load::order(&mut self.ebpf, self.orders)?;
        let deadline = Instant::now() + LAST_CALL;
        let duration = self.started.elapsed();
        while sweep::is_busy(&self.memory) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        let recursion = load::recursion_misses(&self.ebpf);
        self.finer.let_go();
        load::detach(&mut self.ebpf);
        if let Some(passages) = self.passages.take() {
            passages.finish()?;
        }
        self.assembly.tallies.finish();
        let reading = self.reading(recursion)?;
        self.reading = Arc::default();
        let mut reading = Arc::unwrap_or_clone(reading);
        reading.duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.assembly.settle(&self.memory, &mut reading);
        Ok(reading)
    }
}
