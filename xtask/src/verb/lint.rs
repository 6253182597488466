//! `cargo xtask lint`: what a reviewer shouldn't have to say.

use anyhow::{Context, Result};
use tracer_object::{Toolchain, clippy};
use xshell::cmd;

use crate::verb::setup;
use crate::workspace::{Workspace, step};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::ensure(workspace, &[setup::OBJECT, setup::LINTS])?;
    for (what, check) in CHECKS {
        step(what);
        check(workspace).with_context(|| format!("lint: {what}"))?;
    }
    Ok(())
}

type Check = fn(&Workspace) -> Result<()>;

const CHECKS: [(&str, Check); 5] = [
    ("format", format),
    ("clippy on the agent", host),
    ("clippy on the kernel half, for its own target", kernel_half),
    ("licenses, bans and sources of the dependencies", deny),
    ("the rooms' borders", tidy),
];

fn format(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    Ok(cmd!(shell, "cargo fmt --all --check").run()?)
}

fn host(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    Ok(cmd!(
        shell,
        "cargo clippy --locked --workspace --all-targets -- --deny warnings"
    )
    .run()?)
}

fn kernel_half(workspace: &Workspace) -> Result<()> {
    let toolchains = Toolchain::all()?;
    clippy(
        &workspace.kernel_half()?,
        &toolchains[0],
        &workspace.ebpf_target(),
    )
}

fn deny(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    Ok(cmd!(shell, "cargo deny --workspace check licenses bans sources").run()?)
}

fn tidy(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    Ok(cmd!(
        shell,
        "cargo test --locked --quiet --package xtask --test tidy"
    )
    .run()?)
}
