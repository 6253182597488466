//! The same detector on anyone's file.

use anyhow::{Context, bail};
use serde::Serialize;
use std::io::{BufRead, BufReader};
use std::path::Path;
use tracer::detect::{Budget, Direction, Finding, Habit, Increase, Kind, Stream, Tier, Verdict};
use tracer_common::bucket;

#[derive(Serialize)]
struct Alarm {
    #[serde(rename = "alarm_s")]
    raised_s: u64,
    change_s: u64,
    change_error_s: f32,
    direction: &'static str,
    kind: &'static str,
    tier: &'static str,
    cleared_s: Option<u64>,
}

impl Alarm {
    fn of(finding: &Finding, cleared_s: Option<u64>) -> Self {
        Self {
            raised_s: finding.raised_s,
            change_s: finding.change_s,
            change_error_s: finding.change_error_s,
            direction: if finding.direction == Direction::Up {
                "up"
            } else {
                "down"
            },
            kind: match finding.kind {
                Kind::Shift => "shift",
                Kind::Share => "share",
                Kind::Tail => "tail",
                Kind::Loss(_) => "loss",
            },
            // The file asks for two tiers; a notice is a quiet warning.
            tier: if finding.tier == Tier::Page {
                "page"
            } else {
                "warn"
            },
            cleared_s,
        }
    }
}

/// Prints a line for each finding, once it cleared or the file ended.
pub(super) fn run(path: &Path, streams: u32) -> anyhow::Result<()> {
    let what = || format!("read the series {}", path.display());
    let lines = BufReader::new(std::fs::File::open(path).with_context(what)?).lines();
    let mut host = Host::new(streams);
    let mut second = (None, Increase::default());
    for (number, line) in lines.enumerate() {
        let line = line.with_context(what)?;
        if number == 0 && line.trim() == "time_s,latency_ns" || line.trim().is_empty() {
            continue;
        }
        let sample = line.split_once(',').and_then(|(time, latency)| {
            Some((
                time.trim().parse::<f64>().ok()?,
                latency.trim().parse::<f64>().ok()?,
            ))
        });
        let Some((time_s, latency_ns)) = sample else {
            bail!(
                "{}, line {}: no \"time_s,latency_ns\": {line}",
                what(),
                number + 1
            )
        };
        let at_s = time_s.max(0.0) as u64;
        if second.0.is_some_and(|began_s| began_s != at_s) {
            host.observe(second.0.unwrap_or_default(), &second.1)?;
            second.1.clear();
        }
        second.0 = Some(at_s);
        second
            .1
            .add(bucket::index(latency_ns.max(0.0) as u64) as u8, 1);
    }
    host.observe(second.0.unwrap_or_default(), &second.1)?;
    if let Some(open) = host.stream.open() {
        print(&Alarm::of(open, None))?;
    }
    Ok(())
}

struct Host {
    stream: Stream,
    budget: Budget,
    habit: Habit,
    last_s: Option<u64>,
}

impl Host {
    fn new(streams: u32) -> Self {
        Self {
            stream: Stream::default(),
            budget: Budget::for_streams(streams),
            // A file is one stream: what bursts it has, it teaches soon enough.
            habit: Habit::known(5.0),
            last_s: None,
        }
    }

    fn observe(&mut self, at_s: u64, second: &Increase) -> anyhow::Result<()> {
        self.habit
            .pass(at_s.saturating_sub(self.last_s.unwrap_or(at_s)) as f64);
        self.last_s = Some(at_s);
        let verdict = self
            .stream
            .observe(at_s, second, &self.budget.thresholds(&self.habit));
        if let Some(burst_s) = self.stream.take_burst_s() {
            self.habit.learn(burst_s);
        }
        if let Verdict::Cleared(finding) = verdict {
            print(&Alarm::of(&finding, finding.cleared_s))?;
        }
        Ok(())
    }
}

fn print(alarm: &Alarm) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(alarm)?);
    Ok(())
}
