//! TCP requests and answers on one connection, and the server that answers them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use super::joined;
use super::pace::{Pace, Schedule};
use crate::clock::{now_ns, sleep_until, wake_on_time};
use crate::namespace::Ns;

/// A request begins with its own length and that of its answer, each four bytes.
const HEADER: usize = 8;

/// A server that answers each request with as many bytes as it asks for; dropping it ends it.
pub struct TcpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    backend: Option<Backend>,
    think_ns: AtomicU64,
    requests: AtomicU64,
    closing: AtomicBool,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

/// Another server that has to be asked before each answer.
struct Backend {
    ns: Ns,
    ip: IpAddr,
    server: SocketAddr,
}

impl TcpServer {
    /// Listens in a namespace and answers any number of connections.
    pub fn start(ns: &Ns, address: SocketAddr) -> Result<Self> {
        Self::listen(ns, address, None)
    }

    /// Listens as [`TcpServer::start`] does, and asks another server before each answer: 100
    /// bytes for 1000, on one connection for each of its own.
    pub fn asking(ns: &Ns, address: SocketAddr, server: SocketAddr) -> Result<Self> {
        let backend = Backend {
            ns: ns.clone(),
            ip: address.ip(),
            server,
        };
        Self::listen(ns, address, Some(backend))
    }

    fn listen(ns: &Ns, address: SocketAddr, backend: Option<Backend>) -> Result<Self> {
        let listener = ns
            .run(|| TcpListener::bind(address))
            .with_context(|| format!("listen on {address} in {}", ns.name()))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            backend,
            ..Shared::default()
        });
        Ok(Self {
            address: listener.local_addr()?,
            shared: shared.clone(),
            acceptor: Some(std::thread::spawn(move || accept(&listener, &shared))),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long it thinks about a request that comes from now on.
    pub fn set_think(&self, think: Duration) {
        let think_ns = think.as_nanos() as u64;
        self.shared.think_ns.store(think_ns, Ordering::Relaxed);
    }

    /// How many requests it has read to their end.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Ends it, with all connections.
    pub fn stop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let connections = self.shared.connections.lock();
        for (stream, thread) in connections
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            // Wakes the thread, which may be reading; the peer may have gone first.
            let _ = stream.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.closing.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let theirs = shared.clone();
        // A connection that breaks is the client's to report.
        let thread = std::thread::spawn(move || drop(answer(stream, &theirs)));
        let mut connections = shared
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.push((handle, thread));
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    wake_on_time();
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let backend = shared.backend.as_ref().map(Backend::connect).transpose()?;
    let mut buffer = Vec::new();
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header)?;
        let [request_len, answer_len] = lengths(header);
        buffer.resize(request_len.saturating_sub(HEADER), 0);
        stream.read_exact(&mut buffer)?;
        shared.requests.fetch_add(1, Ordering::Relaxed);
        match shared.think_ns.load(Ordering::Relaxed) {
            0 => {}
            think_ns => sleep_until(now_ns() + think_ns),
        }
        if let Some((questions, stream)) = &backend {
            questions.pair(stream, 0)?;
        }
        buffer.resize(answer_len, 0);
        stream.write_all(&buffer)?;
    }
}

impl Backend {
    fn connect(&self) -> Result<(TcpPairs<'_>, TcpStream)> {
        let questions = TcpPairs::new((&self.ns, self.ip), self.server);
        let stream = questions.connect()?;
        Ok((questions, stream))
    }
}

fn lengths(header: [u8; HEADER]) -> [usize; 2] {
    let number = u64::from_be_bytes(header);
    [number >> 32, number & 0xffff_ffff].map(|len| len as usize)
}

/// Requests and answers on one connection, Nagle's algorithm off.
pub struct TcpPairs<'a> {
    /// Where the client is, and its address.
    pub from: (&'a Ns, IpAddr),
    /// The address of a [`TcpServer`], as the client sees it.
    pub to: SocketAddr,
    /// How many requests.
    pub count: u64,
    /// Back to back, each waits for the answer before; else requests leave by the schedule,
    /// whether answers come or not.
    pub pace: Pace,
    /// The length of each request; at least 8 bytes are sent.
    pub request_len: fn(u64) -> usize,
    /// The length of each answer, at least 1 byte.
    pub answer_len: fn(u64) -> usize,
    /// How long to wait for the connection and for an answer.
    pub patience: Duration,
}

/// One request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// When it was to be sent: with a schedule, the scheduled moment, however late the sender.
    pub due_ns: u64,
    /// When the call that sent it began.
    pub sent_ns: u64,
    /// When the last byte of the answer was there.
    pub answered_ns: u64,
}

impl Pair {
    /// From the moment when it was due to the whole answer: what a user would have waited.
    pub fn latency(&self) -> Duration {
        Duration::from_nanos(self.answered_ns - self.due_ns)
    }
}

impl<'a> TcpPairs<'a> {
    /// 100 requests of 100 bytes with answers of 1000, one after the other.
    pub fn new(from: (&'a Ns, IpAddr), to: SocketAddr) -> Self {
        Self {
            from,
            to,
            count: 100,
            pace: Pace::BackToBack,
            request_len: |_| 100,
            answer_len: |_| 1000,
            patience: Duration::from_secs(10),
        }
    }

    /// Connects, does them all, and closes.
    pub fn run(&self) -> Result<Vec<Pair>> {
        let stream = self.connect()?;
        match self.pace {
            Pace::BackToBack => (0..self.count).map(|i| self.pair(&stream, i)).collect(),
            _ => self.by_schedule(&stream),
        }
    }

    pub(super) fn connect(&self) -> Result<TcpStream> {
        let stream = connect(self.from, self.to, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        Ok(stream)
    }

    pub(super) fn pair(&self, stream: &TcpStream, i: u64) -> Result<Pair> {
        let sent_ns = self.request(stream, i)?;
        Ok(Pair {
            due_ns: sent_ns,
            sent_ns,
            answered_ns: self.await_answer(stream, i)?,
        })
    }

    fn by_schedule(&self, stream: &TcpStream) -> Result<Vec<Pair>> {
        std::thread::scope(|scope| {
            let answers = scope.spawn(|| -> Result<Vec<u64>> {
                let all = 0..self.count;
                all.map(|i| self.await_answer(stream, i)).collect()
            });
            wake_on_time();
            let mut schedule = Schedule::start(self.pace);
            let all = 0..self.count;
            let sent: Result<Vec<_>> = all
                .map(|i| Ok((schedule.next(), self.request(stream, i)?)))
                .collect();
            let answers = joined(answers)?;
            let both = sent?.into_iter().zip(answers);
            Ok(both
                .map(|((due_ns, sent_ns), answered_ns)| Pair {
                    due_ns,
                    sent_ns,
                    answered_ns,
                })
                .collect())
        })
    }

    /// Sends one request and returns when that began.
    fn request(&self, mut stream: &TcpStream, i: u64) -> Result<u64> {
        let len = (self.request_len)(i).max(HEADER);
        let mut bytes = vec![0; len];
        bytes[..4].copy_from_slice(&(len as u32).to_be_bytes());
        bytes[4..HEADER].copy_from_slice(&(self.answer_bytes(i) as u32).to_be_bytes());
        let sent_ns = now_ns();
        stream
            .write_all(&bytes)
            .with_context(|| format!("send request {i} to {}", self.to))?;
        Ok(sent_ns)
    }

    fn await_answer(&self, mut stream: &TcpStream, i: u64) -> Result<u64> {
        let mut bytes = vec![0; self.answer_bytes(i)];
        stream
            .read_exact(&mut bytes)
            .with_context(|| format!("wait for answer {i} from {}", self.to))?;
        Ok(now_ns())
    }

    fn answer_bytes(&self, i: u64) -> usize {
        (self.answer_len)(i).max(1)
    }
}

/// Connects from an address in a namespace.
pub(crate) fn connect(
    (ns, ip): (&Ns, IpAddr),
    to: SocketAddr,
    patience: Duration,
) -> Result<TcpStream> {
    let socket = ns.run(|| -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(ip, 0).into())?;
        Ok(socket)
    })?;
    loop {
        match socket.connect_timeout(&to.into(), patience) {
            Ok(()) => return Ok(socket.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(error).with_context(|| format!("connect to {to} from {}", ns.name()));
            }
        }
    }
}
