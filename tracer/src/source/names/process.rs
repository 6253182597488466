//! What `/proc` tells of one process: its program and its control group, never its arguments.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, Mode, OFlags, open, readlinkat_raw};
use rustix::path::DecInt;

use crate::model::name::Process;
use crate::model::owner::Owner;

/// The processes that there are, by number.
pub(in crate::source) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids
}

/// The program's name.
pub(in crate::source) fn command(pid: u32) -> Option<String> {
    let command = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let command = String::from_utf8_lossy(&command).trim_end().to_owned();
    (!command.is_empty()).then_some(command)
}

/// Who looks after it.
pub(in crate::source) fn owner(pid: u32) -> Option<Owner> {
    of_groups(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// Both.
pub(super) fn known(pid: u32) -> Process {
    Process {
        command: command(pid),
        owner: owner(pid),
    }
}

/// What a process has open. They are that very process's: once it is over nothing is found any more,
/// whoever has its number then.
pub(super) struct Descriptors(OwnedFd);

impl Descriptors {
    /// Those of a process.
    ///
    /// # Errors
    /// When it is gone, or nobody may look.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(format!("/proc/{pid}/fd"), flags, Mode::empty())?))
    }

    /// Their numbers, as the kernel tells them: the lowest first.
    ///
    /// # Errors
    /// When the process is gone.
    pub(super) fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            numbers.extend(
                entry?
                    .file_name()
                    .to_str()
                    .ok()
                    .and_then(|it| it.parse::<u32>().ok()),
            );
        }
        Ok(numbers)
    }

    /// The inode of the socket that one of them is; none for anything else.
    pub(super) fn socket(&self, number: u32) -> Option<u32> {
        let mut link = [0; 64];
        let length = readlinkat_raw(&self.0, DecInt::new(number), &mut link).ok()?;
        inode(&link[..length])
    }
}

/// The number in `socket:[12345]`.
fn inode(link: &[u8]) -> Option<u32> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(number).ok()?.parse().ok()
}

/// The owner that cgroups(7)' lines of `number:controllers:path` name: version 2's, else systemd's,
/// else any.
fn of_groups(text: &str) -> Option<Owner> {
    let rows = || {
        let fields = |line: &'_ str| {
            let mut fields = line.splitn(3, ':').skip(1).map(str::to_owned);
            Some((fields.next()?, fields.next()?))
        };
        text.lines().filter_map(fields).collect::<Vec<_>>()
    };
    let mut rows = rows();
    let rank = |controllers: &str| match controllers {
        "" => 0,
        "name=systemd" => 1,
        _ => 2,
    };
    rows.sort_by_key(|(controllers, _)| rank(controllers));
    rows.iter().find_map(|(_, path)| Owner::of_cgroup(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_that_names_somebody_counts() {
        let unit = |name: &str| Some(Owner::Unit(name.to_owned()));
        for (text, expected) in [
            ("0::/system.slice/app.service\n", unit("app.service")),
            (
                "5:memory:/x\n1:name=systemd:/system.slice/app.service\n0::/\n",
                unit("app.service"),
            ),
            (
                "4:memory:/system.slice/other.service\n1:name=systemd:/system.slice/app.service\n",
                unit("app.service"),
            ),
            ("0::/\n", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(of_groups(text), expected, "{text}");
        }
    }

    #[test]
    fn this_test_has_a_program() {
        assert!(command(std::process::id()).is_some());
        assert_eq!(command(u32::MAX), None);
    }
}
