//! `bench agent`: what the agent itself takes: to read, to follow changes, to serve, to attach and to
//! detach.

mod attach;
mod changes;
#[path = "../../../../tracer/tests/agent/host.rs"]
mod host;
mod reading;
mod series;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::bars::Bars;

#[derive(Args)]
pub(crate) struct Agent {
    /// Seconds for which each reading load is measured
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How often it is attached and detached
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only one section
    #[arg(long, value_parser = ["reading", "changes", "series", "attach"])]
    only: Option<String>,
    /// Write all figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Agent {
    pub(crate) fn run(self) -> Result<()> {
        let is_asked = |section| self.only.as_deref().is_none_or(|only| only == section);
        let mut bars = Bars::default();
        if is_asked("reading") {
            reading::run(self.seconds, &mut bars)?;
        }
        if is_asked("changes") {
            changes::run(self.seconds, &mut bars)?;
        }
        if is_asked("series") {
            series::run(&mut bars)?;
        }
        if is_asked("attach") {
            attach::run(self.rounds, &mut bars)?;
        }
        bars.judge(self.json.as_deref())
    }
}
