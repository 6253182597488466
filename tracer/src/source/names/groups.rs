//! Control groups by their numbers: sockets tell the one that they were made in, which needs no right
//! to look into processes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::credit::Credit;
use crate::model::owner::Owner;

/// Where version 2 is: alone, or beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// How long after a look there is no other one, whatever is not known.
const REST: Duration = Duration::from_secs(10);

/// The most groups that are remembered.
const MOST: usize = 65_536;

/// The owners of control groups.
#[derive(Default)]
pub(super) struct Groups {
    owners: HashMap<u64, Option<Owner>>,
    looked: Option<Instant>,
}

impl Groups {
    /// The owner of a group, by its number, which is its folder's inode (Linux 5.5).
    ///
    /// None for those of the service manager itself: it makes sockets for services that are not
    /// started yet.
    pub(super) fn owner(&mut self, number: u64, credit: &Credit) -> Option<Owner> {
        let rests = self.looked.is_some_and(|it| it.elapsed() < REST);
        if !self.owners.contains_key(&number) && !rests && credit.is_left() {
            self.look(credit);
            self.looked = Some(Instant::now());
        }
        self.owners.get(&number).cloned().flatten()
    }

    fn look(&mut self, credit: &Credit) {
        self.owners.clear();
        let is_root = |root: &&&str| Path::new(root).join("cgroup.procs").is_file();
        let Some(root) = ROOTS.iter().find(is_root) else {
            return;
        };
        let mut left = vec![PathBuf::from(root)];
        while let Some(folder) = left.pop() {
            if self.owners.len() > MOST || !credit.is_left() {
                return;
            }
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            for entry in entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())) {
                let path = entry.path();
                self.owners.insert(entry.ino(), owner(&path, root));
                left.push(path);
            }
        }
    }
}

fn owner(folder: &Path, root: &str) -> Option<Owner> {
    let path = folder.strip_prefix(root).ok()?.to_str()?;
    if path.ends_with("init.scope") {
        return None;
    }
    Owner::of_cgroup(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_owns_no_socket() {
        let of = |path: &str| owner(Path::new(path), ROOTS[0]);
        let unit = Owner::Unit("app.service".to_owned());
        assert_eq!(of("/sys/fs/cgroup/system.slice/app.service"), Some(unit));
        assert_eq!(of("/sys/fs/cgroup/init.scope"), None);
        assert_eq!(of("/sys/fs/cgroup/system.slice"), None);
    }
}
