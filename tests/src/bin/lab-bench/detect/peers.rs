//! What others would have said on the same packets, with their textbook settings and tuned.
//!
//! Each peer turns a second into a score and alarms above a limit, once a minute at most. Tuned
//! means: the limit just above all that it scored in four route-days of the tuning seeds.

use crate::fault::{CATALOGUE, Fault};
use crate::table::quantile;
use crate::workload::{HOPS, Nature, Route};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tracer::detect::Increase;

const TUNING_SEED: u64 = 500;
const DAY_S: u64 = 86_400;
const BEFORE_S: u64 = 7_200;

/// A peer's memory, and how it scores a second.
#[derive(Clone, Default)]
struct Memory {
    seconds: VecDeque<f64>,
    first_p99: Vec<f64>,
    mean: f64,
    variance: f64,
    slow: Vec<f64>,
    fast: Vec<f64>,
    sum: f64,
}

type Score = fn(&mut Memory, &Increase) -> f64;

/// Name, score and the textbook's limit.
const PEERS: [(&str, Score, f64); 5] = [
    (
        "static: p99 above k x the first hour's",
        static_threshold,
        2.0,
    ),
    ("k-sigma of the mean, last hour", sigma, 3.0),
    ("EWMA (0.2) of the mean, k sigma", ewma, 3.0),
    (
        "KS of 1 min to 1 h, k x sqrt(1/n + 1/m)",
        kolmogorov_smirnov,
        1.63,
    ),
    (
        "Prometheus: p99 of 5 min above k x its hour",
        prometheus,
        2.0,
    ),
];

pub(super) fn run(seed: u64) -> Value {
    println!(
        "30 packets/s; false alarms of 4 route-days (5 hops) of seeds {seed}..{}; delays: 20 runs, median in s (found).\n",
        seed + 4
    );
    let faults: Vec<_> = CATALOGUE
        .iter()
        .filter(|(name, _)| {
            ["x1.5", "x3", "x10", "tail 3 % x10", "30 % x3", "10 % x3"].contains(name)
        })
        .collect();
    print!("| peer | limit | false alarms a route-week |");
    for (name, _) in &faults {
        print!(" {name} |");
    }
    println!("\n|---|---|---|{}", "---|".repeat(faults.len()));
    let mut figures = Vec::new();
    for (name, score, textbook) in PEERS {
        let tuned = 1.001
            * (0..4)
                .map(|n| quiet(TUNING_SEED + n, score, f64::INFINITY).1)
                .fold(0.0, f64::max);
        for (setting, limit) in [("textbook", textbook), ("tuned", tuned)] {
            let alarms: u64 = (0..4).map(|n| quiet(seed + n, score, limit).0).sum();
            let rate = alarms as f64 * 7.0 / 4.0;
            print!("| {name} | {setting} {limit:.2} | {rate:.0} |");
            let mut delays = Vec::new();
            for (fault, what) in &faults {
                let mut found: Vec<f64> = (0..20)
                    .filter_map(|n| {
                        let fault = Fault {
                            what: *what,
                            hop: (n % HOPS as u64) as usize,
                            from_s: BEFORE_S,
                            until_s: u64::MAX,
                        };
                        delay(seed + n, score, limit, fault)
                    })
                    .collect();
                let share = 5 * found.len();
                let median = quantile(&mut found, 0.5);
                print!(
                    " {} ({share} %) |",
                    median.map_or("–".to_owned(), |s| format!("{s:.0}"))
                );
                delays.push(json!({ "fault": fault, "found_percent": share, "median_s": median }));
            }
            println!();
            figures.push(json!({ "peer": name, "setting": setting, "limit": limit, "false_a_route_week": rate, "delays": delays }));
        }
    }
    Value::Array(figures)
}

/// Alarms of one route-day, and the highest score.
fn quiet(seed: u64, score: Score, limit: f64) -> (u64, f64) {
    let mut route = Route::new(seed, Nature::of(30.0));
    let mut memories = vec![(Memory::default(), 0u64); HOPS];
    let (mut alarms, mut highest) = (0, 0.0f64);
    for at_s in 0..DAY_S {
        for ((memory, silent_until_s), second) in memories.iter_mut().zip(route.second(at_s, &[])) {
            let score = score(memory, second);
            if at_s < BEFORE_S {
                continue;
            }
            highest = highest.max(score);
            if score > limit && at_s >= *silent_until_s {
                alarms += 1;
                *silent_until_s = at_s + 60;
            }
        }
    }
    (alarms, highest)
}

fn delay(seed: u64, score: Score, limit: f64, fault: Fault) -> Option<f64> {
    let mut route = Route::new(seed, Nature::of(30.0)).with_only(fault.hop);
    let mut memory = Memory::default();
    (0..BEFORE_S + 1_200).find_map(|at_s| {
        let score = score(&mut memory, &route.second(at_s, &[fault])[fault.hop]);
        (at_s >= BEFORE_S && score > limit).then_some((at_s + 1 - BEFORE_S) as f64)
    })
}

/// The edge (in eighths of an octave) below which a share lies.
fn edge(cells: &[(u8, u32)], q: f64) -> Option<f64> {
    let mut cells = cells.to_vec();
    cells.sort_unstable();
    let all: u32 = cells.iter().map(|(_, count)| count).sum();
    let mut missing = (q * f64::from(all)).ceil().max(1.0);
    cells.iter().find_map(|&(bucket, count)| {
        missing -= f64::from(count);
        (missing <= 0.0).then_some(f64::from(bucket))
    })
}

fn mean(second: &Increase) -> Option<f64> {
    let sum: f64 = second
        .cells()
        .iter()
        .map(|&(bucket, count)| (f64::from(bucket) / 8.0).exp2() * f64::from(count))
        .sum();
    (second.packets() > 0).then(|| sum / second.packets() as f64)
}

fn static_threshold(memory: &mut Memory, second: &Increase) -> f64 {
    let Some(p99) = edge(second.cells(), 0.99) else {
        return 0.0;
    };
    if memory.first_p99.len() < 3_600 {
        memory.first_p99.push(p99);
        memory.mean = memory.first_p99.iter().sum::<f64>() / memory.first_p99.len() as f64;
        return 0.0;
    }
    ((p99 - memory.mean) / 8.0).exp2()
}

fn sigma(memory: &mut Memory, second: &Increase) -> f64 {
    let Some(mean) = mean(second) else { return 0.0 };
    let n = memory.seconds.len() as f64;
    let score = if n > 60.0 {
        let average = memory.sum / n;
        (mean - average) / (memory.variance / n - average * average).max(1e-9).sqrt()
    } else {
        0.0
    };
    memory.seconds.push_back(mean);
    memory.sum += mean;
    memory.variance += mean * mean;
    if memory.seconds.len() > 3_600
        && let Some(old) = memory.seconds.pop_front()
    {
        memory.sum -= old;
        memory.variance -= old * old;
    }
    score
}

fn ewma(memory: &mut Memory, second: &Increase) -> f64 {
    let Some(mean) = mean(second) else { return 0.0 };
    if memory.sum == 0.0 {
        (memory.sum, memory.mean, memory.variance) = (mean, mean, 0.1 * mean * mean);
    }
    memory.sum += 0.2 * (mean - memory.sum);
    // The variance of the weighted mean is 0.2 / 1.8 of that of a second.
    let score = (memory.sum - memory.mean) / (memory.variance * 0.2 / 1.8).max(1e-9).sqrt();
    let slow = 1.0 / 3_600.0;
    memory.variance += slow * ((mean - memory.mean).powi(2) - memory.variance);
    memory.mean += slow * (mean - memory.mean);
    score
}

fn kolmogorov_smirnov(memory: &mut Memory, second: &Increase) -> f64 {
    if memory.slow.is_empty() {
        (memory.slow, memory.fast) = (vec![0.0; 226], vec![0.0; 226]);
    }
    let (fade_slow, fade_fast) = ((-1.0f64 / 3_600.0).exp(), (-1.0f64 / 60.0).exp());
    for (slow, fast) in memory.slow.iter_mut().zip(&mut memory.fast) {
        *slow *= fade_slow;
        *fast *= fade_fast;
    }
    for &(bucket, count) in second.cells() {
        memory.slow[usize::from(bucket)] += f64::from(count);
        memory.fast[usize::from(bucket)] += f64::from(count);
    }
    let (n, m): (f64, f64) = (memory.slow.iter().sum(), memory.fast.iter().sum());
    let (mut a, mut b, mut widest) = (0.0, 0.0, 0.0f64);
    for (slow, fast) in memory.slow.iter().zip(&memory.fast) {
        a += slow / n.max(1.0);
        b += fast / m.max(1.0);
        widest = widest.max(a - b);
    }
    widest / (1.0 / n.max(1.0) + 1.0 / m.max(1.0)).sqrt()
}

fn prometheus(memory: &mut Memory, second: &Increase) -> f64 {
    if memory.fast.is_empty() {
        memory.fast = vec![0.0; 226];
    }
    // A rate over 5 min, evaluated each second, and the average of an hour of it.
    let fade = (-1.0f64 / 300.0).exp();
    memory.fast.iter_mut().for_each(|count| *count *= fade);
    for &(bucket, count) in second.cells() {
        memory.fast[usize::from(bucket)] += f64::from(count);
    }
    let all: f64 = memory.fast.iter().sum();
    let mut beyond = 0.01 * all;
    let p99 = memory.fast.iter().rposition(|count| {
        beyond -= count;
        beyond < 0.0
    });
    let Some(p99) = p99 else { return 0.0 };
    let p99 = (p99 as f64 / 8.0).exp2();
    let n = memory.seconds.len() as f64;
    let score = if n > 600.0 {
        p99 / (memory.sum / n)
    } else {
        0.0
    };
    memory.seconds.push_back(p99);
    memory.sum += p99;
    if memory.seconds.len() > 3_600 {
        memory.sum -= memory.seconds.pop_front().unwrap_or_default();
    }
    score
}
