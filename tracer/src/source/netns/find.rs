//! Finding network namespaces: those that have names, and those of processes.

use std::collections::BTreeMap;
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
    let mut found = Namespaces::new();
    add(&mut found, &host(), || "host".to_owned());
    named(&mut found);
    let own = std::process::id();
    add(&mut found, Path::new(OWN), || name(own));
    for pid in process::all() {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        add(&mut found, &path, || name(pid));
    }
    found
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
    let Ok(data) = fs::metadata(path) else {
        return;
    };
    found.entry(data.ino() as u32).or_insert_with(|| Found {
        name: name(),
        path: path.to_owned(),
    });
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
