//! An instance of tracefs of our own, on a mount of our own.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use nix::libc;
use nix::mount::{MsFlags, mount};

use crate::lab::Lab;
use crate::ledger::{Entry, remove_directory, unmount};

const MOUNTS: &str = "/run/tracer-lab.tracing";
const RING_KIB_PER_CPU: &str = "16384";

/// Rings that nobody else reads, so that nobody is disturbed; removed when dropped.
pub(super) struct Instance {
    mount: PathBuf,
    path: PathBuf,
}

impl Instance {
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{n}", lab.name(), std::process::id());
        let mount_point = Path::new(MOUNTS).join(&name);
        let path = mount_point.join("instances").join(&name);
        lab.note(Entry::Mount, &mount_point)?;
        lab.note(Entry::Directory, &path)?;
        // Made before anything is done, so that a failure below is cleaned up.
        let instance = Self {
            mount: mount_point,
            path,
        };
        instance.make()?;
        Ok(instance)
    }

    fn make(&self) -> Result<()> {
        let point = &self.mount;
        fs::create_dir_all(point).with_context(|| format!("make {}", point.display()))?;
        mount(
            None::<&str>,
            point,
            Some("tracefs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("mount tracefs (are you root?)")?;
        fs::create_dir(&self.path).context("make an instance of tracefs")?;
        self.write("trace_clock", "mono")?;
        self.write("buffer_size_kb", RING_KIB_PER_CPU)
    }

    /// How a tracepoint's record is laid out; none if this kernel does not have it.
    pub(super) fn format(&self, place: &str) -> Result<Option<String>> {
        let path = self.path.join("events").join(place).join("format");
        match fs::read_to_string(&path) {
            Ok(format) => Ok(Some(format)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub(super) fn enable(&self, place: &str) -> Result<()> {
        self.write(&format!("events/{place}/enable"), "1")
    }

    /// Stops writing; what is in the rings stays.
    pub(super) fn pause(&self) -> Result<()> {
        self.write("tracing_on", "0")
    }

    /// The binary ring of each CPU; reading does not block.
    pub(super) fn rings(&self) -> Result<Vec<(u32, File)>> {
        self.cpus()?
            .into_iter()
            .map(|(cpu, path)| {
                let ring = File::options()
                    .read(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open(path.join("trace_pipe_raw"))
                    .with_context(|| format!("open the trace ring of CPU {cpu}"))?;
                Ok((cpu, ring))
            })
            .collect()
    }

    /// How many events were overwritten or not written, all CPUs.
    pub(super) fn lost(&self) -> Result<u64> {
        const LOSSES: [&str; 3] = ["overrun", "commit overrun", "dropped events"];
        let mut lost = 0;
        for (_, path) in self.cpus()? {
            let stats = fs::read_to_string(path.join("stats")).context("read a ring's stats")?;
            for (what, count) in stats.lines().filter_map(|line| line.split_once(": ")) {
                if LOSSES.contains(&what) {
                    lost += count.trim().parse::<u64>()?;
                }
            }
        }
        Ok(lost)
    }

    fn cpus(&self) -> Result<Vec<(u32, PathBuf)>> {
        let cpus = fs::read_dir(self.path.join("per_cpu")).context("list the trace rings")?;
        let mut found = Vec::new();
        for path in cpus {
            let path = path?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(cpu) = name.and_then(|name| name.strip_prefix("cpu")?.parse().ok()) {
                found.push((cpu, path));
            }
        }
        Ok(found)
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.path.join(file), value)
            .with_context(|| format!("write {value} to {file} of tracefs"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        remove_directory(&self.path);
        unmount(&self.mount);
    }
}
