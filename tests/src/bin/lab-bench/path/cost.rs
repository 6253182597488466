//! Nanoseconds by the kernel's own statistics, which slow every program by the same two clocks.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};
use lab::topology::Line;
use lab::{NumberedUdp, Pace};
use serde_json::{Value, json};

use super::rounded;
use super::variant::{HOPS, Runs, Variant};
use crate::ratio::{Bar, Estimate, Limit};

/// Datagrams of a round.
const COUNT: u64 = 40_000;

pub(super) const VARIANTS: [Variant; 7] = [
    Variant::Empty,
    Variant::Clock,
    Variant::Timed,
    Variant::Tracer,
    Variant::Sampled,
    Variant::Hash,
    Variant::Bpftrace,
];

/// One variant's round.
struct Round {
    /// Mean ns of a run, weighted by runs, over the hops of a forwarded datagram.
    hop_ns: f64,
    /// Mean ns and runs a datagram, of each program.
    programs: BTreeMap<String, [f64; 2]>,
}

pub(super) fn run(
    line: &Line,
    rounds: usize,
    variants: &[Variant],
    bars: &mut Vec<Bar>,
) -> Result<Value> {
    let _statistics = enable_stats(Stats::RunTime).context("enable the kernel's statistics")?;
    println!(
        "## cost\n\n{COUNT} datagrams of 64 bytes through a router, {rounds} rounds; ns a run\n"
    );
    let mut by_variant: BTreeMap<Variant, Vec<Round>> = BTreeMap::new();
    for _ in 0..rounds {
        for &variant in variants {
            by_variant
                .entry(variant)
                .or_default()
                .push(round(line, variant)?);
        }
    }
    let above_empty = |variant: Variant| -> Vec<f64> {
        let both = by_variant[&variant]
            .iter()
            .zip(&by_variant[&Variant::Empty]);
        both.map(|(round, empty)| round.hop_ns - empty.hop_ns)
            .collect()
    };
    let mut table = serde_json::Map::new();
    println!("{:<24} {:>8} {:>24}", "", "a hop", "above empty (95 %)");
    for &variant in variants {
        let hop = Estimate::of(
            by_variant[&variant]
                .iter()
                .map(|round| round.hop_ns)
                .collect(),
        );
        let above = Estimate::of(above_empty(variant));
        println!(
            "{:<24} {:>8.1} {:>8.1} ({:.1} to {:.1})",
            variant.name(),
            hop.median,
            above.median,
            above.low,
            above.high
        );
        table.insert(
            variant.name().into(),
            json!({ "hop_ns": hop.json(), "above_empty_ns": above.json() }),
        );
    }
    for (key, variant) in [
        ("programs", Variant::Tracer),
        ("sampled_programs", Variant::Sampled),
    ] {
        if variants.contains(&variant) {
            table.insert(key.into(), by_program(&by_variant, variant));
        }
    }
    for (name, variant, limit) in [
        (
            "cost of a hop above an empty program, all timed, ns",
            Variant::Timed,
            60.0,
        ),
        (
            "cost of a hop above an empty program, ns",
            Variant::Tracer,
            32.0,
        ),
    ] {
        if variants.contains(&variant) {
            bars.push(Bar {
                name,
                limit: Limit::AtMost(limit),
                estimate: Estimate::of(above_empty(variant)),
            });
        }
    }
    for (name, peer, limit) in [
        ("cost of a hop, of that of a hash map", Variant::Hash, 0.3),
        (
            "cost of a hop, of that of bpftrace",
            Variant::Bpftrace,
            0.18,
        ),
    ] {
        if variants.contains(&Variant::Tracer) && variants.contains(&peer) {
            let tracer = above_empty(Variant::Tracer);
            let pairs = tracer.iter().zip(above_empty(peer));
            bars.push(Bar {
                name,
                limit: Limit::AtMost(limit),
                estimate: Estimate::of(pairs.map(|(ours, theirs)| ours / theirs).collect()),
            });
        }
    }
    Ok(Value::Object(table))
}

/// Each of the tracer's programs beside the empty one at the same place.
fn by_program(by_variant: &BTreeMap<Variant, Vec<Round>>, ours: Variant) -> Value {
    println!(
        "\n{:<24} {:>8} {:>8} {:>8}",
        ours.name(),
        "runs",
        "ns",
        "empty"
    );
    let median = |variant: Variant, name: &str, which: usize| {
        let rounds = by_variant[&variant].iter();
        let values: Vec<_> = rounds
            .filter_map(|round| round.programs.get(name).map(|program| program[which]))
            .collect();
        (!values.is_empty()).then(|| Estimate::of(values).median)
    };
    let mut programs = serde_json::Map::new();
    for name in by_variant[&ours][0].programs.keys() {
        let runs = median(ours, name, 1).unwrap_or_default();
        let ns = median(ours, name, 0).unwrap_or_default();
        let empty = median(Variant::Empty, name, 0).unwrap_or_default();
        println!("{name:<24} {runs:>8.2} {ns:>8.1} {empty:>8.1}");
        programs.insert(
            name.clone(),
            json!({ "runs_a_datagram": rounded(runs), "ns": rounded(ns), "empty_ns": rounded(empty) }),
        );
    }
    println!("(runs a datagram; net_dev_queue reads the headers in one of its two)");
    Value::Object(programs)
}

fn round(line: &Line, variant: Variant) -> Result<Round> {
    let flow = NumberedUdp {
        count: COUNT,
        pace: Pace::BackToBack,
        window: 64,
        ..NumberedUdp::new(
            (&line.app, line.app_at.v4.into()),
            (&line.db, (line.db_at.v4, 9400).into()),
        )
    };
    let running = variant.attach()?;
    // Caches, neighbours and routes are warm.
    NumberedUdp {
        count: 2_000,
        ..warm(&flow)
    }
    .run()?;
    let before = running.runs()?;
    flow.run()?;
    let after = running.runs()?;
    let mut programs = BTreeMap::new();
    let mut hops = Runs::default();
    for (name, runs) in after {
        let from = before.get(&name).copied().unwrap_or_default();
        let (count, time_ns) = (runs.count - from.count, runs.time_ns - from.time_ns);
        if count == 0 {
            continue;
        }
        // bpftrace names its programs by itself, and has none but these.
        let is_hop =
            variant == Variant::Bpftrace || HOPS.iter().any(|hop| hop[..hop.len().min(15)] == name);
        if is_hop {
            hops.count += count;
            hops.time_ns += time_ns;
        }
        programs.insert(
            name,
            [time_ns as f64 / count as f64, count as f64 / COUNT as f64],
        );
    }
    Ok(Round {
        hop_ns: hops.time_ns as f64 / hops.count as f64,
        programs,
    })
}

fn warm<'a>(flow: &NumberedUdp<'a>) -> NumberedUdp<'a> {
    NumberedUdp {
        pace: flow.pace,
        window: flow.window,
        ..NumberedUdp::new(flow.from, flow.to)
    }
}
