//! `cargo xtask demo`: a network with a fault that we set, and the tracer finding it.

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::root;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Demo {
    /// What the demo is asked for
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Demo {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        step("build the tracer and the demo's network");
        cmd!(
            shell,
            "cargo build --locked --release --package tracer --bin tracer"
        )
        .run()?;
        cmd!(
            shell,
            "cargo build --locked --release --package lab --bin lab-demo"
        )
        .run()?;
        let release = workspace.target.join("release");
        let demo = release.join("lab-demo");
        shell.set_var("TRACER_BIN", release.join("tracer"));
        root::command(shell, &demo.to_string_lossy())?
            .args(self.arguments)
            .run()
            .context("run the demo")
    }
}
