//! `cargo xtask bench`: the project's measurements, in a release build.

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use super::setup;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Bench {
    /// Which measurement and how: `bench detect --help`, `bench path --help` and `bench mirror
    /// --help` say what there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<String>,
}

impl Bench {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let arguments = self.arguments;
        if arguments.first().is_some_and(|bench| bench == "path") {
            setup::ensure(workspace, &[setup::PEERS])?;
        }
        cmd!(
            workspace.shell,
            "cargo run --quiet --locked --release --package lab --bin lab-bench -- {arguments...}"
        )
        .run()
        .context("measure")
    }
}
