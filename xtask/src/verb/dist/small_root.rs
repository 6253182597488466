//! A small Debian in memory: what a package's scripts need, copied from this machine.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use xshell::{Shell, cmd};

/// A shell, what scripts call, and what the tracer depends on; those that this machine has not got
/// are left out.
const PACKAGES: [&str; 19] = [
    "coreutils",
    "dash",
    "dpkg",
    "gcc-12-base",
    "gcc-14-base",
    "init-system-helpers",
    "libacl1",
    "libattr1",
    "libc6",
    "libcap-ng0",
    "libcrypt1",
    "libgcc-s1",
    "libgmp10",
    "libpcre2-8-0",
    "libselinux1",
    "libssl3",
    "perl-base",
    "sed",
    "util-linux",
];

/// Where programs and libraries are since directories were merged.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// What the running system gives.
const SHARED: [&str; 3] = ["proc", "sys", "dev"];

/// The root; its files go with this process, which alone sees them.
pub(super) struct SmallRoot {
    pub(super) path: PathBuf,
}

impl SmallRoot {
    /// Lays it out, in a mount namespace and a network namespace of this process.
    pub(super) fn new(shell: &Shell) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .context("make namespaces: run as root")?;
        let (none, all) = (None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC);
        mount(none, "/", none, all, none).context("keep mounts to ourselves")?;
        cmd!(shell, "ip link set lo up").quiet().run()?;
        let path = std::env::temp_dir().join(format!("tracer-dist-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        mount(none, &path, Some("tmpfs"), MsFlags::empty(), none).context("mount memory")?;
        let root = Self { path };
        root.fill(shell)?;
        Ok(root)
    }

    fn fill(&self, shell: &Shell) -> Result<()> {
        for name in MERGED {
            fs::create_dir_all(self.path.join("usr").join(name))?;
            symlink(format!("usr/{name}"), self.path.join(name))?;
        }
        for name in SHARED {
            let place = self.path.join(name);
            fs::create_dir_all(&place)?;
            let (none, flags) = (None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC);
            mount(Some(&Path::new("/").join(name)), &place, none, flags, none)
                .with_context(|| format!("show /{name}"))?;
        }
        // Which systemd gives, and makes runtime directories in.
        fs::create_dir(self.path.join("run"))?;
        let (here, base) = (&self.path, self.path.join("base.tar"));
        let packages: Vec<_> = PACKAGES
            .into_iter()
            .filter(|package| {
                cmd!(shell, "dpkg-query --listfiles {package}")
                    .quiet()
                    .ignore_stdout()
                    .ignore_stderr()
                    .run()
                    .is_ok()
            })
            .collect();
        let named = &packages;
        let files = cmd!(shell, "dpkg-query --listfiles {named...}")
            .quiet()
            .read()?;
        let is_there = |path: &&str| path.starts_with('/') && Path::new(path).exists();
        let files: BTreeSet<_> = files.lines().filter(is_there).collect();
        let files = files.into_iter().collect::<Vec<_>>().join("\n");
        cmd!(
            shell,
            "tar --create --file {base} --no-recursion --absolute-names --files-from -"
        )
        .quiet()
        .stdin(files)
        .run()?;
        cmd!(
            shell,
            "tar --extract --file {base} --directory {here} --keep-directory-symlink"
        )
        .quiet()
        .ignore_stderr()
        .run()?;
        fs::remove_file(base)?;
        let shell_name = self.path.join("usr/bin/sh");
        if !shell_name.exists() {
            symlink("dash", shell_name)?;
        }
        self.make_database(shell, &packages)
    }

    /// Tells dpkg what is here.
    fn make_database(&self, shell: &Shell, packages: &[&str]) -> Result<()> {
        let database = self.path.join("var/lib/dpkg");
        for name in ["info", "updates", "triggers"] {
            fs::create_dir_all(database.join(name))?;
        }
        let status = cmd!(shell, "dpkg-query --status {packages...}")
            .quiet()
            .read()?;
        fs::write(database.join("status"), status + "\n")?;
        for entry in fs::read_dir("/var/lib/dpkg/info")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let package = name.split(['.', ':']).next().unwrap_or_default();
            let is_list = Path::new(&name).extension().is_some_and(|it| it == "list");
            if is_list && packages.contains(&package) {
                let from = Path::new("/var/lib/dpkg/info").join(&name);
                fs::copy(from, database.join("info").join(&name))?;
            }
        }
        Ok(())
    }

    /// All files and folders, but those that the running system gives and dpkg's own.
    pub(super) fn listing(&self) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.path.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                let is_left_out = SHARED.iter().any(|name| path == Path::new(name))
                    || path == Path::new("var/lib/dpkg");
                if is_left_out {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    folders.push(path.clone());
                }
                found.insert(path);
            }
        }
        Ok(found)
    }
}

impl Drop for SmallRoot {
    fn drop(&mut self) {
        // The mounts go with the process; the folder that they hid is empty.
        let _ = nix::mount::umount2(&self.path, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.path);
    }
}
