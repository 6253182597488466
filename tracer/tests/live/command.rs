//! A `tracer` that runs beside the test, and what the kernel holds for it.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use aya::programs::loaded_programs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long it may take until the programs are attached, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// `BPF_PROG_TYPE_TRACING` of include/uapi/linux/bpf.h.
pub(crate) const TRACING: u32 = 26;

/// The command with arguments.
pub(crate) fn tracer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(arguments).env_remove("COLUMNS");
    command
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }
}

/// A program of a running `tracer`, as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) id: u32,
    pub(crate) kind: u32,
}

/// `tracer routes`, attached; it is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) programs: Vec<Program>,
    /// From the start of the process until the kernel had verified all its programs.
    pub(crate) loaded_in: Duration,
    /// From then until all were attached.
    pub(crate) attached_in: Duration,
}

impl Running {
    /// Starts it and waits until all its programs are attached.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments = [&["routes", "--duration", "60s"], arguments].concat();
        let mut command = tracer(&arguments);
        let start = Instant::now();
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self {
            child,
            programs: Vec::new(),
            loaded_in: Duration::ZERO,
            attached_in: Duration::ZERO,
        };
        loop {
            let links = running.links();
            if links == 0 {
                running.loaded_in = start.elapsed();
            } else if links == running.programs.len() {
                break;
            }
            assert_eq!(
                running.child.try_wait().unwrap(),
                None,
                "it ended before it was attached"
            );
            assert!(start.elapsed() < PATIENCE, "it does not attach");
            sleep(Duration::from_millis(1));
        }
        running.attached_in = start.elapsed().saturating_sub(running.loaded_in);
        running
    }

    /// How many programs are attached; all are loaded before the first one is.
    fn links(&mut self) -> usize {
        self.programs = programs_of(self.child.id());
        let held = held_by(self.child.id());
        held.iter()
            .filter(|text| number(text, "link_id:").is_some())
            .count()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Said {
        let (mut out, mut err) = (String::new(), String::new());
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        let code = self.child.wait().unwrap().code();
        Said { code, out, err }
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(self) -> Said {
        self.signal(Signal::SIGINT);
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which of these programs the kernel still has.
pub(crate) fn still_loaded(programs: &[Program]) -> Vec<u32> {
    let loaded = loaded_programs().flatten().map(|program| program.id());
    loaded
        .filter(|id| programs.iter().any(|program| program.id == *id))
        .collect()
}

/// The programs that a process holds.
pub(crate) fn programs_of(pid: u32) -> Vec<Program> {
    let held = held_by(pid).into_iter();
    held.filter(|text| number(text, "link_id:").is_none())
        .filter_map(|text| {
            Some(Program {
                id: number(&text, "prog_id:")?,
                kind: number(&text, "prog_type:")?,
            })
        })
        .collect()
}

/// What `/proc` tells of the files that a process holds.
fn held_by(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .collect()
}

fn number(text: &str, key: &str) -> Option<u32> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))?
        .trim()
        .parse()
        .ok()
}
