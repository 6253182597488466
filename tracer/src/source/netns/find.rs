//! Finding network namespaces: those that have names, and those of processes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::owner::Owner;
use crate::source::names::process;

/// Where iproute2 keeps named namespaces.
pub(in crate::source) const NAMED: &str = "/run/netns";

/// The first process's namespace.
const FIRST: &str = "/proc/1/ns/net";

/// The only one that needs no right to look at.
const OWN: &str = "/proc/self/ns/net";

/// A namespace that can be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Found {
    /// The best name that it has: "host", that of `ip netns`, a container or pod, or a process in it.
    pub(in crate::source) name: String,
    /// A file that stands for it.
    pub(in crate::source) path: PathBuf,
}

/// The namespaces by their inodes.
pub(in crate::source) type Namespaces = BTreeMap<u32, Found>;

/// Those that can be found now. The host's own and named ones are named as such; any other is known
/// by the process in it that has the lowest number, which is its oldest as a rule.
pub(in crate::source) fn all() -> Namespaces {
    Finder::default().all()
}

/// In how many looks each process is looked at once, and how often it is at first: who runs something
/// in a namespace of its own enters that soon after it was born.
const EACH: u32 = 4;

/// Finds namespaces again and again, and does not look at all processes each time.
#[derive(Default)]
pub(in crate::source) struct Finder {
    processes: HashMap<u32, Seen>,
    found: Namespaces,
    looks: u32,
}

/// A process, when it was looked at.
#[derive(Clone, Copy)]
struct Seen {
    inode: u32,
    looks: u32,
}

impl Finder {
    /// Those that can be found now; a process that went to another one is noticed after a few calls.
    pub(in crate::source) fn all(&mut self) -> Namespaces {
        self.looks = self.looks.wrapping_add(1);
        let mut found = Namespaces::new();
        add(&mut found, &host(), || "host".to_owned());
        named(&mut found);
        let own = std::process::id();
        add(&mut found, Path::new(OWN), || name(own));
        let before = std::mem::take(&mut self.processes);
        for pid in process::all() {
            let path = || PathBuf::from(format!("/proc/{pid}/ns/net"));
            let seen = before.get(&pid).copied();
            let is_turn = pid.wrapping_add(self.looks).is_multiple_of(EACH);
            let known = seen.filter(|seen| seen.looks >= EACH && !is_turn);
            let Some(inode) = known.map(|it| it.inode).or_else(|| inode(&path())) else {
                continue;
            };
            let looks = seen.map_or(0, |it| it.looks).saturating_add(1);
            self.processes.insert(pid, Seen { inode, looks });
            found.entry(inode).or_insert_with(|| {
                let path = path();
                let before = self.found.get(&inode).filter(|_| known.is_some());
                let before = before.filter(|it| it.path == path);
                before.cloned().unwrap_or_else(|| Found {
                    name: name(pid),
                    path,
                })
            });
        }
        self.found.clone_from(&found);
        found
    }
}

/// The file of the namespace that has this name in what is shown.
pub(in crate::source) fn by_name(name: &str) -> Option<PathBuf> {
    let mut all = all();
    let inode = name
        .strip_prefix("net:[")
        .and_then(|it| it.strip_suffix(']'));
    if let Some(inode) = inode.and_then(|it| it.parse().ok()) {
        return all.remove(&inode).map(|it| it.path);
    }
    all.into_values()
        .find(|it| it.name == name)
        .map(|it| it.path)
}

/// The host's own. Whoever may not look into other processes takes the namespace that it was started
/// in.
pub(in crate::source) fn host() -> PathBuf {
    let is_seen = fs::metadata(FIRST).is_ok();
    PathBuf::from(if is_seen { FIRST } else { OWN })
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
    device(path) == device(Path::new(OWN))
}

fn add(found: &mut Namespaces, path: &Path, name: impl FnOnce() -> String) {
    if let Some(inode) = inode(path) {
        found.entry(inode).or_insert_with(|| Found {
            name: name(),
            path: path.to_owned(),
        });
    }
}

fn inode(path: &Path) -> Option<u32> {
    fs::metadata(path).map(|data| data.ino() as u32).ok()
}

/// What a process's namespace is called: containers of a pod share theirs.
fn name(pid: u32) -> String {
    match process::owner(pid) {
        Some(Owner::Container(it)) => match it.pod {
            Some(pod) => format!("pod {pod}"),
            None => format!("{} {}", it.runtime, it.id),
        },
        Some(Owner::Unit(_)) | None => {
            format!("{}[{pid}]", process::command(pid).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_again_finds_the_same() {
        let mut finder = Finder::default();
        let first = finder.all();
        assert!(!first.is_empty());
        let own = inode(Path::new(OWN)).unwrap();
        for _ in 0..=2 * EACH {
            let again = finder.all();
            assert_eq!(again.get(&own), first.get(&own));
            // A process is looked at as soon as it is there.
            assert!(finder.processes.contains_key(&std::process::id()));
        }
    }
}
