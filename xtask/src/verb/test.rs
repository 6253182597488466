//! `cargo xtask test`: everything that the workspace says about itself, proven.

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::root;
use crate::verb::setup;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Test {
    /// Nextest's filters and options; the doc tests are left out when there are any
    #[arg(last = true)]
    nextest: Vec<String>,
}

impl Test {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        setup::ensure(workspace, &[setup::OBJECT, setup::TESTS])?;
        root::run_tests_as_root(shell)?;
        if self.nextest.is_empty() {
            step("run the doc tests");
            cmd!(shell, "cargo test --locked --workspace --doc")
                .run()
                .context("run the doc tests")?;
        }
        step("build and run the tests");
        let filters = self.nextest;
        cmd!(
            shell,
            "cargo nextest run --locked --workspace --config-file xtask/nextest.toml {filters...}"
        )
        .run()
        .context("run the tests")
    }
}
