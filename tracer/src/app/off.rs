//! `tracer off`: the agent ends, and nothing of it stays in the kernel.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::agent::lock;
use super::{Failure, configure, screen};
use crate::cli;
use crate::source::live::loaded;

/// What an agent is told, and how long it may take to follow.
///
/// SIGTERM is heard by one that works. SIGQUIT, which it does not catch, ends one that hangs, and a
/// service manager can tell it from all other ends. SIGKILL should never be needed.
const WORDS: [(Signal, Duration); 3] = [
    (Signal::TERM, Duration::from_millis(1_500)),
    (Signal::QUIT, Duration::from_millis(1_500)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// How long the kernel may take to free programs that nobody holds any more.
const FREED: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: &cli::Off) -> Result<ExitCode, Failure> {
    let socket = configure::off(arguments)?.ok_or_else(|| Failure::Refused {
        doing: "find the agent".to_owned(),
        because: "the configuration says that it has no socket".to_owned(),
        advice: "the service manager that started it".to_owned(),
    })?;
    let Some(agent) = Agent::find(&socket)? else {
        screen::show(&format!("no agent runs at {}\n", socket.display()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let programs = loaded::programs_of(agent.pid.as_raw_pid().unsigned_abs());
    agent.end()?;
    let deadline = Instant::now() + FREED;
    while !loaded::still_there(&programs).is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
    let left = loaded::still_there(&programs).len();
    if left > 0 {
        return Err(Failure::Refused {
            doing: format!("detach the programs of the agent {}", agent.pid),
            because: format!("it has ended, and {left} of them are held by another process"),
            advice: "`bpftool prog`, which names the processes".to_owned(),
        });
    }
    let count = programs.len();
    screen::show(&format!(
        "the agent {} has ended; {count} programs are detached\n",
        agent.pid
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// An agent that runs.
struct Agent {
    pid: Pid,
    /// Stands for this very process, also when another one has got its number.
    process: OwnedFd,
}

impl Agent {
    /// The agent that serves on a socket, if there is one.
    fn find(socket: &Path) -> Result<Option<Self>, Failure> {
        let path = lock::file_of(socket);
        let failed = |cause: io::Error| Failure::System {
            doing: format!("ask who holds {}", path.display()),
            cause,
            advice: "sudo tracer off",
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause)),
        };
        let Some(pid) = lock::holder(&file).map_err(failed)? else {
            return Ok(None);
        };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Ok(None),
            Err(cause) => return Err(failed(cause.into())),
        };
        // Had it ended before the second line, its number could be another's by now; but then it
        // does not hold the lock any more.
        let still = lock::holder(&file).map_err(failed)?;
        Ok((still == Some(pid)).then_some(Self { pid, process }))
    }

    /// Ends it, with as much force as it takes.
    fn end(&self) -> Result<(), Failure> {
        for (signal, patience) in WORDS {
            // One that was stopped hears no other signal before this one.
            for signal in [signal, Signal::CONT] {
                match pidfd_send_signal(&self.process, signal) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(cause) => return Err(self.failed(cause.into())),
                }
            }
            if self.has_ended(patience)? {
                return Ok(());
            }
            tracing::warn!("the agent {} does not follow {signal:?}", self.pid);
        }
        Err(self.failed(io::ErrorKind::TimedOut.into()))
    }

    fn has_ended(&self, patience: Duration) -> Result<bool, Failure> {
        let mut process = [PollFd::new(&self.process, PollFlags::IN)];
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        let ended = poll(&mut process, Some(&timeout));
        ended
            .map(|count| count > 0)
            .map_err(|cause| self.failed(cause.into()))
    }

    fn failed(&self, cause: io::Error) -> Failure {
        Failure::System {
            doing: format!("end the agent {}", self.pid),
            cause,
            advice: "sudo tracer off",
        }
    }
}
