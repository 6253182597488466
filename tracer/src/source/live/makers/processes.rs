//! What a process is called: its ancestry, who logged in, and what it belongs to.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracer_common::maker::{Making, NO_USER};

use crate::model::journal::{Process, Task};
use crate::model::owner::Owner;
use crate::source::live::assemble::text;
use crate::source::names::process;

/// Where control groups (version 2) are mounted.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// How often the tree of control groups is looked through for one that is not known, at most.
const LOOK: Duration = Duration::from_secs(1);

/// How many processes and groups are remembered.
const KNOWN: usize = 4096;

/// Nanoseconds of a tick of `/proc/PID/stat`: `USER_HZ` is 100 everywhere that Linux has BPF.
const TICK_NS: u64 = 10_000_000;

/// Processes that made changes.
#[derive(Default)]
pub(super) struct Processes {
    known: HashMap<(u32, u64), Arc<Process>>,
    groups: HashMap<u64, Option<Owner>>,
    looked: Option<Instant>,
}

impl Processes {
    /// The process of a record.
    pub(super) fn of(&mut self, making: &Making) -> Arc<Process> {
        let ancestry = ancestry(making);
        let identity = ancestry
            .first()
            .map_or((0, 0), |task| (task.pid, task.start_ns));
        // A process may become another program.
        let known = self.known.get(&identity);
        if let Some(known) = known.filter(|it| it.ancestry == ancestry) {
            return Arc::clone(known);
        }
        let login_uid = (making.login_uid != NO_USER).then_some(making.login_uid);
        let process = Arc::new(Process {
            uid: making.uid,
            login_uid,
            login: login_uid.and_then(user),
            owner: self.owner(making),
            ancestry,
        });
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(identity, Arc::clone(&process));
        process
    }

    /// By the process while it lives, else by its control group.
    fn owner(&mut self, making: &Making) -> Option<Owner> {
        let maker = &making.ancestry[0];
        let owner = process::owner(maker.tgid);
        if is_alive(maker.tgid, maker.start_ns) {
            return owner;
        }
        if !self.groups.contains_key(&making.cgroup) && self.may_look() {
            self.look();
        }
        let known = self.groups.get(&making.cgroup);
        known.cloned().flatten()
    }

    fn may_look(&mut self) -> bool {
        let rested = self.looked.is_none_or(|at| at.elapsed() > LOOK);
        if rested {
            self.looked = Some(Instant::now());
        }
        rested
    }

    /// A control group's number is its folder's inode.
    fn look(&mut self) {
        self.groups.clear();
        let version_2 = |root: &&str| Path::new(root).join("cgroup.procs").exists();
        let Some(root) = GROUPS.into_iter().find(version_2) else {
            return;
        };
        let mut folders = vec![PathBuf::from(root)];
        while let Some(folder) = folders.pop() {
            if self.groups.len() >= KNOWN {
                return;
            }
            let path = folder.strip_prefix(root).unwrap_or(&folder);
            let owner = Owner::of_cgroup(&path.to_string_lossy());
            if let Ok(data) = fs::metadata(&folder) {
                self.groups.insert(data.ino(), owner);
            }
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let below = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
            folders.extend(below.map(|entry| entry.path()));
        }
    }
}

/// The processes of a record; the first one, which is everyone's ancestor, is left out.
fn ancestry(making: &Making) -> Vec<Task> {
    let filled = making.ancestry.iter().take(making.processes as usize);
    let named = filled.enumerate();
    let named = named.filter(|(at, task)| *at == 0 || task.tgid != 1);
    named
        .map(|(_, task)| Task {
            pid: task.tgid,
            start_ns: task.start_ns,
            command: text(&task.comm),
        })
        .collect()
}

/// Whether it is still that very process.
fn is_alive(pid: u32, start_ns: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    stat.and_then(|stat| started(&stat)) == Some(start_ns / TICK_NS)
}

/// The 22nd field of `/proc/PID/stat`; the name, which may hold anything, is the second.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(22 - 3)?.parse().ok()
}

/// A user's name, from this host's own list.
fn user(uid: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    name_in(&users, uid)
}

fn name_in(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(name_in(users, 1000).as_deref(), Some("alice"));
        assert_eq!(name_in(users, 7), None);
    }

    #[test]
    fn a_process_that_has_another_ones_number_is_not_taken_for_it() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let start_ns = started(&stat).unwrap() * TICK_NS;
        assert!(is_alive(std::process::id(), start_ns));
        assert!(!is_alive(std::process::id(), start_ns + TICK_NS));
    }
}
