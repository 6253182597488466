//! A wire of our own: a TUN device at each end, and between them a delay that we set and a log
//! of what really happened to each packet.

mod line;
mod tun;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;
use crate::namespace::Ns;
use line::Line;

/// What a wire does to packets, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WireSpec {
    /// How long every packet is on its way.
    pub delay: Duration,
    /// What is added to that, packet by packet. Packets keep their order all the same.
    pub jitter: Distribution,
    /// The share of packets that never arrive, from 0 to 1.
    pub loss: f64,
    /// The share of packets that arrive at once, ahead of those on their way, from 0 to 1.
    pub reorder: f64,
    /// Where the random numbers begin: the same seed and packets, the same fates.
    pub seed: u64,
    /// The direction that waits for packets without sleeping, while packets keep coming.
    ///
    /// A thread that sleeps is told of a packet late, on a virtual machine by 50 to 150 µs, and
    /// nobody writes this time down. Awake, the log has all that a packet went through on the
    /// wire, which matters where the delay is short. It takes a whole processor before everyone
    /// else, so it is for traffic that goes one way.
    pub awake: Option<Direction>,
}

impl Default for WireSpec {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Distribution::None,
            loss: 0.0,
            reorder: 0.0,
            seed: 1,
            awake: None,
        }
    }
}

impl WireSpec {
    /// A wire that only delays.
    pub fn delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }
}

/// How a wire's jitter is spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// No jitter.
    None,
    /// Anything up to this, equally likely.
    Uniform {
        /// The largest.
        up_to: Duration,
    },
    /// A long tail.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// A bell around the delay; what would arrive before it was sent arrives at once.
    Normal {
        /// The standard deviation.
        deviation: Duration,
    },
}

impl Distribution {
    /// One draw, in nanoseconds; negative only for a bell.
    fn draw_ns(self, random: &mut fastrand::Rng) -> f64 {
        let ns = |duration: Duration| duration.as_nanos() as f64;
        match self {
            Self::None => 0.0,
            Self::Uniform { up_to } => random.f64() * ns(up_to),
            Self::Exponential { mean } => -(1.0 - random.f64()).ln() * ns(mean),
            Self::Normal { deviation } => {
                // Box and Muller, 1958.
                let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
                radius * (std::f64::consts::TAU * random.f64()).cos() * ns(deviation)
            }
        }
    }
}

/// Which way a packet went, seen from the wire's first end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first end to the second.
    Forth,
    /// From the second end to the first.
    Back,
}

/// What happened to one packet on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which way it went.
    pub direction: Direction,
    /// When it was read from the device of the end where it came in (`CLOCK_MONOTONIC`).
    pub taken_ns: u64,
    /// Just before it was written to the device of the other end; none if it was lost.
    pub given_ns: Option<u64>,
    /// Its length in bytes, from the IP header.
    pub bytes: u32,
    /// FNV-1a of its bytes, to find it again.
    pub hash: u64,
}

impl Crossing {
    /// Whether the wire lost it, on purpose.
    pub fn lost(&self) -> bool {
        self.given_ns.is_none()
    }

    /// How long it was on the wire; none if it was lost.
    pub fn delay_ns(&self) -> Option<u64> {
        self.given_ns.map(|given_ns| given_ns - self.taken_ns)
    }
}

/// A wire between two namespaces; dropping it lets what is on its way arrive, then cuts it.
pub struct Wire {
    lines: [Arc<Line>; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Lab {
    /// Joins two namespaces by a wire whose delay, jitter, loss and reordering we set; its ends
    /// are TUN devices, up, without addresses.
    pub fn wire(
        &self,
        (a, a_dev): (&Ns, &str),
        (b, b_dev): (&Ns, &str),
        spec: WireSpec,
    ) -> Result<Wire> {
        let a_end = Arc::new(tun::open(a, a_dev)?);
        let b_end = Arc::new(tun::open(b, b_dev)?);
        let lines = [
            Line::new(Direction::Forth, a_end.clone(), b_end.clone(), spec)?,
            Line::new(Direction::Back, b_end, a_end, spec)?,
        ]
        .map(Arc::new);
        let threads = lines.each_ref().map(|line| {
            let line = line.clone();
            std::thread::spawn(move || line.carry())
        });
        Ok(Wire {
            lines,
            threads: threads.into(),
        })
    }
}

impl Wire {
    /// What happened to the packets that have left the wire so far, in the order in which they
    /// were taken.
    pub fn log(&self) -> Vec<Crossing> {
        let mut log: Vec<_> = self.lines.iter().flat_map(|line| line.log()).collect();
        log.sort_by_key(|crossing| crossing.taken_ns);
        log
    }

    /// How many packets the receiving device refused; 0 unless one was set down.
    pub fn refused(&self) -> u64 {
        self.lines.iter().map(|line| line.refused()).sum()
    }

    /// Changes the delay for packets that are taken from now on, both ways.
    pub fn set_delay(&self, delay: Duration) {
        self.change(|spec| spec.delay = delay);
    }

    /// Changes the delay one way.
    pub fn set_delay_of(&self, direction: Direction, delay: Duration) {
        self.line(direction).change(|spec| spec.delay = delay);
    }

    /// Changes the share of packets that are lost, both ways.
    pub fn set_loss(&self, loss: f64) {
        self.change(|spec| spec.loss = loss);
    }

    /// Changes the share of packets that are lost one way.
    pub fn set_loss_of(&self, direction: Direction, loss: f64) {
        self.line(direction).change(|spec| spec.loss = loss);
    }

    /// Changes the share of packets that arrive ahead of others, both ways.
    pub fn set_reorder(&self, reorder: f64) {
        self.change(|spec| spec.reorder = reorder);
    }

    /// Takes no more packets, lets those on their way arrive, and returns what happened to all.
    pub fn close(mut self) -> Vec<Crossing> {
        self.cut();
        self.log()
    }

    fn cut(&mut self) {
        self.lines.iter().for_each(|line| line.close());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("lab: a wire's thread panicked; its log is incomplete");
            }
        }
    }

    fn change(&self, what: impl Fn(&mut WireSpec)) {
        self.lines.iter().for_each(|line| line.change(&what));
    }

    fn line(&self, direction: Direction) -> &Line {
        match direction {
            Direction::Forth => &self.lines[0],
            Direction::Back => &self.lines[1],
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
    }
}

/// A lock that a panic elsewhere does not spoil: every value in it is complete.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
