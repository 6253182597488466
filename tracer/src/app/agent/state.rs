//! What the reader writes and the pages show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Budget;
use super::counts::Counts;
use super::governor::Step;
use super::incidents::Docket;
use super::journal::Journal;
use super::process::process;
use crate::model::{Reading, State as Works};
use crate::sink::prometheus::{Governed, Health, Ledger, Page, Settings};

/// All that the agent knows.
pub(super) struct State {
    ledger: Arc<Mutex<Ledger>>,
    told: Mutex<Told>,
    /// The number of the reading that was counted last.
    generation: AtomicU64,
    pub(super) counts: Arc<Counts>,
    pub(super) journal: Arc<Journal>,
    pub(super) docket: Arc<Docket>,
    started: SystemTime,
}

/// What changes with readings and reloads.
struct Told {
    kernel: String,
    availability: Vec<(String, bool)>,
    latest: Option<Instant>,
    read_at: SystemTime,
    readings: u64,
    failures: u64,
    took: Duration,
    attachments: u64,
    following: Following,
    budget: Option<Budget>,
    used: f64,
    steps: [u64; DIRECTIONS.len()],
    reload_successful: bool,
    reloaded_at: SystemTime,
}

/// How many packets are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// 1 in so many.
    OneIn(u32),
    /// None: the governor has detached the programs.
    None,
}

impl Following {
    /// As a share of all.
    fn share(self) -> f64 {
        match self {
            Self::OneIn(each) => 1.0 / f64::from(each),
            Self::None => 0.0,
        }
    }
}

const DIRECTIONS: [&str; 6] = ["down", "up", "detach", "attach", "fewer_hops", "all_hops"];

impl State {
    pub(super) fn new(settings: Settings, journal: Arc<Journal>, docket: Arc<Docket>) -> Self {
        Self {
            ledger: Arc::new(Mutex::new(Ledger::new(settings))),
            told: Mutex::new(Told {
                kernel: String::new(),
                availability: Vec::new(),
                latest: None,
                read_at: UNIX_EPOCH,
                readings: 0,
                failures: 0,
                took: Duration::ZERO,
                attachments: 0,
                following: Following::OneIn(1),
                budget: None,
                used: 0.0,
                steps: [0; DIRECTIONS.len()],
                reload_successful: true,
                reloaded_at: SystemTime::now(),
            }),
            generation: AtomicU64::new(0),
            counts: Arc::default(),
            journal,
            docket,
            started: SystemTime::now(),
        }
    }

    /// Counts a reading that took so long.
    pub(super) fn read(&self, reading: &Reading, took: Duration) {
        let each = match self.following() {
            Following::OneIn(each) => each,
            Following::None => 1,
        };
        let ages = self.journal.ages(reading);
        lock(&self.ledger).add_sampled(reading, each.into(), &ages);
        self.journal.read(reading);
        let mut told = lock(&self.told);
        told.readings += 1;
        told.took = took;
        told.read_at = SystemTime::now();
        told.latest = Some(Instant::now());
        told.kernel.clone_from(&reading.kernel);
        let rows = reading.availability.iter();
        told.availability = rows
            .map(|row| (row.name.clone(), row.state == Works::Works))
            .collect();
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Judges what came since the last reading that was judged.
    pub(super) fn judge(&self, reading: &Reading) {
        self.docket.second(reading, &self.journal);
    }

    pub(super) fn reading_failed(&self) {
        lock(&self.told).failures += 1;
    }

    /// Programs were attached.
    pub(super) fn attached(&self) {
        lock(&self.told).attachments += 1;
    }

    /// From now on 1 packet in so many is followed.
    pub(super) fn follow(&self, each: u32) {
        lock(&self.told).following = Following::OneIn(each);
    }

    /// The programs are detached, and begin anew when they are attached again.
    pub(super) fn detached(&self) {
        lock(&self.ledger).go_on_from(&Reading::default());
        self.journal.go_on_from(&Reading::default());
        self.docket.go_on_from(&Reading::default());
        let mut told = lock(&self.told);
        told.following = Following::None;
        told.used = 0.0;
    }

    /// Nothing is read for now, and nothing is wrong.
    pub(super) fn rests(&self) {
        lock(&self.told).latest = Some(Instant::now());
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// How many packets are followed.
    pub(super) fn following(&self) -> Following {
        lock(&self.told).following
    }

    /// The programs are kept within this budget.
    pub(super) fn govern(&self, budget: Option<Budget>) {
        lock(&self.told).budget = budget;
    }

    /// The programs took this share of the host's processor time.
    pub(super) fn used(&self, share: f64) {
        lock(&self.told).used = share;
    }

    /// The governor took a step.
    pub(super) fn stepped(&self, step: Step) {
        let mut told = lock(&self.told);
        let direction = match step {
            Step::Down(_) => 0,
            Step::Up(_) => 1,
            Step::Detach => 2,
            Step::Attach(_) => 3,
            Step::FewerHops => 4,
            Step::AllHops => 5,
        };
        told.steps[direction] += 1;
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Another source takes over; what it counted until now was counted by the one before.
    pub(super) fn go_on_from(&self, reading: &Reading) {
        lock(&self.ledger).go_on_from(reading);
        self.journal.go_on_from(reading);
        self.docket.go_on_from(reading);
    }

    /// Follows what a reload says of the page.
    pub(super) fn set(&self, settings: Settings) {
        lock(&self.ledger).set(settings);
    }

    /// A configuration was read again.
    pub(super) fn reloaded(&self, successful: bool) {
        let mut told = lock(&self.told);
        told.reload_successful = successful;
        if successful {
            told.reloaded_at = SystemTime::now();
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// How old the last reading is; where none came yet, none.
    pub(super) fn age(&self) -> Option<Duration> {
        let told = lock(&self.told);
        told.latest.map(|at| at.elapsed())
    }

    /// The page as it is now.
    pub(super) fn page(&self) -> Page {
        Page {
            ledger: Arc::clone(&self.ledger),
            health: self.health(),
        }
    }

    fn health(&self) -> Health {
        let told = lock(&self.told);
        let (changes, journal_failures, journal_on_disk) = self.journal.counts();
        Health {
            changes: changes
                .into_iter()
                .map(|(kind, protocol, count)| (kind.name(), protocol, count))
                .collect(),
            journal_failures,
            journal_on_disk,
            judged: self.docket.judged(),
            version: env!("CARGO_PKG_VERSION"),
            kernel: told.kernel.clone(),
            availability: told.availability.clone(),
            readings: told.readings,
            reading_failures: told.failures,
            reading_s: told.took.as_secs_f64(),
            read_at_s: since_1970(told.read_at),
            attachments: told.attachments,
            governor: Governed {
                budget: told.budget.map(Budget::share),
                used: told.used,
                sampling: told.following.share(),
                steps: DIRECTIONS.into_iter().zip(told.steps).collect(),
            },
            reload_successful: told.reload_successful,
            reloaded_at_s: since_1970(told.reloaded_at),
            connections: self.counts.connections(),
            refused: self.counts.refused(),
            process: process(self.started),
        }
    }
}

/// Seconds since 1970; a clock from before it is 0.
pub(super) fn since_1970(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A moment in seconds.
pub(super) fn since_1970_ns(at: u64) -> f64 {
    at as f64 / 1e9
}

/// Whoever panicked with it left something that is good enough to show.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
