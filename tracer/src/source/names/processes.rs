//! Which process has a socket: by the links of `/proc/PID/fd`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::credit::Credit;
use super::process;
use crate::model::name::Process;

/// The most sockets whose processes are remembered.
const REMEMBERED: usize = 16_384;

/// The processes of sockets.
#[derive(Default)]
pub(super) struct Processes {
    /// By the socket's inode: one that there is none for was looked for in vain.
    known: HashMap<u32, Option<Process>>,
    wanted: HashSet<u32>,
    /// Processes that are still to be looked at.
    left: Vec<u32>,
    /// Those that are wanted since this look at all processes began.
    looked_for: HashSet<u32>,
    /// Processes that had sockets which were wanted; others that are wanted may be theirs too.
    likely: Vec<u32>,
}

impl Processes {
    /// The process of a socket, where it is known.
    pub(super) fn of(&self, inode: u32) -> Option<Process> {
        self.known.get(&inode).cloned().flatten()
    }

    /// Has these looked for, unless they are known. What was looked for in vain is looked for again.
    pub(super) fn want(&mut self, inodes: impl Iterator<Item = u32>) {
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        for inode in inodes {
            if !matches!(self.known.get(&inode), Some(Some(_))) {
                self.wanted.insert(inode);
            }
        }
    }

    /// Whether there are sockets whose processes are still looked for.
    pub(super) fn is_looking(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Looks at processes until all that is wanted is found, or the credit is gone; the next look
    /// goes on from there.
    pub(super) fn walk(&mut self, credit: &Credit) {
        if self.left.is_empty() && !self.wanted.is_empty() {
            self.left = process::all();
            self.likely.dedup();
            self.left.append(&mut self.likely);
            self.looked_for.clone_from(&self.wanted);
        }
        while !self.wanted.is_empty() && credit.is_left() {
            let Some(pid) = self.left.pop() else {
                // Nobody has them: kernel threads' sockets, or the right to look is missing.
                for inode in self.looked_for.drain() {
                    self.wanted.remove(&inode);
                    self.known.entry(inode).or_insert(None);
                }
                return;
            };
            self.look_at(pid);
        }
        if self.wanted.is_empty() {
            self.left.clear();
        }
    }

    fn look_at(&mut self, pid: u32) {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return;
        };
        let mut had = false;
        for descriptor in descriptors.flatten() {
            let path = descriptor.path();
            let Ok(link) = fs::read_link(&path) else {
                continue;
            };
            let Some(inode) = inode(&link).filter(|inode| self.wanted.contains(inode)) else {
                continue;
            };
            if let Some(process) = process::known(pid, &path, &link) {
                self.known.insert(inode, Some(process));
                self.wanted.remove(&inode);
                self.looked_for.remove(&inode);
                had = true;
            }
        }
        if had {
            self.likely.retain(|&it| it != pid);
            self.likely.push(pid);
        }
    }
}

/// The number in `socket:[12345]`.
fn inode(link: &Path) -> Option<u32> {
    let number = link.to_str()?.strip_prefix("socket:[")?;
    number.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_socket_of_this_test_is_this_test_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = fs::metadata(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&listener)
        ));
        let own = file.unwrap().ino() as u32;
        let mut processes = Processes::default();
        let nobody_s = u32::MAX;
        processes.want([own, nobody_s].into_iter());
        let mut credit = Credit::default();
        credit.begin();
        processes.walk(&credit);
        let command = process::command(std::process::id());
        assert_eq!(processes.of(own).unwrap().command, command);
        assert_eq!(processes.of(nobody_s), None);
        assert!(processes.wanted.is_empty());
    }
}
