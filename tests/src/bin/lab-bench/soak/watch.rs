//! What the agent takes while it runs.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::running::{Agent, Held};
use crate::table::quantile;

/// Looks in all, as many as a third has enough of.
const LOOKS: u32 = 60;

/// Looks at an agent.
pub(super) struct Watch<'a> {
    agent: &'a Agent,
}

/// What was seen.
pub(super) struct Watched {
    /// Memory of its own, in MB, and what it held, at each look.
    looks: Vec<(f64, Held)>,
    cpu: f64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(agent: &'a Agent) -> Self {
        Self { agent }
    }

    pub(super) fn during(self, time: Duration) -> Result<Watched> {
        let (start, before) = (Instant::now(), self.agent.cpu_ns()?);
        let mut looks = Vec::new();
        for look in 1..=LOOKS {
            std::thread::sleep((time * look / LOOKS).saturating_sub(start.elapsed()));
            let (all, mapped) = self.agent.memory()?;
            let mb = (all - mapped) as f64 / f64::from(1 << 20);
            looks.push((mb, self.agent.holds().context("look at the agent")?));
        }
        let took = self.agent.cpu_ns()? - before;
        Ok(Watched {
            looks,
            cpu: took as f64 / start.elapsed().as_nanos() as f64 * 100.0,
        })
    }
}

impl Watched {
    /// From the middle third to the last one, by medians: in the first one tables fill up.
    pub(super) fn growth_mb(&self) -> f64 {
        let third = self.looks.len() / 3;
        let median = |looks: &[(f64, Held)]| {
            let mut memory: Vec<f64> = looks.iter().map(|(memory, _)| *memory).collect();
            quantile(&mut memory, 0.5).unwrap_or(0.0)
        };
        median(&self.looks[2 * third..]) - median(&self.looks[third..2 * third])
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory: Vec<String> = self
            .looks
            .iter()
            .step_by(6)
            .map(|(memory, _)| format!("{memory:.1}"))
            .collect();
        let files = self.looks.iter().map(|(_, held)| held.files);
        let threads = self.looks.iter().map(|(_, held)| held.threads);
        write!(
            f,
            "memory of the agent's own, MB: {}\nat most {} files and {} threads; {:.2} % of a core",
            memory.join(" "),
            files.max().unwrap_or(0),
            threads.max().unwrap_or(0),
            self.cpu
        )
    }
}
