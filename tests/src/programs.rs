//! Programs whose faults are their own: those that read late, accept nobody, get no processor, or hold
//! a lock while their requests are on the way.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::clock::{now_ns, run_last};
use crate::namespace::Ns;

/// How many may wait at the door.
const DOOR_QUEUE: i32 = 4;

/// How long a connection stays away that broke.
const COMES_AGAIN: Duration = Duration::from_secs(1);

/// Multiples of the golden ratio, without their whole part, are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;

const REQUEST: [u8; 100] = [0; 100];
const ANSWER: [u8; 1000] = [0; 1000];

/// Who asks, whom, and how long each pauses between two requests.
#[derive(Clone)]
pub struct Asks {
    /// Where it runs.
    pub ns: Ns,
    /// Its address.
    pub from: IpAddr,
    /// The service.
    pub to: SocketAddr,
    /// Between an answer and the next request, in the mean: no two pauses are alike, so that nobody falls
    /// into step with another.
    pub between: Duration,
}

impl Asks {
    /// On so many connections, for as long as the program runs; one that breaks is followed by another.
    pub fn start(
        &self,
        connections: u32,
        ask: impl Fn(&mut TcpStream) -> std::io::Result<()> + Clone + Send + 'static,
    ) {
        for _ in 0..connections {
            let (this, ask) = (self.clone(), ask.clone());
            self.ns.spawn(move || {
                loop {
                    let _ = this.until_it_breaks(&ask);
                    sleep(COMES_AGAIN);
                }
            });
        }
    }

    fn until_it_breaks(
        &self,
        ask: &impl Fn(&mut TcpStream) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(self.from, 0).into())?;
        socket.connect(&self.to.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        for number in 0_u64.. {
            ask(&mut stream)?;
            let part = (number as f64 * GOLDEN).fract();
            sleep(self.between.mul_f64(0.5 + part));
        }
        Ok(())
    }
}

fn exchange(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<()> {
    stream.write_all(request)?;
    stream.read_exact(&mut ANSWER.clone())
}

/// Asks on so many connections, and reads each answer so late.
pub fn ask_desk(asks: &Asks, connections: u32, late_ns: &Arc<AtomicU64>) {
    let late_ns = Arc::clone(late_ns);
    asks.start(connections, move |stream| {
        stream.write_all(&REQUEST)?;
        // A peek would be a read already.
        let mut waits = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, PollTimeout::NONE)?;
        sleep(Duration::from_nanos(late_ns.load(Ordering::Relaxed)));
        stream.read_exact(&mut ANSWER.clone())
    });
}

/// Thinks about each request for so long, and answers it.
pub fn keep_kiosk(ns: &Ns, to: SocketAddr, think: Duration) -> Result<()> {
    serve(ns, to, move |mut stream| {
        while stream.read_exact(&mut REQUEST.clone()).is_ok() {
            sleep(think);
            if stream.write_all(&ANSWER).is_err() {
                return;
            }
        }
    })
}

/// Asks on so many connections, and has a processor only for moments while it is starved: see [`starve`].
pub fn ask_kiosk(asks: &Asks, connections: u32, is_starved: &Arc<AtomicBool>) -> Result<()> {
    let is_starved = Arc::clone(is_starved);
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let last = the_last_cpu(&allowed)?;
    asks.start(connections, move |stream| {
        let is_starved = is_starved.load(Ordering::Relaxed);
        run_last(is_starved);
        let cpus = if is_starved { &last } else { &allowed };
        sched_setaffinity(Pid::from_raw(0), cpus)?;
        exchange(stream, &REQUEST)
    });
    Ok(())
}

/// Leaves those who are starved 2 ms of each 60, as a CPU quota does, for as long as they are to be: whoever
/// asks in these, and is not answered within them, reads his answer in the next ones.
pub fn starve(is_starved: &Arc<AtomicBool>) -> Result<()> {
    // One alone has to yield to whoever waits each time that its slice is over; of three another has less
    // behind it than its share, and comes first (EEVDF).
    keep_busy(is_starved, 3, Duration::from_millis(2))
}

/// Keeps the last processor busy with so many programs for as long as told, but for a pause in each 60 ms.
pub fn keep_busy(is_busy: &Arc<AtomicBool>, programs: u32, pause: Duration) -> Result<()> {
    const PERIOD_NS: u64 = 60_000_000;
    let only = the_last_cpu(&sched_getaffinity(Pid::from_raw(0))?)?;
    let pause_ns = pause.as_nanos() as u64;
    for _ in 0..programs {
        let is_busy = Arc::clone(is_busy);
        std::thread::spawn(move || -> nix::Result<()> {
            sched_setaffinity(Pid::from_raw(0), &only)?;
            while is_busy.load(Ordering::Relaxed) {
                let into_ns = now_ns() % PERIOD_NS;
                if into_ns < pause_ns {
                    sleep(Duration::from_nanos(pause_ns - into_ns));
                }
            }
            Ok(())
        });
    }
    Ok(())
}

/// The last processor that this thread may run on.
fn the_last_cpu(allowed: &CpuSet) -> nix::Result<CpuSet> {
    let mut only = CpuSet::new();
    let is_allowed = |cpu: &usize| allowed.is_set(*cpu).unwrap_or(false);
    let last = (0..CpuSet::count()).rev().find(is_allowed);
    only.set(last.unwrap_or_default())?;
    Ok(only)
}

/// Accepts connections, unless it is shut, and answers one request on each.
pub fn open_door(ns: &Ns, to: SocketAddr, is_shut: &Arc<AtomicBool>) -> Result<()> {
    let listener = ns.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&to.into())?;
        socket.listen(DOOR_QUEUE)?;
        Ok::<TcpListener, std::io::Error>(socket.into())
    });
    let listener = listener.with_context(|| format!("listen on {to}"))?;
    let is_shut = Arc::clone(is_shut);
    std::thread::spawn(move || {
        loop {
            while is_shut.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(10));
            }
            if let Ok((mut stream, _)) = listener.accept() {
                // Who comes by a slow way lets nobody else wait; who went away meanwhile gets no answer.
                std::thread::spawn(move || {
                    let read = stream.read_exact(&mut REQUEST.clone());
                    read.and_then(|()| stream.write_all(&ANSWER))
                });
            }
        }
    });
    Ok(())
}

/// Some who come again and again, ask once, and wait for each thing until a SYN was sent again, at most.
pub fn knock(ns: &Ns, to: SocketAddr, visitors: u32, between: Duration) {
    const PATIENCE: Duration = Duration::from_millis(1_500);
    let once = move || {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        exchange(&mut stream, &REQUEST)
    };
    for _ in 0..visitors {
        ns.spawn(move || {
            loop {
                // One whom nobody lets in comes again.
                let _ = once();
                sleep(between);
            }
        });
    }
}

/// Reads each request so late, and answers it.
pub fn serve_queue(ns: &Ns, to: SocketAddr, late_ns: &Arc<AtomicU64>) -> Result<()> {
    let late_ns = Arc::clone(late_ns);
    serve(ns, to, move |stream| read_late(stream, &late_ns))
}

/// Serves each connection on a thread of its own, for as long as the program runs.
fn serve(ns: &Ns, to: SocketAddr, work: impl Fn(TcpStream) + Clone + Send + 'static) -> Result<()> {
    let listener = ns
        .run(|| TcpListener::bind(to))
        .with_context(|| format!("listen on {to}"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let work = work.clone();
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || work(stream));
        }
    });
    Ok(())
}

/// Looks after its connection so late.
fn read_late(mut stream: TcpStream, late_ns: &AtomicU64) {
    let mut first = [0; 1];
    // A peek tells that something came, and reads nothing.
    while stream.peek(&mut first).is_ok_and(|len| len > 0) {
        sleep(Duration::from_nanos(late_ns.load(Ordering::Relaxed)));
        let read = stream.read_exact(&mut REQUEST.clone());
        if read.is_err() || stream.write_all(&ANSWER).is_err() {
            return;
        }
    }
}

/// A step of a transaction: the first byte of a request to the ledger.
const BEGIN: u8 = 1;
const GO_ON: u8 = 2;
const COMMIT: u8 = 3;
/// A transaction of one request.
const AT_ONCE: u8 = 4;

/// Round trips of a transaction that is no single request.
const STEPS: [u8; 6] = [BEGIN, GO_ON, GO_ON, GO_ON, GO_ON, COMMIT];

/// A database with one lock: who began a transaction holds it until the end, or until his connection
/// breaks, and everybody else waits.
pub fn keep_ledger(ns: &Ns, to: SocketAddr) -> Result<()> {
    let lock = Arc::new(Mutex::new(()));
    serve(ns, to, move |mut stream| {
        let mut held = None;
        let mut request = REQUEST;
        while stream.read_exact(&mut request).is_ok() {
            if held.is_none() {
                held = Some(lock.lock().unwrap_or_else(PoisonError::into_inner));
            }
            if matches!(request[0], COMMIT | AT_ONCE) {
                held = None;
            }
            if stream.write_all(&ANSWER).is_err() {
                return;
            }
        }
    })
}

/// Writes into the ledger: each transaction is one request, or is many round trips long.
pub fn write_ledger(asks: &Asks, connections: u32, is_long: bool) {
    let steps: &[u8] = if is_long { &STEPS } else { &[AT_ONCE] };
    asks.start(connections, move |stream| {
        steps.iter().try_for_each(|step| {
            let mut request = REQUEST;
            request[0] = *step;
            exchange(stream, &request)
        })
    });
}
