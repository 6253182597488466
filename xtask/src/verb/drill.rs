//! `cargo xtask drill`: faults that we set, one after another, and what the agent says of each.

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::root;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Drill {
    /// Which faults and how: --help says what there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Drill {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        step("build the drill and the agent");
        cmd!(
            shell,
            "cargo build --locked --release --package tracer --package lab --bin tracer --bin lab-bench"
        )
        .run()?;
        let bench = workspace.target.join("release/lab-bench");
        root::command(shell, &bench.to_string_lossy())?
            .arg("drill")
            .args(self.arguments)
            .run()
            .context("pass the drill")
    }
}
