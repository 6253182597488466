//! What only root may do: install packages, load programs, make namespaces.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Result, bail};
use xshell::{Cmd, Shell, cmd};

/// `program` as root: itself, or by sudo with our environment.
pub(crate) fn command<'a>(shell: &'a Shell, program: &str) -> Result<Cmd<'a>> {
    if is_root() {
        return Ok(cmd!(shell, "{program}"));
    }
    has_sudo(shell, program)?;
    Ok(cmd!(shell, "sudo --preserve-env {program}"))
}

/// Sets the variable by which cargo and nextest run what they built as root.
///
/// Only the tests become root, so that everything in the target folder stays the caller's.
pub(crate) fn run_tests_as_root(shell: &Shell) -> Result<()> {
    if !is_root() {
        has_sudo(shell, "the tests")?;
        shell.set_var(runner_variable(), "sudo --preserve-env");
    }
    Ok(())
}

fn runner_variable() -> String {
    let machine = std::env::consts::ARCH.to_uppercase();
    format!("CARGO_TARGET_{machine}_UNKNOWN_LINUX_GNU_RUNNER")
}

fn has_sudo(shell: &Shell, what: &str) -> Result<()> {
    if cmd!(shell, "sudo --version")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_err()
    {
        bail!("run {what} as root: we aren't root and there is no sudo; run this command as root");
    }
    Ok(())
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
