//! What the reader writes and the pages show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::counts::Counts;
use super::process::process;
use crate::model::{Reading, State as Works};
use crate::sink::prometheus::{Health, Ledger, Page, Settings};

/// All that the agent knows.
pub(super) struct State {
    ledger: Arc<Mutex<Ledger>>,
    told: Mutex<Told>,
    /// The number of the reading that was counted last.
    generation: AtomicU64,
    pub(super) counts: Arc<Counts>,
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
    reload_successful: bool,
    reloaded_at: SystemTime,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
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
                reload_successful: true,
                reloaded_at: SystemTime::now(),
            }),
            generation: AtomicU64::new(0),
            counts: Arc::default(),
            started: SystemTime::now(),
        }
    }

    /// Counts a reading that took so long.
    pub(super) fn read(&self, reading: &Reading, took: Duration) {
        lock(&self.ledger).add(reading);
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

    pub(super) fn reading_failed(&self) {
        lock(&self.told).failures += 1;
    }

    /// Programs were attached.
    pub(super) fn attached(&self) {
        lock(&self.told).attachments += 1;
    }

    /// Another source takes over; what it counted until now was counted by the one before.
    pub(super) fn go_on_from(&self, reading: &Reading) {
        lock(&self.ledger).go_on_from(reading);
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
        Health {
            version: env!("CARGO_PKG_VERSION"),
            kernel: told.kernel.clone(),
            availability: told.availability.clone(),
            readings: told.readings,
            reading_failures: told.failures,
            reading_s: told.took.as_secs_f64(),
            read_at_s: since_1970(told.read_at),
            attachments: told.attachments,
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

/// Whoever panicked with it left something that is good enough to show.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
