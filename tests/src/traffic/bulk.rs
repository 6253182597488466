//! TCP streams that carry as many bytes as they can.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::joined;
use super::tcp::connect;
use crate::namespace::Ns;

const CHUNK: usize = 64 << 10;

/// Parallel streams from one namespace to another.
pub struct Bulk<'a> {
    /// Where the sender is, and its address.
    pub from: (&'a Ns, IpAddr),
    /// Where the receiver is, and what it listens to.
    pub to: (&'a Ns, SocketAddr),
    /// How many streams.
    pub streams: usize,
    /// When each stream ends.
    pub until: Until,
}

/// When a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// After this many bytes.
    Bytes(u64),
}

/// Bytes of all streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Handed to the kernel by the senders.
    pub sent: u64,
    /// Read by the receivers until the end of their streams.
    pub received: u64,
}

impl Bulk<'_> {
    /// Sends until each stream's end and returns when all bytes have been read.
    pub fn run(&self) -> Result<Totals> {
        let (ns, to) = self.to;
        let listener = ns
            .run(|| TcpListener::bind(to))
            .with_context(|| format!("listen on {to} in {}", ns.name()))?;
        std::thread::scope(|scope| {
            let (mut senders, mut receivers) = (Vec::new(), Vec::new());
            for _ in 0..self.streams {
                let stream = connect(self.from, to, Duration::from_secs(10))?;
                let (accepted, _) = listener.accept().context("accept a stream")?;
                receivers.push(scope.spawn(move || drain(accepted)));
                senders.push(scope.spawn(move || fill(&stream, self.until)));
            }
            Ok(Totals {
                sent: sum(senders)?,
                received: sum(receivers)?,
            })
        })
    }
}

fn sum(streams: Vec<ScopedJoinHandle<Result<u64>>>) -> Result<u64> {
    streams.into_iter().map(joined).sum()
}

fn fill(mut stream: &TcpStream, until: Until) -> Result<u64> {
    let (chunk, start, mut sent) = (vec![0; CHUNK], Instant::now(), 0);
    loop {
        let left = match until {
            Until::Elapsed(duration) if start.elapsed() < duration => CHUNK,
            Until::Elapsed(_) => 0,
            Until::Bytes(bytes) => (bytes - sent).min(CHUNK as u64) as usize,
        };
        if left == 0 {
            stream.shutdown(Shutdown::Write)?;
            return Ok(sent);
        }
        sent += stream.write(&chunk[..left]).context("send a stream")? as u64;
    }
}

fn drain(mut stream: TcpStream) -> Result<u64> {
    let (mut chunk, mut received) = (vec![0; CHUNK], 0);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(received),
            Ok(len) => received += len as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("receive a stream"),
        }
    }
}
