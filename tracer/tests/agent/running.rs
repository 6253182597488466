//! An agent that runs beside the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::asked::{Answer, ask};

/// How long a busy machine may take for what takes a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn recording() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/lab.json").to_owned()
}

/// A folder for one test alone, short enough for the name of a socket.
pub(crate) struct Folder(PathBuf);

pub(crate) fn folder() -> Folder {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tracer-agent-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    Folder(folder)
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind is no failure of what was tested.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `tracer run` with the lab's recording; it is ended when this is dropped.
pub(crate) struct Agent {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Folder,
    log: Arc<Mutex<String>>,
}

/// How an agent is started.
pub(crate) struct Start {
    pub(crate) folder: Folder,
    pub(crate) command: Command,
}

impl Start {
    /// With the lab's recording, on a port of its own.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::of(&recording(), arguments)
    }

    /// With a recording, on a port of its own.
    pub(crate) fn of(recording: &str, arguments: &[&str]) -> Self {
        Self::live(&[&["--replay", recording], arguments].concat())
    }

    /// On the running kernel, on a port of its own.
    pub(crate) fn live(arguments: &[&str]) -> Self {
        let folder = folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command.arg("run");
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !arguments.contains(&"--socket") {
            command.arg("--socket").arg(folder.join("sock"));
        }
        if !arguments.contains(&"--state-directory") {
            command.arg("--state-directory").arg(folder.join("state"));
        }
        command.args(arguments);
        Self { folder, command }
    }

    /// Waits until it listens.
    pub(crate) fn run(mut self) -> Agent {
        let mut child = self
            .command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *writer.lock().unwrap() += &(line + "\n");
            }
        });
        let mut agent = Agent {
            child,
            address: SocketAddr::from(([0; 4], 0)),
            folder: self.folder,
            log,
        };
        agent.address = agent.wait_for_address(0);
        agent
    }

    /// Waits until it has ended: its code, and what it said.
    pub(crate) fn fail(mut self) -> (Option<i32>, String) {
        let output = self.command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    }
}

impl Agent {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let agent = Start::new(arguments).run();
        agent.wait_until_ready();
        agent
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_until("it is ready", || {
            ask(self.address, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").code == 200
        });
    }

    /// The address that it said it listens on, the n-th one.
    pub(crate) fn wait_for_address(&self, nth: usize) -> SocketAddr {
        let mut found = None;
        wait_until("it listens", || {
            let log = self.log();
            let said = log
                .lines()
                .filter_map(|line| line.split_once("listening on "));
            found = said.filter_map(|(_, at)| at.parse().ok()).nth(nth);
            found.is_some()
        });
        found.unwrap()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_as(path, "*/*")
    }

    pub(crate) fn get_as(&self, path: &str, accept: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\n\r\n");
        ask(self.address, &head)
    }

    /// A series' value on the page of metrics; none where it is not there.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        metric(&self.get("/metrics").text(), series)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Tells it to end: its code, and how long that took.
    pub(crate) fn end(mut self, signal: Signal) -> (Option<i32>, Duration) {
        self.signal(signal);
        let start = Instant::now();
        let code = self.child.wait().unwrap().code();
        (code, start.elapsed())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn metric(page: &str, series: &str) -> Option<f64> {
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A file in a folder.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
