//! The project's measurements.

pub(crate) mod detect;
mod dice;
mod fault;
mod table;
mod workload;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Judge the detector: false alarms, delays, stress, cost; or print its alarms on a file
    Detect(detect::Detect),
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Detect(detect) => detect.run(),
        }
    }
}
