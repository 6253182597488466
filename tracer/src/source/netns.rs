//! Network namespaces: finding, naming and entering them.

pub(super) mod find;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::live::rights::ForNames;
use crate::model::Namespace;

/// Since when the kernel tells a namespace's cookie (`SO_NETNS_COOKIE`); before, its inode is taken
/// for one, here and in the kernel half, though it is used again.
pub(super) const COOKIES: (u32, u32) = (5, 14);

/// The names of namespaces, by cookie.
#[derive(Default)]
pub(super) struct Namespaces {
    known: HashMap<u64, Known>,
    readings: u32,
}

/// A namespace that was asked for.
struct Known {
    namespace: Namespace,
    /// The reading that it was asked for in last.
    asked: u32,
    /// From which reading on its name is looked for again; none where it is found.
    again: Option<u32>,
    /// How many readings pass until the time after that.
    patience: u32,
}

/// After how many readings a namespace is forgotten that is not asked for.
const ABSENT: u32 = 60;

impl Namespaces {
    /// Another reading begins.
    pub(super) fn begin(&mut self) {
        self.readings = self.readings.wrapping_add(1);
        let now = self.readings;
        if now.is_multiple_of(ABSENT) {
            self.known
                .retain(|_, known| now.wrapping_sub(known.asked) < ABSENT);
        }
    }

    /// The namespace of a cookie, with the best name that there is now.
    ///
    /// An inode is used again as soon as its namespace is gone, so a name counts only when the
    /// namespace of that name has the cookie. One that is not found is looked for ever more seldom:
    /// it may be gone, and each look goes through all processes.
    pub(super) fn get(&mut self, cookie: u64, inode: u32) -> Namespace {
        self.look(cookie, inode).clone()
    }

    /// What the namespace of a cookie is called, by the best name that there is now.
    pub(super) fn called(&mut self, cookie: u64, inode: u32) -> &str {
        &self.look(cookie, inode).name
    }

    fn look(&mut self, cookie: u64, inode: u32) -> &Namespace {
        let now = self.readings;
        let known = self.known.entry(cookie).or_insert_with(|| Known {
            namespace: Namespace {
                name: format!("net:[{inode}]"),
                cookie,
                inode,
            },
            asked: now,
            again: Some(now),
            patience: 1,
        });
        known.asked = now;
        if known.again.is_some_and(|again| again <= now) {
            known.again = match name_of(cookie, inode) {
                Some(name) => {
                    known.namespace.name = name;
                    None
                }
                None => Some(now.wrapping_add(known.patience)),
            };
            known.patience = (known.patience * 2).min(ABSENT);
        }
        &known.namespace
    }
}

/// The cookie of the namespace of a name, or of a path.
///
/// # Errors
/// When there is no such namespace, or entering it needs more rights.
pub(super) fn cookie_of_name(name: &str) -> io::Result<u64> {
    let _rights = ForNames::take_up();
    let path = match name {
        "host" => find::host(),
        path if path.contains('/') => PathBuf::from(path),
        name => Path::new(find::NAMED).join(name),
    };
    cookie_at(&path)
}

fn name_of(cookie: u64, inode: u32) -> Option<String> {
    let _rights = ForNames::take_up();
    let found = find::all().remove(&inode)?;
    cookie_at(&found.path)
        .is_ok_and(|at| at == cookie)
        .then_some(found.name)
}

fn cookie_at(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let inode = file.metadata()?.ino();
    let cookie = inside(&file, || {
        let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
        Ok(cookie(socket.as_raw_fd()))
    })?;
    Ok(cookie.unwrap_or(inode))
}

/// Runs something inside a namespace, on a thread of its own. Sockets that it opens stay there.
///
/// # Errors
/// When it can't be entered.
pub(super) fn inside<T: Send>(
    namespace: &File,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    // The thread has those of the one that starts it.
    let _rights = ForNames::take_up();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new();
        let there = thread.spawn_scoped(scope, || {
            // SAFETY: a valid descriptor; only this thread changes its namespace, and it ends.
            if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            work()
        })?;
        let gone = || io::Error::other("the thread that entered it ended");
        there.join().unwrap_or_else(|_| Err(gone()))
    })
}

/// The cookie of a socket's namespace, never used twice before the next boot; none before Linux 5.14.
pub(super) fn cookie(socket: RawFd) -> Option<u64> {
    word(socket, libc::SO_NETNS_COOKIE)
}

/// A socket's option that is a number of eight bytes.
pub(super) fn word(socket: RawFd, option: libc::c_int) -> Option<u64> {
    let mut cookie = 0u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the value and its size are valid for as long as the call takes.
    let answer = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            option,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    (answer == 0).then_some(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_gone_is_named_by_its_inode() {
        let mut namespaces = Namespaces::default();
        assert_eq!(namespaces.get(u64::MAX, 1).name, "net:[1]");
    }

    #[test]
    fn a_namespace_that_cant_be_entered_is_an_error_that_says_why() {
        let absent = cookie_of_name("there-is-no-such-namespace").unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        let other = cookie_of_name("/proc/self/status").unwrap_err();
        assert_eq!(other.raw_os_error(), Some(libc::EINVAL), "{other}");
    }
}
