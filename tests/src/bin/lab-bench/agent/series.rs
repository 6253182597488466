//! The agent serves 100,000 series: how long that takes, and how much memory.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tracer::source::replay;

use super::host;
use crate::bars::Bars;
use crate::running::Agent;

const SERIES: usize = 100_000;

const CONFIG: &str = "[metrics]\nmax_series = 1000000\n";

/// As Prometheus asks where it scrapes native histograms.
const NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited";

const ROUNDS: usize = 5;

pub(super) fn run(bars: &mut Bars) -> Result<()> {
    println!("\n## serving {SERIES} series\n");
    let file = std::env::temp_dir().join(format!("tracer-bench-{}.json", std::process::id()));
    replay::record(&host::reading(0..SERIES / host::A_CLASS), &file)?;
    let name = file.to_str().context("name the recording")?;
    let agent = Agent::start(CONFIG, &["--replay", name]);
    std::fs::remove_file(&file)?;
    let agent = agent?;
    let mut served = Vec::new();
    for _ in 0..ROUNDS {
        let before = agent.metric("tracer_readings_total ")?;
        agent.wait_until("another reading comes", |agent| {
            agent
                .metric("tracer_readings_total ")
                .is_ok_and(|now| now > before)
        })?;
        let start = Instant::now();
        let page = agent.get_as("/metrics", NATIVE)?;
        served.push(start.elapsed().as_secs_f64());
        ensure!(
            page.code == 200 && page.body.len() > 10_000_000,
            "get the page"
        );
    }
    bars.at_most("native histograms served in, s", 1.0, served);
    let (memory, _) = agent.memory()?;
    bars.at_most(
        "memory, MB",
        150.0,
        vec![memory as f64 / f64::from(1 << 20)],
    );
    Ok(())
}
