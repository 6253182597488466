//! What applications notice: packets a second, the CPU's time for a packet, and how long requests
//! take; the kernel's statistics are off.

use anyhow::{Context, Result};
use lab::topology::Line;
use lab::{NumberedUdp, Pace, TcpPairs, TcpServer};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

use super::in_turn;
use super::variant::Variant;
use crate::ratio::{Bar, Estimate, Limit};
use crate::table::quantile;

/// Datagrams and requests of a round.
const DATAGRAMS: u64 = 60_000;
const REQUESTS: u64 = 3_000;

const VARIANTS: [Variant; 3] = [Variant::Nothing, Variant::Empty, Variant::Tracer];

/// One variant's round.
#[derive(Clone, Copy)]
struct Round {
    packets_per_second: f64,
    cpu_ns: f64,
    p50_ns: f64,
    p99_ns: f64,
    requests_per_second: f64,
}

type Figure = fn(&Round) -> f64;

const FIGURES: [(&str, Figure); 5] = [
    ("datagrams a second", |round| round.packets_per_second),
    ("CPU a datagram, ns", |round| round.cpu_ns),
    ("requests a second", |round| round.requests_per_second),
    ("request p50, ns", |round| round.p50_ns),
    ("request p99, ns", |round| round.p99_ns),
];

pub(super) fn run(line: &Line, pairs: usize, bars: &mut Vec<Bar>) -> Result<Value> {
    println!(
        "\n## throughput\n\n{DATAGRAMS} datagrams back to back, {REQUESTS} requests one after the other, \
         through a router; {pairs} rounds of all variants in turn\n"
    );
    let server = TcpServer::start(&line.db, (line.db_at.v4, 9401).into())?;
    let by_variant = in_turn(VARIANTS, pairs, |variant| round(line, &server, variant))?;
    let mut table = serde_json::Map::new();
    let names = VARIANTS.map(Variant::name);
    println!(
        "{:<24} {:>16} {:>16} {:>16}",
        "median", names[0], names[1], names[2]
    );
    for (name, figure) in FIGURES {
        let medians = VARIANTS.map(|variant| Estimate::of(all(&by_variant[&variant], figure)));
        println!(
            "{name:<24} {:>16.0} {:>16.0} {:>16.0}",
            medians[0].median, medians[1].median, medians[2].median
        );
        let values = VARIANTS.iter().zip(medians);
        let of: serde_json::Map<_, _> = values
            .map(|(variant, median)| (variant.name().to_owned(), median.json()))
            .collect();
        table.insert(name.into(), json!(of));
    }
    let ratio = |of: Variant, figure: Figure| {
        let both = by_variant[&Variant::Tracer].iter().zip(&by_variant[&of]);
        Estimate::of(
            both.map(|(ours, theirs)| figure(ours) / figure(theirs))
                .collect(),
        )
    };
    let at_least = Limit::AtLeast(0.92);
    bars.extend([
        Bar {
            name: "datagrams a second, of those with empty programs",
            limit: at_least,
            estimate: ratio(Variant::Empty, |round| round.packets_per_second),
        },
        Bar {
            name: "requests a second, of those with empty programs",
            limit: at_least,
            estimate: ratio(Variant::Empty, |round| round.requests_per_second),
        },
        Bar {
            name: "requests' p50, of that without programs",
            limit: Limit::AtMost(1.05),
            estimate: ratio(Variant::Nothing, |round| round.p50_ns),
        },
        Bar {
            name: "requests' p99, of that without programs",
            limit: Limit::AtMost(1.10),
            estimate: ratio(Variant::Nothing, |round| round.p99_ns),
        },
    ]);
    Ok(Value::Object(table))
}

fn all(rounds: &[Round], figure: Figure) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

fn round(line: &Line, server: &TcpServer, variant: Variant) -> Result<Round> {
    let _running = variant.attach()?;
    let from = (&line.app, line.app_at.v4.into());
    let flow = NumberedUdp {
        count: DATAGRAMS,
        pace: Pace::BackToBack,
        window: 4096,
        ..NumberedUdp::new(from, (&line.db, (line.db_at.v4, 9400).into()))
    };
    let before_ns = cpu_ns()?;
    let delivery = flow.run()?;
    let cpu_ns = (cpu_ns()? - before_ns) as f64 / DATAGRAMS as f64;
    let since = delivery.sent_ns.first().context("send something")?;
    let until = delivery.sent_ns.last().context("send something")?;
    let requests = TcpPairs {
        count: REQUESTS,
        ..TcpPairs::new(from, server.address())
    };
    let done = requests.run()?;
    let took_ns = done[done.len() - 1].answered_ns - done[0].sent_ns;
    let mut latencies: Vec<_> = done
        .iter()
        .map(|pair| pair.latency().as_nanos() as f64)
        .collect();
    let mut at = |q| quantile(&mut latencies, q).context("ask something");
    Ok(Round {
        packets_per_second: DATAGRAMS as f64 * 1e9 / (until - since) as f64,
        cpu_ns,
        p50_ns: at(0.5)?,
        p99_ns: at(0.99)?,
        requests_per_second: REQUESTS as f64 * 1e9 / took_ns as f64,
    })
}

/// What this process used so far; packets are forwarded in the name of their sender.
fn cpu_ns() -> Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("ask for the used CPU time")?;
    let used = usage.user_time() + usage.system_time();
    Ok(used.num_microseconds().cast_unsigned() * 1000)
}
