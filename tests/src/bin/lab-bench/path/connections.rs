//! What it takes to measure connections beside hops: round trips, exchanges, and what troubles them,
//! of a flow of datagrams and of requests that pass through a router.
//!
//! By the kernel's own statistics, over all programs: both ends and the router are on this host, so
//! that each segment is seen by the sender's socket, on its way through, and by the receiver's.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};
use lab::topology::Line;
use lab::{NumberedUdp, Pace, TcpPairs, TcpServer};
use serde_json::{Value, json};

use super::in_turn;
use super::variant::{Runs, Variant};
use crate::ratio::{Bar, Estimate, Limit};

/// Datagrams and requests of a round.
const DATAGRAMS: u64 = 40_000;
const REQUESTS: u64 = 10_000;

const VARIANTS: [Variant; 3] = [Variant::Empty, Variant::Hops, Variant::Tracer];

/// One variant's round: what all of its programs take, ns.
struct Round {
    datagram: f64,
    request: f64,
    /// What a request takes of each program, ns.
    of_request: BTreeMap<String, f64>,
}

type Figure = fn(&Round) -> f64;

pub(super) fn run(line: &Line, rounds: usize, bars: &mut Vec<Bar>) -> Result<Value> {
    let _statistics = enable_stats(Stats::RunTime).context("enable the kernel's statistics")?;
    println!(
        "\n## connections\n\n{DATAGRAMS} datagrams, {REQUESTS} requests on one connection, through a router; \
         {rounds} rounds; ns of all programs above empty ones\n"
    );
    let server = TcpServer::start(&line.db, (line.db_at.v4, 9402).into())?;
    let by_variant = in_turn(VARIANTS, rounds, |variant| round(line, &server, variant))?;
    let above_empty = |variant: Variant, figure: Figure| -> Vec<f64> {
        let both = by_variant[&variant]
            .iter()
            .zip(&by_variant[&Variant::Empty]);
        both.map(|(round, empty)| figure(round) - figure(empty))
            .collect()
    };
    let mut table = serde_json::Map::new();
    println!(
        "{:<12} {:>12} {:>12} {:>24}",
        "", "hops alone", "all", "more (95 %)"
    );
    let figures: [(&str, &'static str, Figure); 2] = [
        ("datagram", "datagrams: all, of hops alone", |round| {
            round.datagram
        }),
        ("request", "requests: all, of hops alone", |round| {
            round.request
        }),
    ];
    for (name, bar, figure) in figures {
        let (hops, all) = (
            above_empty(Variant::Hops, figure),
            above_empty(Variant::Tracer, figure),
        );
        let ratio = Estimate::of(
            hops.iter()
                .zip(&all)
                .map(|(hops, all)| all / hops)
                .collect(),
        );
        let (hops, all) = (Estimate::of(hops), Estimate::of(all));
        println!(
            "{name:<12} {:>12.0} {:>12.0} {:>8.2} ({:.2} to {:.2})",
            hops.median, all.median, ratio.median, ratio.low, ratio.high
        );
        table.insert(
            name.into(),
            json!({ "hops_ns": hops.json(), "all_ns": all.json(), "ratio": ratio.json() }),
        );
        bars.push(Bar {
            name: bar,
            limit: Limit::AtMost(1.25),
            estimate: ratio,
        });
    }
    table.insert("programs".into(), by_program(&by_variant));
    Ok(Value::Object(table))
}

/// Where the time of a request goes: medians over all rounds.
fn by_program(by_variant: &BTreeMap<Variant, Vec<Round>>) -> Value {
    let median = |variant: Variant, program: &str| {
        // A program that a variant does not have takes nothing.
        let of_program = |round: &Round| round.of_request.get(program).copied().unwrap_or(0.0);
        let all = by_variant[&variant].iter().map(of_program);
        Estimate::of(all.collect()).median
    };
    println!(
        "\n{:<26} {:>8} {:>12} {:>8}",
        "a request by program", "empty", "hops alone", "all"
    );
    let mut table = serde_json::Map::new();
    for program in by_variant[&Variant::Tracer][0].of_request.keys() {
        let [empty, hops, all] = VARIANTS.map(|variant| median(variant, program));
        println!("{program:<26} {empty:>8.0} {hops:>12.0} {all:>8.0}");
        table.insert(
            program.clone(),
            json!({ "empty_ns": empty, "hops_ns": hops, "all_ns": all }),
        );
    }
    Value::Object(table)
}

fn round(line: &Line, server: &TcpServer, variant: Variant) -> Result<Round> {
    let running = variant.attach()?;
    let from = (&line.app, line.app_at.v4.into());
    let datagrams = |count| NumberedUdp {
        count,
        pace: Pace::BackToBack,
        window: 64,
        ..NumberedUdp::new(from, (&line.db, (line.db_at.v4, 9400).into()))
    };
    let requests = |count| TcpPairs {
        count,
        ..TcpPairs::new(from, server.address())
    };
    let total =
        |runs: &BTreeMap<String, Runs>| -> u64 { runs.values().map(|runs| runs.time_ns).sum() };
    // Caches, neighbours and routes are warm, and who forwards is known.
    datagrams(2_000).run()?;
    requests(200).run()?;
    let at_first = running.runs()?;
    datagrams(DATAGRAMS).run()?;
    let between = running.runs()?;
    requests(REQUESTS).run()?;
    let at_last = running.runs()?;
    let of_request = at_last.iter().map(|(program, runs)| {
        let before = between.get(program).copied().unwrap_or_default();
        let ns = (runs.time_ns - before.time_ns) as f64 / REQUESTS as f64;
        (program.clone(), ns)
    });
    Ok(Round {
        datagram: (total(&between) - total(&at_first)) as f64 / DATAGRAMS as f64,
        request: (total(&at_last) - total(&between)) as f64 / REQUESTS as f64,
        of_request: of_request.collect(),
    })
}
