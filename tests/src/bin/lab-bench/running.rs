//! `tracer run`, beside the bench: what it takes of the machine, and what it answers.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// How long anything may take that takes a moment.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many were started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// An agent; it is ended when this is dropped.
pub(crate) struct Agent {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the first reading.
    pub(crate) ready_in: Duration,
    folder: PathBuf,
}

/// A page.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
}

impl Agent {
    /// Starts one with a configuration, on a port of its own, and waits for its first reading.
    pub(crate) fn start(config: &str, arguments: &[&str]) -> Result<Self> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("tracer-bench-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).context("make a folder")?;
        let file = folder.join("tracer.toml");
        fs::write(&file, config).context("write a configuration")?;
        let start = Instant::now();
        let mut child = Command::new(program()?)
            .args(["run", "--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            // What other runs left on disk is not this host's, and takes its time to be read.
            .arg("--state-directory")
            .arg(folder.join("state"))
            .arg("--socket")
            .arg(folder.join("sock"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start tracer run")?;
        let said = child.stderr.take().context("hear what it says")?;
        let address = address(&hear(said))?;
        let mut agent = Self {
            child,
            address,
            ready_in: Duration::ZERO,
            folder,
        };
        agent.wait_until("it is ready", |agent| {
            agent.get("/readyz").is_ok_and(|it| it.code == 200)
        })?;
        agent.ready_in = start.elapsed();
        Ok(agent)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something holds.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !holds(self) {
            ensure!(start.elapsed() < PATIENCE, "wait until {what}: it does not");
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// A page, as text unless something else is asked for.
    pub(crate) fn get_as(&self, path: &str, accept: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address).context("connect to the agent")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        )?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let body = bytes.split_off(end.context("read the agent's answer")? + 4);
        let head = String::from_utf8_lossy(&bytes);
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok(Answer {
            code: code.context("read the agent's answer")?,
            body,
        })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.get_as(path, "*/*")
    }

    /// The sum of the values of all series that begin so.
    pub(crate) fn metric(&self, series: &str) -> Result<f64> {
        let page = self.get("/metrics")?.body;
        let page = String::from_utf8_lossy(&page);
        let lines = page.lines().filter(|line| line.starts_with(series));
        Ok(lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum())
    }

    /// Processor time that it took so far, in nanoseconds: of its threads that are over too.
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.id().cast_signed()));
        let took = clock.and_then(clock_gettime).context("read its clock")?;
        Ok(u64::try_from(Duration::from(took).as_nanos())?)
    }

    /// Memory that it holds, in bytes: all, and that of the kernel's maps that it sees.
    pub(crate) fn memory(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let bytes = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        let all = bytes("VmRSS:").context("read its memory")?;
        let own = bytes("RssAnon:").context("read its memory")?;
        Ok((all, all - own))
    }

    /// What it holds: open files, threads, programs and maps.
    pub(crate) fn holds(&self) -> Result<Held> {
        let count = |folder: &str| -> Result<usize> {
            Ok(fs::read_dir(format!("/proc/{}/{folder}", self.id()))?.count())
        };
        let mut held = Held {
            files: count("fd")?,
            threads: count("task")?,
            ..Held::default()
        };
        for file in fs::read_dir(format!("/proc/{}/fdinfo", self.id()))?.flatten() {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            let is = |word: &str| text.lines().any(|line| line.starts_with(word));
            held.maps += usize::from(is("map_id:"));
            held.programs += usize::from(is("prog_id:") && !is("link_id:"));
        }
        Ok(held)
    }

    /// Ends it as systemd does: how long that took.
    pub(crate) fn end(mut self) -> Result<Duration> {
        let start = Instant::now();
        kill(Pid::from_raw(self.id().cast_signed()), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "end the agent: {status}");
        Ok(start.elapsed())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be over already, and a folder left behind is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) files: usize,
    pub(crate) threads: usize,
    pub(crate) programs: usize,
    pub(crate) maps: usize,
}

/// The agent that was built beside this program.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe().context("find this program")?;
    let program = here.parent().unwrap_or(Path::new("/")).join("tracer");
    ensure!(
        program.exists(),
        "find {}: build it in the same profile, as cargo xtask bench does",
        program.display()
    );
    Ok(program)
}

/// Passes on what it says, which nobody may leave unread.
fn hear(said: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            eprintln!("  agent: {line}");
            // Whoever waits for the address listens no longer.
            let _ = tell.send(line);
        }
    });
    lines
}

fn address(lines: &Receiver<String>) -> Result<SocketAddr> {
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        let at = line.split_once("listening on ").map(|(_, at)| at);
        if let Some(address) = at.and_then(|at| at.parse().ok()) {
            return Ok(address);
        }
    }
    bail!("start tracer run: it does not listen");
}
