//! What `/proc` tells of one process: its program and its control group, never its arguments.

use std::fs;
use std::path::Path;

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

/// Both, if the process still has the socket then: a number may be another process's by now.
pub(super) fn known(pid: u32, descriptor: &Path, link: &Path) -> Option<Process> {
    let process = Process {
        command: command(pid),
        owner: owner(pid),
    };
    let is_same = fs::read_link(descriptor).is_ok_and(|it| it == link);
    (is_same && process.command.is_some()).then_some(process)
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
