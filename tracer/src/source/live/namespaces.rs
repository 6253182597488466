//! Network namespaces and their names.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::kernel_types;
use super::rights::ForNames;
use crate::model::Namespace;

/// Since when the kernel tells a namespace's cookie (`SO_NETNS_COOKIE`); before, its inode is taken
/// for one, here and in the kernel half, though it is used again.
pub(super) const COOKIES: (u32, u32) = (5, 14);

/// The first process's namespace.
const FIRST: &str = "/proc/1/ns/net";

/// Where iproute2 keeps named namespaces.
const NAMED: &str = "/run/netns";

/// The names of namespaces, by cookie.
#[derive(Default)]
pub(super) struct Namespaces {
    known: HashMap<u64, Namespace>,
}

impl Namespaces {
    /// The namespace of a cookie, with the best name that there is now.
    ///
    /// An inode is used again as soon as its namespace is gone, so a name counts only when the
    /// namespace of that name has the cookie.
    pub(super) fn get(&mut self, cookie: u64, inode: u32) -> Namespace {
        if let Some(known) = self.known.get(&cookie) {
            return known.clone();
        }
        match name_of(cookie, inode) {
            Some(name) => {
                let namespace = Namespace {
                    name,
                    cookie,
                    inode,
                };
                self.known.insert(cookie, namespace.clone());
                namespace
            }
            None => Namespace {
                name: format!("net:[{inode}]"),
                cookie,
                inode,
            },
        }
    }
}

/// The cookie of the namespace of a name, or of a path.
///
/// # Errors
/// When there is no such namespace, or entering it needs more rights.
pub(super) fn cookie_of_name(name: &str) -> io::Result<u64> {
    let _rights = ForNames::take_up();
    if name == "host" {
        let first = Path::new(FIRST);
        return if fs::metadata(first).is_ok() {
            cookie_at(first)
        } else {
            own_cookie()
        };
    }
    let path = if name.contains('/') {
        PathBuf::from(name)
    } else {
        Path::new(NAMED).join(name)
    };
    cookie_at(&path)
}

fn name_of(cookie: u64, inode: u32) -> Option<String> {
    let _rights = ForNames::take_up();
    let is_it = |path: &Path| {
        fs::metadata(path).is_ok_and(|data| data.ino() == u64::from(inode))
            && cookie_at(path).is_ok_and(|found| found == cookie)
    };
    let is_host = match fs::metadata(FIRST) {
        Ok(_) => is_it(Path::new(FIRST)),
        // Whoever may not look into other processes takes the namespace that it was started in.
        Err(_) => own_cookie().is_ok_and(|own| own == cookie),
    };
    if is_host {
        return Some("host".to_owned());
    }
    let named = fs::read_dir(NAMED).into_iter().flatten().flatten();
    let mut fitting: Vec<_> = named
        .filter(|entry| is_it(&entry.path()))
        .map(|entry| entry.file_name())
        .collect();
    fitting.sort();
    if let Some(name) = fitting.first() {
        return Some(name.to_string_lossy().into_owned());
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let pid = pids
        .into_iter()
        .find(|pid| is_it(Path::new(&format!("/proc/{pid}/ns/net"))))?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{}[{pid}]", command.trim_end()))
}

/// The cookie of the namespace that a file stands for, asked from inside, on a thread of its own.
fn cookie_at(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    if kernel_types::release() < COOKIES {
        return Ok(file.metadata()?.ino());
    }
    std::thread::spawn(move || {
        // SAFETY: a valid file descriptor; only this thread changes its namespace, and it ends.
        if unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        own_cookie()
    })
    .join()
    .unwrap_or_else(|_| Err(io::Error::other("the thread that entered it ended")))
}

/// The cookie of this thread's namespace.
fn own_cookie() -> io::Result<u64> {
    /// include/uapi/asm-generic/socket.h
    const SO_NETNS_COOKIE: libc::c_int = 71;
    if kernel_types::release() < COOKIES {
        return Ok(fs::metadata("/proc/thread-self/ns/net")?.ino());
    }
    // SAFETY: no pointers are involved.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made just now and belongs to no one else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut cookie = 0u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the value and its size are valid for as long as the call takes.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    if answer == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_gone_is_named_by_its_inode() {
        let mut namespaces = Namespaces::default();
        assert_eq!(namespaces.get(u64::MAX, 1).name, "net:[1]");
    }
}
