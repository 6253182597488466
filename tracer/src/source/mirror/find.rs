//! Which network namespaces there are: named ones, and those of processes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where iproute2 keeps named namespaces.
pub(super) const NAMED: &str = "/run/netns";

/// A namespace that can be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The best name that it has: "host", that of `ip netns`, or a process in it.
    pub(super) name: String,
    /// A file that stands for it.
    pub(super) path: PathBuf,
}

/// The namespaces by their inodes.
pub(super) type Namespaces = BTreeMap<u32, Found>;

/// Those that can be found now. The host's own and named ones are named as such; any other is known
/// by the process in it that has the lowest number, which is its oldest as a rule.
pub(super) fn all() -> Namespaces {
    let mut found = Namespaces::new();
    let host = Path::new("/proc/1/ns/net");
    add(&mut found, host, || "host".to_owned());
    named(&mut found);
    // The only one that needs no right to look at.
    let own = std::process::id();
    add(&mut found, Path::new("/proc/self/ns/net"), || process(own));
    for pid in processes() {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        add(&mut found, &path, || process(pid));
    }
    found
}

fn named(found: &mut Namespaces) {
    let entries = fs::read_dir(NAMED).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| is_namespace(path)) {
        let name = path.file_name().unwrap_or_default();
        add(found, path, || name.to_string_lossy().into_owned());
    }
}

/// Whether a namespace is mounted there: `ip netns` makes the file first, and mounts it then.
fn is_namespace(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    device(path) == device(Path::new("/proc/self/ns/net"))
}

fn add(found: &mut Namespaces, path: &Path, name: impl FnOnce() -> String) {
    let Ok(data) = fs::metadata(path) else {
        return;
    };
    found.entry(data.ino() as u32).or_insert_with(|| Found {
        name: name(),
        path: path.to_owned(),
    });
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids
}

fn process(pid: u32) -> String {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{}[{pid}]", command.trim_end())
}
