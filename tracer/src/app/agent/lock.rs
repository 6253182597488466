//! A lock beside the agent's socket, by which the kernel itself says who the agent is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use super::listen::{no_socket, taken};
use crate::app::Failure;

/// A lock that this process holds until this is dropped.
///
/// It is one of POSIX: whoever can read the file is told by the kernel which process holds it, and
/// it goes with that process. The file stays, and says nothing. A socket would say who made it as
/// well, but not while its queue is full, as that of an agent that hangs will be.
pub(super) struct Lock(#[expect(dead_code, reason = "closing it gives the lock back")] File);

impl Lock {
    /// Takes the lock of a socket.
    pub(super) fn take(socket: &Path) -> Result<Self, Failure> {
        let failed = |cause: io::Error| no_socket(socket, cause);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            // Whoever may lock it could pass for the agent.
            .mode(0o600)
            .open(file_of(socket))
            .map_err(failed)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(taken(socket)),
            Err(cause) => Err(failed(cause.into())),
        }
    }
}

/// The file that the agent of a socket locks.
pub(in crate::app) fn file_of(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The process that holds a lock; none where nobody does.
///
/// # Errors
/// When the kernel can't say, or the process is in another PID namespace.
pub(in crate::app) fn holder(file: impl AsFd) -> io::Result<Option<Pid>> {
    let held = fcntl_getlk(file, &Flock::from(FlockType::ReadLock))?;
    let Some(held) = held.filter(|held| held.typ == FlockType::WriteLock) else {
        return Ok(None);
    };
    let unseen = || io::Error::other("the agent is in another PID namespace");
    held.pid.map(Some).ok_or_else(unseen)
}
