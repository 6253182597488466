//! Which process has a socket: by the links of `/proc/PID/fd`.

use std::collections::{HashMap, HashSet};
use std::io;

use super::credit::Credit;
use super::process;
use crate::model::name::Process;

/// The most sockets whose processes are remembered.
const REMEMBERED: usize = 16_384;

/// The most processes that are looked at before all others.
const LIKELY: usize = 64;

/// The processes of sockets.
#[derive(Default)]
pub(super) struct Processes {
    /// By the socket's inode: one that there is none for was looked for in vain.
    known: HashMap<u32, Option<Process>>,
    /// Processes that had sockets which were wanted, the last one last; others that are wanted may be
    /// theirs too.
    likely: Vec<u32>,
}

/// Sockets whose processes are looked for.
#[derive(Default)]
pub(super) struct Search {
    wanted: HashSet<u32>,
    /// Processes that are still to be looked at.
    left: Vec<u32>,
    /// Those that are wanted since this look at all processes began.
    looked_for: HashSet<u32>,
}

impl Search {
    /// Whether there are sockets whose processes are still looked for.
    pub(super) fn is_on(&self) -> bool {
        !self.wanted.is_empty()
    }
}

impl Processes {
    /// The process of a socket, where it is known.
    pub(super) fn of(&self, inode: u32) -> Option<Process> {
        self.known.get(&inode).cloned().flatten()
    }

    /// Has these looked for, unless they are known. What was looked for in vain is looked for again.
    pub(super) fn want(&mut self, search: &mut Search, inodes: impl Iterator<Item = u32>) {
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        for inode in inodes {
            if !matches!(self.known.get(&inode), Some(Some(_))) {
                search.wanted.insert(inode);
            }
        }
    }

    /// Looks at processes until all that is wanted is found, or the credit is gone; the next look
    /// goes on from there.
    pub(super) fn walk(&mut self, search: &mut Search, credit: &Credit) {
        // Another search may have found it.
        search
            .wanted
            .retain(|inode| !matches!(self.known.get(inode), Some(Some(_))));
        if search.left.is_empty() && search.is_on() && credit.is_left() {
            search.left = process::all();
            search.left.extend(&self.likely);
            search.looked_for.clone_from(&search.wanted);
        }
        while search.is_on() && credit.is_left() {
            let Some(pid) = search.left.pop() else {
                // Nobody has them: kernel threads' sockets, or the right to look is missing.
                for inode in search.looked_for.drain() {
                    search.wanted.remove(&inode);
                    self.known.entry(inode).or_insert(None);
                }
                return;
            };
            // It may be gone, or nobody's to look at.
            if let Ok(true) = self.look_at(pid, search) {
                self.likely.retain(|&it| it != pid);
                self.likely.push(pid);
                if self.likely.len() > LIKELY {
                    self.likely.remove(0);
                }
            }
        }
        if !search.is_on() {
            search.left.clear();
        }
    }

    /// Finds the sockets that are wanted among those of a process, and says whether it has any. A new
    /// one is as a rule the last of them, and nothing else is looked at when it is found.
    fn look_at(&mut self, pid: u32, search: &mut Search) -> io::Result<bool> {
        let descriptors = process::Descriptors::of(pid)?;
        let mut process = None;
        let mut has = false;
        for number in descriptors.numbers()?.into_iter().rev() {
            if !search.is_on() {
                break;
            }
            let inode = || descriptors.socket(number);
            let Some(inode) = inode().filter(|inode| search.wanted.contains(inode)) else {
                continue;
            };
            let process = process.get_or_insert_with(|| process::known(pid));
            // If it still has the socket then, that is whose it is: its number may be another
            // process's by now, but these descriptors never are.
            if process.command.is_some() && descriptors.socket(number) == Some(inode) {
                self.known.insert(inode, Some(process.clone()));
                search.wanted.remove(&inode);
                search.looked_for.remove(&inode);
                has = true;
            }
        }
        Ok(has)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn inode(socket: &TcpListener) -> u32 {
        let link = format!("/proc/self/fd/{}", socket.as_raw_fd());
        fs::metadata(link).unwrap().ino() as u32
    }

    #[test]
    fn a_socket_of_this_test_is_this_test_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = inode(&listener);
        let mut processes = Processes::default();
        let nobody_s = u32::MAX;
        let mut search = Search::default();
        processes.want(&mut search, [own, nobody_s].into_iter());
        let mut credit = Credit::default();
        credit.begin();
        processes.walk(&mut search, &credit);
        let command = process::command(std::process::id());
        assert_eq!(processes.of(own).unwrap().command, command);
        assert_eq!(processes.of(nobody_s), None);
        assert!(!search.is_on());
    }

    #[test]
    fn what_is_looked_for_in_vain_holds_up_no_other_search() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = inode(&listener);
        let mut processes = Processes::default();
        let (mut in_vain, mut search) = (Search::default(), Search::default());
        processes.want(&mut in_vain, [u32::MAX, own].into_iter());
        let mut credit = Credit::default();
        processes.walk(&mut in_vain, &Credit::gone());
        assert!(in_vain.is_on(), "there is no credit");
        processes.want(&mut search, [own].into_iter());
        credit.begin();
        processes.walk(&mut search, &credit);
        assert!(!search.is_on() && processes.of(own).is_some());
        // It is not looked for twice.
        processes.walk(&mut in_vain, &Credit::gone());
        assert_eq!(in_vain.wanted, HashSet::from([u32::MAX]));
    }
}
