//! Is a bad leg found that was bad from the first second on?

use crate::fault::{Fault, What};
use crate::table::quantile;
use crate::workload::{Nature, Route};
use serde_json::{Value, json};
use tracer::detect::siblings::{Comparison, Sibling, compare};
use tracer::model::histogram::{Histogram, upper_bound};

const LEGS: usize = 3;
const LONGEST_S: usize = 60;

pub(super) fn run(seed: u64, runs: u64) -> Value {
    println!(
        "Seeds {seed}..{}; three legs, 30 packets/s in all, compared each second over all that was seen (at most {LONGEST_S} s), no baseline.\n",
        seed + runs
    );
    println!("| legs | runs | called bad | right leg | median, p90 (s) |");
    println!("|---|---|---|---|---|");
    let mut figures = Vec::new();
    for (name, times, lengths, kinds) in [
        (
            "one x3 from the first second",
            3.0,
            [1.0, 1.0, 1.0],
            [1, 1, 1],
        ),
        (
            "one x5 from the first second",
            5.0,
            [1.0, 1.0, 1.0],
            [1, 1, 1],
        ),
        (
            "one x10 from the first second",
            10.0,
            [1.0, 1.0, 1.0],
            [1, 1, 1],
        ),
        ("equal", 1.0, [1.0, 1.0, 1.0], [1, 1, 1]),
        (
            "1 : 3 : 9, traffic of three kinds, 1 h",
            1.0,
            [1.0, 3.0, 9.0],
            [1, 2, 3],
        ),
        (
            "1 : 1 : 9, traffic of three kinds, 1 h",
            1.0,
            [1.0, 1.0, 9.0],
            [1, 2, 3],
        ),
        (
            "1 : 3 : 9, traffic of one kind, 1 h",
            1.0,
            [1.0, 3.0, 9.0],
            [1, 1, 1],
        ),
    ] {
        let lasts_s = if times > 1.0 { 120 } else { 3_600 };
        let (mut bad, mut right, mut delays) = (0, 0, Vec::new());
        for n in 0..runs {
            if let Some((leg, at_s)) = one(seed + n, times, lengths, kinds, lasts_s) {
                bad += 1;
                right += usize::from(leg == [LEGS - 1]);
                delays.push(at_s as f64);
            }
        }
        let (median, p90) = (quantile(&mut delays, 0.5), quantile(&mut delays, 0.9));
        let figure = |s: Option<f64>| s.map_or("–".to_owned(), |s| format!("{s:.0}"));
        println!(
            "| {name} | {runs} | {bad} | {right} | {}, {} |",
            figure(median),
            figure(p90)
        );
        figures.push(json!({ "legs": name, "runs": runs, "bad": bad, "right": right, "median_s": median, "p90_s": p90 }));
    }
    Value::Array(figures)
}

fn one(
    seed: u64,
    times: f64,
    lengths: [f64; LEGS],
    kinds: [u32; LEGS],
    lasts_s: usize,
) -> Option<(Vec<usize>, usize)> {
    // Legs of one route: one shape, three sources of chance.
    let mut legs: Vec<Route> = (0..LEGS)
        .map(|leg| {
            Route::new(seed, Nature::of(10.0))
                .with_only(0)
                .reseeded(seed + 7 * leg as u64)
        })
        .collect();
    let mut seconds: Vec<[Histogram; LEGS]> = Vec::new();
    for at_s in 0..lasts_s {
        let mut second: [Histogram; LEGS] = Default::default();
        for (leg, route) in legs.iter_mut().enumerate() {
            let longer = lengths[leg] * if leg == LEGS - 1 { times } else { 1.0 };
            let fault = Fault {
                what: What::Slow {
                    share: 1.0,
                    times: longer,
                },
                hop: 0,
                from_s: 0,
                until_s: u64::MAX,
            };
            for &(bucket, count) in route.second(at_s as u64, &[fault])[0].cells() {
                second[leg].record_n(upper_bound(usize::from(bucket)), u64::from(count));
            }
        }
        seconds.push(second);
        let window = &seconds[seconds.len().saturating_sub(LONGEST_S)..];
        let (early, late) = window.split_at(window.len() / 2);
        let siblings: Vec<Sibling> = (0..LEGS)
            .map(|leg| {
                let of = |half: &[[Histogram; LEGS]]| {
                    let mut whole = Histogram::default();
                    for second in half {
                        whole.merge(&second[leg]);
                    }
                    whole
                };
                Sibling {
                    kind: kinds[leg],
                    early: of(early),
                    late: of(late),
                    ..Sibling::default()
                }
            })
            .collect();
        // Later only now and then, so that a run of an hour stays affordable.
        if (at_s < 60 || at_s % 30 == 0)
            && let Comparison::Bad(contrast) = compare(&siblings)
        {
            return Some((contrast.bad, at_s + 1));
        }
    }
    None
}
