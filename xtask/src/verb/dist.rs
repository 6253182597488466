//! `cargo xtask dist`: the Debian package, and whether it installs, traces and goes without a trace.

mod check;
mod small_root;

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::root;
use crate::verb::setup;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Dist {
    /// Then install it into a small root of its own, run it with its unit's rights, and purge it
    #[arg(long)]
    check: bool,
    /// The package to check; it is not built then
    #[arg(long, value_name = "PATH", hide = true, requires = "check")]
    package: Option<PathBuf>,
}

impl Dist {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let package = match self.package {
            Some(package) => package,
            None => build(workspace)?,
        };
        if !self.check {
            return Ok(());
        }
        setup::ensure(workspace, &[setup::CHECK])?;
        if root::is_root() {
            return check::run(&package);
        }
        let program = env::current_exe().context("find this program's path")?;
        let program = program.to_str().context("read this program's path")?;
        root::command(&workspace.shell, program)?
            .args(["dist", "--check", "--package"])
            .arg(&package)
            .run()
            .context("check the package as root")
    }
}

/// Builds the package; its path is the last line of what it says.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let shell = &workspace.shell;
    setup::ensure(workspace, &[setup::DIST])?;
    step("build the package");
    let path = cmd!(shell, "cargo deb --locked --package tracer --strip")
        .read()
        .context("build the package")?;
    println!("{path}");
    Ok(PathBuf::from(path))
}
