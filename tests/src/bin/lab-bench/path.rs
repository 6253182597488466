//! `bench path`: what the data path costs, beside programs that do nothing, beside a plain hash map
//! and beside bpftrace, all in one run.

mod connections;
mod cost;
mod program;
mod throughput;
mod variant;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lab::Lab;
use lab::topology::Line;
use serde_json::{Value, json};

use self::variant::Variant;
use crate::ratio::Bar;

#[derive(Args)]
pub(crate) struct Path {
    /// Rounds of the cost and connections sections: in each, every variant once
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// Pairs of the throughput section; below 30 their intervals are wide
    #[arg(long, default_value_t = 30)]
    pairs: usize,
    /// Only one section
    #[arg(long, value_parser = ["cost", "connections", "throughput"])]
    only: Option<String>,
    /// Only these variants in the cost section, beside empty programs; bars of others are left out
    #[arg(long, value_enum, value_delimiter = ',')]
    variants: Vec<Variant>,
    /// Write all figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Path {
    pub(crate) fn run(self) -> Result<()> {
        let line = Line::new(Lab::new("bench")?)?;
        let is_asked = |section| self.only.as_deref().is_none_or(|only| only == section);
        let mut figures = serde_json::Map::new();
        let mut bars = Vec::new();
        if is_asked("cost") {
            let variants: Vec<_> = cost::VARIANTS
                .into_iter()
                .filter(|variant| {
                    *variant == Variant::Empty
                        || self.variants.is_empty()
                        || self.variants.contains(variant)
                })
                .collect();
            let value = cost::run(&line, self.rounds, &variants, &mut bars)?;
            figures.insert("cost".into(), value);
        }
        if is_asked("connections") {
            let value = connections::run(&line, self.rounds, &mut bars)?;
            figures.insert("connections".into(), value);
        }
        if is_asked("throughput") {
            let value = throughput::run(&line, self.pairs, &mut bars)?;
            figures.insert("throughput".into(), value);
        }
        println!("\n## bars\n");
        for bar in &bars {
            println!("{bar}");
        }
        figures.insert("bars".into(), bars.iter().map(Bar::json).collect());
        if let Some(path) = &self.json {
            std::fs::write(path, format!("{:#}\n", Value::Object(figures)))
                .with_context(|| format!("write the figures to {}", path.display()))?;
        }
        let missed = bars.iter().filter(|bar| bar.is_missed()).count();
        if missed > 0 {
            bail!("hold the bars: {missed} of {} are missed", bars.len());
        }
        Ok(())
    }
}

/// Rounds of all variants in turn, each as often the first as the last.
fn in_turn<const N: usize, R>(
    variants: [Variant; N],
    rounds: usize,
    mut round: impl FnMut(Variant) -> Result<R>,
) -> Result<BTreeMap<Variant, Vec<R>>> {
    let mut by_variant: BTreeMap<Variant, Vec<R>> = BTreeMap::new();
    for number in 0..rounds {
        let mut turn = variants;
        turn.rotate_left(number % N);
        for variant in turn {
            by_variant.entry(variant).or_default().push(round(variant)?);
        }
    }
    Ok(by_variant)
}

/// A figure with one decimal.
pub(crate) fn rounded(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}
