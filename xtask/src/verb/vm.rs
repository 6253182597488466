//! `cargo xtask vm`: the lab's tests on another kernel.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use xshell::cmd;

use crate::kernel::{Guest, KERNELS, Kernel, Outcome, Program, boot};
use crate::verb::setup;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Vm {
    /// Which kernel: 5.10, 6.1, 6.12, 7.2 or all
    kernel: String,
    /// Run this program instead of the lab's tests; may be repeated
    #[arg(long, value_name = "PATH")]
    run: Vec<PathBuf>,
    /// How long a kernel may take, start included
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u64,
    /// The programs' arguments: for the lab's tests, filters by name
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Vm {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let kernels = self.kernels()?;
        setup::ensure(workspace, &[setup::KERNELS])?;
        let guest = self.guest(workspace)?;
        let limit = Duration::from_secs(self.limit);
        let mut bad = Vec::new();
        for kernel in kernels {
            step(&format!("Linux {}", kernel.name));
            let files = kernel.fetch(&workspace.shell)?;
            let folder = workspace.target.join("vm").join(kernel.name);
            match boot(&workspace.shell, &files, &guest, &folder, limit)? {
                Outcome::Ran { failed: 0 } => eprintln!("Linux {}: all passed", kernel.name),
                Outcome::Ran { failed } => bad.push(format!("{}: {failed} failed", kernel.name)),
                Outcome::Died | Outcome::DiedEarly => {
                    bad.push(format!("{}: the kernel died", kernel.name));
                }
                Outcome::Stuck => bad.push(format!("{}: not done in {limit:?}", kernel.name)),
            }
        }
        if !bad.is_empty() {
            let logs = workspace.target.join("vm");
            bail!(
                "run on other kernels: {}; see console.log in {}",
                bad.join(", "),
                logs.display()
            );
        }
        Ok(())
    }

    fn kernels(&self) -> Result<Vec<&'static Kernel>> {
        let is_asked = |kernel: &&Kernel| self.kernel == "all" || self.kernel == kernel.name;
        let asked: Vec<_> = KERNELS.iter().filter(is_asked).collect();
        if asked.is_empty() {
            let names = KERNELS.each_ref().map(|kernel| kernel.name).join(", ");
            bail!("find the kernel {}: there are {names} and all", self.kernel);
        }
        Ok(asked)
    }

    fn guest(&self, workspace: &Workspace) -> Result<Guest> {
        if self.run.is_empty() {
            return self.lab(workspace);
        }
        let program = |path: &PathBuf| Program {
            path: path.clone(),
            arguments: self.arguments.clone(),
        };
        Ok(Guest {
            programs: self.run.iter().map(program).collect(),
            tools: Vec::new(),
        })
    }

    /// The lab's test programs, and the tracer for those that start it.
    fn lab(&self, workspace: &Workspace) -> Result<Guest> {
        let shell = &workspace.shell;
        step("build the lab's tests");
        // As `cargo xtask test` builds them: with the features of the workspace, the tracer beside.
        let messages = cmd!(
            shell,
            "cargo test --locked --no-run --workspace --message-format json"
        )
        .read()?;
        let arguments = || {
            ["--test-threads=1".to_owned()]
                .into_iter()
                .chain(self.arguments.clone())
        };
        let program = |path| Program {
            path,
            arguments: arguments().collect(),
        };
        let programs: Vec<_> = messages
            .lines()
            .filter_map(test_program)
            .map(program)
            .collect();
        if programs.is_empty() {
            bail!("find the lab's tests: cargo built none");
        }
        Ok(Guest {
            programs,
            tools: vec![workspace.target.join("debug/tracer")],
        })
    }
}

/// The test program that one of cargo's messages speaks of.
fn test_program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["profile"]["test"].as_bool()?;
    let is_lab = message["manifest_path"]
        .as_str()?
        .ends_with("/tests/Cargo.toml");
    (is_test && is_lab).then(|| message["executable"].as_str().map(PathBuf::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_labs_test_programs_are_taken_from_cargos_messages() {
        let test = r#"{"manifest_path":"/w/tests/Cargo.toml","profile":{"test":true},"executable":"/t/lab-1"}"#;
        let library =
            r#"{"manifest_path":"/w/tests/Cargo.toml","profile":{"test":false},"executable":null}"#;
        let other = r#"{"manifest_path":"/w/tracer/Cargo.toml","profile":{"test":true},"executable":"/t/a"}"#;
        assert_eq!(test_program(test), Some(PathBuf::from("/t/lab-1")));
        assert_eq!(test_program(other), None);
        assert_eq!(test_program(library), None);
        assert_eq!(
            test_program(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }
}
