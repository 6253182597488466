//! Where the repository and its build results are, and a shell that stands there.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tracer_object::KernelHalf;
use xshell::Shell;

pub(crate) struct Workspace {
    pub root: PathBuf,
    /// Cargo's folder of build results.
    pub target: PathBuf,
    pub shell: Shell,
}

impl Workspace {
    pub(crate) fn here() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("find the workspace")?;
        // This program is `target/<profile>/xtask`.
        let program = env::current_exe().context("find this program's path")?;
        let target = program
            .ancestors()
            .nth(2)
            .context("find cargo's target folder")?;
        let shell = Shell::new().context("find the current folder")?;
        shell.change_dir(root);
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
            shell,
        })
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.root.join("tracer")
    }

    pub(crate) fn kernel_half(&self) -> Result<KernelHalf> {
        KernelHalf::of(&self.root)
            .with_context(|| format!("find the kernel half's sources in {}", self.root.display()))
    }

    /// The kernel half's own folder: cargo, which runs us, may hold a lock on the other one.
    pub(crate) fn ebpf_target(&self) -> PathBuf {
        self.target.join("ebpf")
    }
}

/// Says which step begins.
pub(crate) fn step(what: &str) {
    eprintln!("\n== {what}");
}
