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
    let mut samples = read(path)?;
    // A file that several threads wrote is not in order; within a second the order means nothing.
    samples.sort_by_key(|&(at_s, _)| at_s);
    let mut host = Host::new(streams);
    let mut second = Increase::default();
    for same_s in samples.chunk_by(|(one_s, _), (other_s, _)| one_s == other_s) {
        second.clear();
        for &(_, bucket) in same_s {
            second.add(bucket, 1);
        }
        host.observe(same_s[0].0, &second)?;
    }
    if let Some(open) = host.stream.open() {
        print(&Alarm::of(open, None))?;
    }
    Ok(())
}

/// The samples of a file: their seconds and their buckets.
fn read(path: &Path) -> anyhow::Result<Vec<(u64, u8)>> {
    let what = || format!("read the series {}", path.display());
    let lines = BufReader::new(std::fs::File::open(path).with_context(what)?).lines();
    let mut samples = Vec::new();
    for (number, line) in lines.enumerate() {
        let line = line.with_context(what)?;
        if number == 0 && line.trim() == "time_s,latency_ns" || line.trim().is_empty() {
            continue;
        }
        let Some(sample) = sample(&line) else {
            bail!(
                "{}, line {}: no \"time_s,latency_ns\", two numbers that are not negative: {line}",
                what(),
                number + 1
            )
        };
        samples.push(sample);
    }
    Ok(samples)
}

fn sample(line: &str) -> Option<(u64, u8)> {
    let (time, latency) = line.split_once(',')?;
    let number = |text: &str| {
        let number = text.trim().parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    };
    Some((number(time)?, bucket::index(number(latency)?) as u8))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_two_numbers_that_are_not_negative() {
        let bucket = |ns| bucket::index(ns) as u8;
        assert_eq!(sample("7.9,250000"), Some((7, bucket(250_000))));
        assert_eq!(sample(" 1e3 , 2.5e5\r"), Some((1_000, bucket(250_000))));
        for line in ["", "7", "a,b", "NaN,1", "7,NaN", "inf,1", "-1,5", "7,-5"] {
            assert_eq!(sample(line), None, "{line}");
        }
    }
}
