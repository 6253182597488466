//! `cargo xtask fuzz`: bytes from outside that nobody thought of.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::verb::setup;
use crate::workspace::{Workspace, step};

#[derive(Args)]
pub(crate) struct Fuzz {
    /// For how long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Counts which edges of the program were reached, and tells the fuzzer what was compared; build
/// scripts are left as they are, since a target is named.
const COUNTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                       -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                       -Cllvm-args=-sanitizer-coverage-pc-table \
                       -Cllvm-args=-sanitizer-coverage-trace-compares \
                       -Cdebug-assertions -Coverflow-checks";

/// How many readers of configurations there are, and where they stand among all readers.
const OWNERS: u8 = 9;
const CONFIGURED: u8 = 2;
const REPLAY: u8 = 4;
const CONFIG: u8 = 5;

impl Fuzz {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        setup::ensure(workspace, &[setup::OBJECT, setup::FUZZ])?;
        let shell = &workspace.shell;
        let folder = workspace.target.join("fuzz");
        step("build what reads bytes, with counters");
        let host = cmd!(shell, "rustc --print host-tuple").read()?;
        cmd!(
            shell,
            "cargo build --locked --profile fuzz --target {host} --target-dir {folder} --package lab
             --features fuzz --bin lab-fuzz"
        )
        .env("RUSTFLAGS", COUNTED)
        .run()
        .context("build the fuzzer")?;
        let corpus = folder.join("corpus");
        seed(workspace, &corpus)?;
        step(&format!("read anything for {} s", self.seconds));
        let program = folder.join(host).join("fuzz/lab-fuzz");
        let (seconds, crashes) = (self.seconds.to_string(), folder.join("crash-"));
        // What hangs or grows is as wrong as what panics.
        cmd!(
            shell,
            "{program} {corpus} -max_total_time={seconds} -max_len=65536 -timeout=10
             -rss_limit_mb=2048 -artifact_prefix={crashes} -print_final_stats=1"
        )
        .run()
        .context("read whatever bytes there are: those that failed are named above")
    }
}

/// What the tests read, as a beginning.
fn seed(workspace: &Workspace, corpus: &Path) -> Result<()> {
    fs::create_dir_all(corpus).with_context(|| format!("make {}", corpus.display()))?;
    let recordings = workspace.agent().join("tests/recordings");
    let mut seeds = Vec::new();
    let mut folders = vec![recordings.join("owners")];
    while let Some(folder) = folders.pop() {
        for entry in workspace.shell.read_dir(&folder)? {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = fs::read(&entry).with_context(|| format!("read {}", entry.display()))?;
            seeds.extend((0..OWNERS).map(|owner| [&[CONFIGURED, owner], &*text].concat()));
        }
    }
    for (reader, file) in [
        (REPLAY, recordings.join("lab.json")),
        (CONFIG, workspace.agent().join("docs/tracer.example.toml")),
    ] {
        let text = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        seeds.push([&[reader], &*text].concat());
    }
    for (number, seed) in seeds.iter().enumerate() {
        let file = corpus.join(format!("seed-{number}"));
        fs::write(&file, seed).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}
