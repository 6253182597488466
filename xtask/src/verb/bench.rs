//! `cargo xtask bench`: the project's measurements, in a release build.

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use super::setup;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Bench {
    /// Which measurement and how: `bench --help` says what there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<String>,
}

impl Bench {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let arguments = self.arguments;
        match arguments.first().map(String::as_str) {
            Some("path") => setup::ensure(workspace, &[setup::PEERS])?,
            Some("agent" | "soak") => cmd!(
                workspace.shell,
                "cargo build --quiet --locked --release --package tracer --bin tracer"
            )
            .run()
            .context("build the agent")?,
            _ => {}
        }
        cmd!(
            workspace.shell,
            "cargo run --quiet --locked --release --package lab --bin lab-bench -- {arguments...}"
        )
        .run()
        .context("measure")
    }
}
