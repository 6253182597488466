//! Is the right hop named?

use crate::fault::{Fault, What};
use crate::workload::{HOPS, Nature, Route};
use serde_json::{Value, json};
use tracer::detect::attribution::{Culprit, Growth, attribute};
use tracer::detect::{Budget, Habit, Stream, Tier, Verdict};

const FROM_S: u64 = 5_400;

/// How long after the page the hops are compared: so many seconds of the present are at hand.
const LATER_S: u64 = 10;

const FAULTS: [(&str, What); 3] = [
    (
        "x3",
        What::Slow {
            share: 1.0,
            times: 3.0,
        },
    ),
    (
        "x10",
        What::Slow {
            share: 1.0,
            times: 10.0,
        },
    ),
    (
        "30 % x3",
        What::Slow {
            share: 0.3,
            times: 3.0,
        },
    ),
];

pub(super) fn run(seed: u64, runs: u64) -> Value {
    println!(
        "Seeds {seed}..{}, 30 and 300 packets/s, {LATER_S} s after the page.\n",
        seed + runs
    );
    println!("| fault | back pressure | runs | paged | right hop |");
    println!("|---|---|---|---|---|");
    let mut figures = Vec::new();
    for back_pressure in [0.0, 0.3, 0.6] {
        for (name, what) in FAULTS {
            let found: Vec<Option<Culprit>> = (0..runs)
                .map(|n| one(seed + n, n, what, back_pressure))
                .collect();
            let paged = found.iter().flatten().count();
            let right = found
                .iter()
                .enumerate()
                .filter(|(n, culprit)| **culprit == Some(Culprit::Hop(n % HOPS)))
                .count();
            println!(
                "| {name} | {back_pressure} | {runs} | {paged} | {:.1} % |",
                100.0 * right as f64 / paged.max(1) as f64
            );
            figures.push(json!({ "fault": name, "back_pressure": back_pressure, "runs": runs, "paged": paged, "right": right }));
        }
    }
    Value::Array(figures)
}

fn one(seed: u64, n: u64, what: What, back_pressure: f64) -> Option<Culprit> {
    let rate = [30.0, 300.0][(n / HOPS as u64 % 2) as usize];
    let fault = Fault {
        what,
        hop: (n % HOPS as u64) as usize,
        from_s: FROM_S,
        until_s: u64::MAX,
    };
    let mut route = Route::new(
        seed,
        Nature {
            back_pressure,
            ..Nature::of(rate)
        },
    );
    let thresholds = Budget::for_streams(50_000).thresholds(&Habit::known(3.0));
    let mut streams: [Stream; HOPS] = Default::default();
    let mut compare_s = None;
    for at_s in 0..FROM_S + 1_200 {
        for (stream, second) in streams.iter_mut().zip(route.second(at_s, &[fault])) {
            if let Verdict::Opened(finding) | Verdict::Louder(finding) =
                stream.observe(at_s, second, &thresholds)
                && finding.tier == Tier::Page
                && at_s >= FROM_S
            {
                compare_s.get_or_insert(at_s + LATER_S);
            }
        }
        if compare_s == Some(at_s) {
            let hops: Vec<Growth> = streams.iter().map(Stream::growth).collect();
            return Some(attribute(&hops, None).culprit);
        }
    }
    None
}
