//! One direction of a wire: take a packet, let it wait, give it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::{TimeSpec, TimeValLike};

use super::{Crossing, Direction, WireSpec, locked};
use crate::clock::{now_ns, run_first, wake_on_time};

/// The largest packet that a TUN device hands out.
const LARGEST: usize = 1 << 16;

pub(super) struct Line {
    direction: Direction,
    from: Arc<File>,
    to: Arc<File>,
    spec: Mutex<WireSpec>,
    log: Mutex<Vec<Crossing>>,
    refused: AtomicU64,
    closing: AtomicBool,
    bell: EventFd,
}

/// How long after a packet an awake line expects the next one. Then it sleeps, so that whatever
/// else has to run on its processor isn't kept from it for longer.
const EXPECTING_NS: u64 = 10_000_000;

/// A packet on its way; the earliest due, then the first taken, comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due_ns: u64,
    taken_ns: u64,
    number: u64,
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn new(
        direction: Direction,
        from: Arc<File>,
        to: Arc<File>,
        spec: WireSpec,
    ) -> Result<Self> {
        Ok(Self {
            direction,
            from,
            to,
            spec: Mutex::new(spec),
            log: Mutex::default(),
            refused: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("make an eventfd")?,
        })
    }

    pub(super) fn log(&self) -> Vec<Crossing> {
        locked(&self.log).clone()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn change(&self, what: impl FnOnce(&mut WireSpec)) {
        what(&mut locked(&self.spec));
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        // Fails only at 2^64 rings.
        let _ = self.bell.write(1);
    }

    /// Carries packets until the line is closed and empty.
    pub(super) fn carry(&self) {
        wake_on_time();
        run_first();
        let mut fates = Fates::new(locked(&self.spec).seed, self.direction);
        let mut under_way = BinaryHeap::new();
        let mut last_taken_ns = 0;
        let mut buffer = vec![0; LARGEST];
        loop {
            while let Some(bytes) = self.take(&mut buffer) {
                let (taken_ns, spec) = (now_ns(), *locked(&self.spec));
                last_taken_ns = taken_ns;
                match fates.due_ns(taken_ns, &spec) {
                    Some(due_ns) => under_way.push(Reverse(Packet {
                        due_ns,
                        taken_ns,
                        number: fates.count,
                        bytes: bytes.to_vec(),
                    })),
                    None => self.write_down(taken_ns, None, bytes),
                }
                self.give_due(&mut under_way);
            }
            self.give_due(&mut under_way);
            if self.closing.load(Ordering::Relaxed) && under_way.is_empty() {
                return;
            }
            if self.stays_awake(last_taken_ns) {
                continue;
            }
            self.wait(under_way.peek().map(|Reverse(packet)| packet.due_ns));
        }
    }

    fn take<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        if self.closing.load(Ordering::Relaxed) {
            return None;
        }
        let len = (&*self.from).read(buffer).ok()?;
        Some(&buffer[..len])
    }

    fn give_due(&self, under_way: &mut BinaryHeap<Reverse<Packet>>) {
        while let Some(Reverse(packet)) = under_way.peek() {
            let given_ns = now_ns();
            if packet.due_ns > given_ns {
                return;
            }
            // Written down first: who has received it finds it in the log.
            self.write_down(packet.taken_ns, Some(given_ns), &packet.bytes);
            if (&*self.to).write(&packet.bytes).is_err() {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            under_way.pop();
        }
    }

    fn stays_awake(&self, last_taken_ns: u64) -> bool {
        let is_asked = locked(&self.spec).awake == Some(self.direction);
        is_asked && now_ns() < last_taken_ns + EXPECTING_NS
    }

    fn write_down(&self, taken_ns: u64, given_ns: Option<u64>, bytes: &[u8]) {
        locked(&self.log).push(Crossing {
            direction: self.direction,
            taken_ns,
            given_ns,
            bytes: bytes.len() as u32,
            hash: fnv1a(bytes),
        });
    }

    /// Waits for a packet, the bell, or the moment when the next one is due.
    ///
    /// Not `clock_nanosleep`: a packet that comes meanwhile has to be taken at once. `ppoll` uses
    /// the same high-resolution timer.
    fn wait(&self, due_ns: Option<u64>) {
        let closing = self.closing.load(Ordering::Relaxed);
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut both = [readable(self.bell.as_fd()), readable(self.from.as_fd())];
        let sources = if closing { &mut [][..] } else { &mut both };
        let left_ns = due_ns.map(|due_ns| due_ns.saturating_sub(now_ns()));
        let timeout = left_ns.map(|ns| TimeSpec::nanoseconds(ns.cast_signed()));
        // An interrupted wait is a short one.
        let _ = ppoll(sources, timeout, None);
    }
}

/// Decides what happens to each packet, from the seed.
struct Fates {
    random: fastrand::Rng,
    last_due_ns: u64,
    count: u64,
}

impl Fates {
    fn new(seed: u64, direction: Direction) -> Self {
        let seed = seed.wrapping_mul(2).wrapping_add(direction as u64);
        Self {
            random: fastrand::Rng::with_seed(seed),
            last_due_ns: 0,
            count: 0,
        }
    }

    /// When a packet has to be given; none if it is lost. Three draws for each packet, so that
    /// changing one setting leaves the other fates as they were.
    fn due_ns(&mut self, taken_ns: u64, spec: &WireSpec) -> Option<u64> {
        self.count += 1;
        let lost = self.random.f64() < spec.loss;
        let overtakes = self.random.f64() < spec.reorder;
        let mut jitter = self.random.fork();
        if lost {
            return None;
        }
        if overtakes {
            return Some(taken_ns);
        }
        let delay_ns = spec.delay.as_nanos() as f64 + spec.jitter.draw_ns(&mut jitter);
        self.last_due_ns = self.last_due_ns.max(taken_ns + delay_ns.max(0.0) as u64);
        Some(self.last_due_ns)
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Distribution;
    use std::time::Duration;

    fn fates(spec: &WireSpec) -> Vec<Option<u64>> {
        let mut fates = Fates::new(spec.seed, Direction::Forth);
        (0..1000).map(|i| fates.due_ns(i * 1000, spec)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let spec = WireSpec {
            delay: Duration::from_millis(5),
            jitter: Distribution::Normal {
                deviation: Duration::from_millis(1),
            },
            loss: 0.1,
            reorder: 0.1,
            seed: 7,
            ..WireSpec::default()
        };
        assert_eq!(fates(&spec), fates(&spec));
        assert_ne!(fates(&spec), fates(&WireSpec { seed: 8, ..spec }));
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let spec = WireSpec {
            jitter: Distribution::Exponential {
                mean: Duration::from_millis(3),
            },
            ..WireSpec::delay(Duration::from_millis(1))
        };
        assert!(fates(&spec).is_sorted());
    }

    #[test]
    fn the_share_of_lost_packets_is_the_one_set() {
        let spec = WireSpec {
            loss: 0.2,
            ..WireSpec::default()
        };
        let lost = fates(&spec).iter().filter(|due| due.is_none()).count();
        assert!((150..250).contains(&lost), "{lost} of 1000");
    }
}
