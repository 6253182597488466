//! `bench detect`: how good the detector is, in figures that can be checked.

mod across;
mod cost;
mod delays;
mod hops;
mod long;
mod peers;
mod prototype;
mod quiet;
mod series;
mod stress;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Seeds below this were used for tuning and are used for no published figure.
pub(crate) const FIRST_FRESH_SEED: u64 = 1_000_000;

/// Streams of hosts with 10, 1,000 and 10,000 routes of five hops.
pub(crate) const HOSTS: [u32; 3] = [50, 5_000, 50_000];

#[derive(Args)]
pub(crate) struct Detect {
    /// Judge a file instead (CSV, header `time_s,latency_ns`) and print its alarms as JSON lines
    #[arg(long)]
    series: Option<PathBuf>,
    /// Sections to run, by name; all if none is given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The first seed; those below 1000000 are for tuning
    #[arg(long, default_value_t = FIRST_FRESH_SEED)]
    seed: u64,
    /// Hosts of the quiet section, by their routes
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 10_000])]
    hosts: Vec<u64>,
    /// Route-days that each of these hosts is watched: its days times its routes
    #[arg(long, default_value_t = 2_000.0)]
    route_days: f64,
    /// Runs of each fault and rate
    #[arg(long, default_value_t = 40)]
    runs: u64,
    /// Streams of the host that the series belongs to
    #[arg(long, default_value_t = 5)]
    streams: u32,
    /// Write all figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Detect {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if let Some(path) = &self.series {
            return series::run(path, self.streams);
        }
        let mut figures = Map::new();
        for (name, section) in SECTIONS {
            if self.only.is_empty() || self.only.iter().any(|only| only == name) {
                println!("\n## {name}\n");
                figures.insert((*name).to_owned(), section(&self));
            }
        }
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&Value::Object(figures))?;
            std::fs::write(path, text)
                .with_context(|| format!("write the figures to {}", path.display()))?;
        }
        Ok(())
    }
}

type Section = fn(&Detect) -> Value;

const SECTIONS: &[(&str, Section)] = &[
    ("quiet", |args| {
        quiet::run(args.seed, &args.hosts, args.route_days)
    }),
    ("iid", |args| quiet::iid(args.seed)),
    ("delays", |args| delays::run(args.seed, args.runs)),
    ("peers", |args| peers::run(args.seed)),
    ("stress", |args| stress::run(args.seed, args.runs)),
    ("hops", |args| hops::run(args.seed, args.runs)),
    ("long", |args| long::run(args.seed)),
    ("across", |args| across::run(args.seed, args.runs)),
    ("cost", |args| cost::run(args.seed)),
];
