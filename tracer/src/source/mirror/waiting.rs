//! Waiting for sockets, for names of namespaces to come and go, and for the end.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::source::netns::find::NAMED;

/// Ends the waiting.
pub(super) struct Wake(OwnedFd);

/// What is waited for beside sockets.
pub(super) struct Waiting {
    end: OwnedFd,
    names: Option<OwnedFd>,
}

/// What there is to do.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) end: bool,
    /// A name of a namespace came or went.
    pub(super) names: bool,
    /// Which of the sockets has something, as indices.
    pub(super) sockets: Vec<usize>,
}

/// One that waits and one that ends it.
pub(super) fn pair() -> io::Result<(Wake, Waiting)> {
    // SAFETY: no pointers are involved.
    let end = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    let waiting = Waiting {
        end: end.try_clone()?,
        names: names().ok(),
    };
    Ok((Wake(end), waiting))
}

impl Wake {
    pub(super) fn end(&self) {
        let one = 1u64;
        // SAFETY: eight bytes that are valid while the call takes. It can't fail: nobody else writes.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

impl Waiting {
    /// Waits so long at most.
    pub(super) fn wait(&mut self, sockets: &[RawFd], longest: Duration) -> Ready {
        if self.names.is_none() {
            // The folder comes with the first named namespace.
            self.names = names().ok();
        }
        let names = self.names.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let own = [self.end.as_raw_fd(), names];
        let mut waited: Vec<libc::pollfd> = own
            .iter()
            .chain(sockets)
            .map(|&fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        let longest = i32::try_from(longest.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the list is as long as said, and valid while the call takes.
        let count = unsafe { libc::poll(waited.as_mut_ptr(), waited.len() as _, longest) };
        if count <= 0 {
            return Ready::default();
        }
        let has = |at: usize| waited[at].revents != 0;
        let ready = Ready {
            end: has(0),
            names: has(1),
            sockets: (0..sockets.len())
                .filter(|at| has(at + own.len()))
                .collect(),
        };
        if ready.names {
            self.forget_names();
        }
        ready
    }

    /// What came and went is looked for in the folder itself.
    fn forget_names(&self) {
        let mut buffer = [0u8; 4096];
        let Some(names) = &self.names else {
            return;
        };
        // SAFETY: the buffer is valid while the call takes, and as long as said.
        while unsafe { libc::read(names.as_raw_fd(), buffer.as_mut_ptr().cast(), 4096) } > 0 {}
    }
}

/// Tells when a name of a namespace comes or goes.
fn names() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are involved.
    let watch = owned(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
    let path = CString::new(NAMED)?;
    let events = libc::IN_CREATE | libc::IN_DELETE | libc::IN_MOVE;
    // SAFETY: the path ends with a zero and is valid while the call takes.
    let added = unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), events) };
    if added < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(watch)
}

fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel gave it just now, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
