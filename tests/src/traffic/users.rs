//! People who use a service: steady requests until they are told to stop.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use super::pace::{Pace, Schedule};
use super::tcp::{Pair, TcpPairs};
use crate::clock::{now_ns, sleep_until, wake_on_time};
use crate::namespace::Ns;

/// Clients with a connection each, who send 100 bytes for 1000 at a steady rate and wait for each
/// answer; dropping them sends them home.
pub struct Users {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Vec<Pair>>>>,
}

#[derive(Default)]
struct Shared {
    answers: AtomicU64,
    ending: AtomicBool,
}

impl Users {
    /// So many users come, and take turns: each has the same time between its requests.
    pub fn start(from: (&Ns, IpAddr), to: SocketAddr, users: u32, between: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let first_ns = now_ns();
        let user = |number| {
            let (ns, shared) = (from.0.clone(), Arc::clone(&shared));
            let first_ns = first_ns + (between * number / users).as_nanos() as u64;
            std::thread::spawn(move || use_it((&ns, from.1), to, between, first_ns, &shared))
        };
        Self {
            threads: (0..users).map(user).collect(),
            shared,
        }
    }

    /// How many answers they have got.
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }

    /// Whether any of them has gone, since its connection broke.
    pub fn has_any_gone(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Lets them wait for their last answers, and returns what each request was like, by time.
    pub fn stop(mut self) -> Result<Vec<Pair>> {
        self.shared.ending.store(true, Ordering::Relaxed);
        let mut pairs = Vec::new();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(theirs) => pairs.extend(theirs?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        pairs.sort_by_key(|pair| pair.due_ns);
        Ok(pairs)
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn use_it(
    from: (&Ns, IpAddr),
    to: SocketAddr,
    between: Duration,
    first_ns: u64,
    shared: &Shared,
) -> Result<Vec<Pair>> {
    wake_on_time();
    let requests = TcpPairs::new(from, to);
    let stream = requests.connect()?;
    sleep_until(first_ns);
    let per_second = 1.0 / between.as_secs_f64();
    let mut schedule = Schedule::start(Pace::Constant { per_second });
    let mut pairs = Vec::new();
    while !shared.ending.load(Ordering::Relaxed) {
        let due_ns = schedule.next();
        let pair = requests.pair(&stream, pairs.len() as u64)?;
        pairs.push(Pair { due_ns, ..pair });
        shared.answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(pairs)
}
