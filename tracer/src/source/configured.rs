//! The routes that files ask for: each owner's files, read as they stand.

mod bird;
mod cni;
mod drop_ins;
mod frr;
mod ifupdown;
mod ini;
mod lease;
mod netplan;
mod network_manager;
mod networkd;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::model::blame::{Configured, Daemon, Declared, Manager, Place, Problem};

/// The largest file that is read: routes are lines.
const LARGEST: u64 = 8 << 20;

/// A file with what it is.
struct Text<'a> {
    manager: Manager,
    /// Its name below the root, as people know it.
    file: &'a str,
    content: &'a str,
    /// The names of devices by number.
    devices: &'a BTreeMap<u32, String>,
}

/// What a file asks for.
#[derive(Default)]
struct Found {
    routes: Vec<Declared>,
    daemons: Vec<Daemon>,
    problems: Vec<Problem>,
    /// Files that it names, as patterns.
    more: Vec<String>,
}

impl Found {
    fn problem(&mut self, text: &Text<'_>, line: Option<usize>, because: impl Into<String>) {
        self.problems.push(Problem {
            file: text.file.to_owned(),
            line,
            because: because.into(),
        });
    }
}

impl Text<'_> {
    fn place(&self, line: usize) -> Place {
        Place {
            manager: self.manager,
            file: self.file.to_owned(),
            line,
        }
    }
}

/// Where an owner's files are, and how they are read. A folder that comes earlier wins over a file of
/// the same name in one that comes later.
struct Source {
    manager: Manager,
    /// Folders, with the endings of files in them; or a file, with no ending.
    places: &'static [(&'static str, &'static [&'static str])],
    read: fn(&Text<'_>) -> Found,
}

const SOURCES: [Source; 9] = [
    Source {
        manager: Manager::Netplan,
        places: &[
            ("run/netplan", &[".yaml"]),
            ("etc/netplan", &[".yaml"]),
            ("lib/netplan", &[".yaml"]),
        ],
        read: netplan::read,
    },
    Source {
        manager: Manager::Networkd,
        places: &[
            ("etc/systemd/network", &[".network"]),
            ("run/systemd/network", &[".network"]),
            ("usr/local/lib/systemd/network", &[".network"]),
            ("usr/lib/systemd/network", &[".network"]),
        ],
        read: networkd::read,
    },
    Source {
        manager: Manager::NetworkManager,
        places: &[
            (
                "run/NetworkManager/system-connections",
                &["", ".nmconnection"],
            ),
            (
                "etc/NetworkManager/system-connections",
                &["", ".nmconnection"],
            ),
            (
                "usr/lib/NetworkManager/system-connections",
                &[".nmconnection"],
            ),
        ],
        read: network_manager::read,
    },
    Source {
        manager: Manager::Ifupdown,
        places: &[("etc/network/interfaces", &[])],
        read: ifupdown::read,
    },
    Source {
        manager: Manager::Frr,
        places: &[
            ("etc/frr/frr.conf", &[]),
            ("etc/frr/staticd.conf", &[]),
            ("etc/frr/zebra.conf", &[]),
            ("etc/frr/bgpd.conf", &[]),
            ("etc/frr/ospfd.conf", &[]),
        ],
        read: frr::read,
    },
    Source {
        manager: Manager::Bird,
        places: &[("etc/bird/bird.conf", &[]), ("etc/bird.conf", &[])],
        read: bird::read,
    },
    Source {
        manager: Manager::Dhcp,
        places: &[
            ("run/systemd/netif/leases", &[""]),
            ("var/lib/NetworkManager", &[".lease"]),
        ],
        read: lease::keys,
    },
    Source {
        manager: Manager::Dhcp,
        places: &[
            ("var/lib/dhcp", &[".leases"]),
            ("var/lib/dhclient", &[".leases"]),
        ],
        read: lease::dhclient,
    },
    Source {
        manager: Manager::Cni,
        places: &[("etc/cni/net.d", &[".conflist", ".conf", ".json"])],
        read: cni::read,
    },
];

/// Reads what there is below a root; devices are known by the kernel's numbers.
pub fn read(root: &Path, devices: &BTreeMap<u32, String>) -> Configured {
    let mut all = Configured::default();
    for source in &SOURCES {
        let mut names = Vec::new();
        for (place, endings) in source.places {
            for path in files(root, place, endings, &mut all.problems) {
                let name = path.file_name().unwrap_or_default().to_owned();
                // What comes first hides the same name elsewhere; files by path have no rank.
                if endings.is_empty() || !names.contains(&name) {
                    names.push(name);
                    one(source, root, &path, devices, &mut all, 0);
                    if source.manager == Manager::Networkd {
                        drop_ins::read(source, root, &path, devices, &mut all);
                    }
                }
            }
        }
    }
    without_renderings(&mut all.routes);
    all.problems.sort();
    all.problems.dedup();
    all
}

/// A file of whichever owner; the first byte chooses one.
#[cfg(feature = "fuzz")]
pub fn fuzz(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    let source = &SOURCES[usize::from(which) % SOURCES.len()];
    if let Ok(content) = str::from_utf8(bytes) {
        (source.read)(&Text {
            manager: source.manager,
            file: "/fuzz",
            content,
            devices: &BTreeMap::from([(2, "eth0".to_owned())]),
        });
    }
}

/// How deep files may name others.
const DEEPEST: usize = 8;

fn one(
    source: &Source,
    root: &Path,
    path: &Path,
    devices: &BTreeMap<u32, String>,
    all: &mut Configured,
    depth: usize,
) {
    let below = path.strip_prefix(root).unwrap_or(path);
    let file = format!("/{}", below.display());
    let text = match contents(path) {
        Ok(text) => text,
        Err(because) => {
            all.problems.push(Problem {
                file,
                line: None,
                because,
            });
            return;
        }
    };
    let found = (source.read)(&Text {
        manager: source.manager,
        file: &file,
        content: &text,
        devices,
    });
    all.routes.extend(found.routes);
    all.daemons.extend(found.daemons);
    all.problems.extend(found.problems);
    if depth == DEEPEST {
        return;
    }
    for pattern in found.more {
        for path in words::matching(root, path, &pattern) {
            one(source, root, &path, devices, all, depth + 1);
        }
    }
}

fn contents(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())
}

/// The files of a place, by name; that there are none is no problem.
fn files(root: &Path, place: &str, endings: &[&str], problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let path = root.join(place);
    if endings.is_empty() {
        return path.is_file().then_some(path).into_iter().collect();
    }
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Vec::new();
        }
        Err(error) => {
            problems.push(Problem {
                file: format!("/{place}"),
                line: None,
                because: error.to_string(),
            });
            return Vec::new();
        }
    };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ending = name.rfind('.').map_or("", |at| &name[at..]);
        endings.contains(&ending) && (path.is_file() || is_masked(path))
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(fits);
    files.sort();
    files
}

/// Whether a file is a link to `/dev/null`, which hides those of its name elsewhere (systemd.network(5)).
fn is_masked(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|path| path == Path::new("/dev/null"))
}

/// Netplan writes what it was told for networkd and `NetworkManager`: netplan's line is the one to
/// change.
fn without_renderings(routes: &mut Vec<Declared>) {
    let told: Vec<Declared> = routes.clone();
    let is_netplan = |it: &&Declared| it.place.manager == Manager::Netplan;
    routes.retain(|route| {
        let name = route.place.file.rsplit('/').next().unwrap_or_default();
        let rendered = route.place.file.starts_with("/run/")
            && (name.starts_with("10-netplan-") || name.starts_with("netplan-"));
        let same = |it: &Declared| it.prefix == route.prefix && it.gateways == route.gateways;
        !(rendered && told.iter().filter(is_netplan).any(same))
    });
}
