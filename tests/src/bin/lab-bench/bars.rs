//! Figures that must not be above a limit.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::ratio::{Bar, Estimate, Limit};

/// The figures.
#[derive(Default)]
pub(crate) struct Bars(Vec<(Bar, bool)>);

impl Bars {
    /// A figure, measured some times, that must be at most so much.
    pub(crate) fn at_most(&mut self, name: &'static str, limit: f64, measured: Vec<f64>) {
        let bar = Bar {
            name,
            limit: Limit::AtMost(limit),
            estimate: Estimate::of(measured),
        };
        println!("{bar}");
        self.0.push((bar, true));
    }

    /// A figure that is told only.
    pub(crate) fn told(&mut self, name: &'static str, measured: f64) {
        println!("{name:<52}         {measured:>8.3}");
        let bar = Bar {
            name,
            limit: Limit::AtMost(f64::INFINITY),
            estimate: Estimate::of(vec![measured]),
        };
        self.0.push((bar, false));
    }

    /// Writes them all, and fails where one is missed.
    pub(crate) fn judge(self, json: Option<&Path>) -> Result<()> {
        if let Some(path) = json {
            let rows = self.0.iter().map(|(bar, is_judged)| {
                if *is_judged {
                    bar.json()
                } else {
                    json!({"name": bar.name, "estimate": bar.estimate.json()})
                }
            });
            let rows: Value = rows.collect();
            std::fs::write(path, format!("{rows:#}\n"))
                .with_context(|| format!("write the figures to {}", path.display()))?;
        }
        let judged = self.0.iter().filter(|(_, is_judged)| *is_judged);
        let missed = judged.clone().filter(|(bar, _)| bar.is_missed()).count();
        if missed > 0 {
            bail!("hold the bars: {missed} of {} are missed", judged.count());
        }
        Ok(())
    }
}
