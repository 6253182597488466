//! `cargo xtask demo`: a network with a fault that we set, and the tracer finding it.

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::root;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Demo {
    /// What the demonstration is asked for: --help says what there is
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Demo {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        step("build the demonstration, with the tracer in it");
        cmd!(
            shell,
            "cargo build --locked --release --package lab --bin lab-demo"
        )
        .run()?;
        let demo = workspace.target.join("release/lab-demo");
        root::command(shell, &demo.to_string_lossy())?
            .args(self.arguments)
            .run()
            .context("run the demonstration")
    }
}
