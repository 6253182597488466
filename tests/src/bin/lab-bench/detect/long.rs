//! Is a fault of 33 hours one finding, and one that comes and goes too?

use crate::fault::{Fault, What};
use crate::workload::{Nature, Route};
use serde_json::{Value, json};
use tracer::detect::{Budget, Direction, Habit, Stream, Verdict};

const BEFORE_S: u64 = 7_200;
const AFTER_S: u64 = 7_200;
const HOUR_S: u64 = 3_600;

pub(super) fn run(seed: u64) -> Value {
    println!(
        "| fault | packets/s | runs | one finding, open throughout | cleared within 2 h of the end | said to be there |"
    );
    println!("|---|---|---|---|---|---|");
    let mut figures = Vec::new();
    let slow = |times| What::Slow { share: 1.0, times };
    let pulse = What::Pulse {
        times: 3.0,
        on_s: 5,
        period_s: 20,
    };
    let cases = [
        ("x3 for 33 h, two restarts", slow(3.0), 33 * HOUR_S),
        (
            "30 % x3 for 33 h, two restarts",
            What::Slow {
                share: 0.3,
                times: 3.0,
            },
            33 * HOUR_S,
        ),
        ("5 s of every 20 s x3 for 2 h", pulse, 2 * HOUR_S),
    ];
    for (name, what, lasts_s) in cases {
        for rate in [3.0, 30.0, 300.0] {
            let runs = if rate > 100.0 { 5 } else { 10 };
            let found: Vec<Run> = (0..runs)
                .map(|n| one(seed + n, rate, what, lasts_s))
                .collect();
            let whole = found
                .iter()
                .filter(|run| run.opened == 1 && run.open_at_end)
                .count();
            let cleared = found.iter().filter(|run| run.cleared).count();
            let mean = found
                .iter()
                .map(|run| f64::from(run.of_the_time))
                .sum::<f64>()
                / runs as f64;
            println!(
                "| {name} | {rate} | {runs} | {whole} | {cleared} | {:.0} % of the time |",
                100.0 * mean
            );
            figures.push(json!({ "fault": name, "rate": rate, "runs": runs, "whole": whole, "cleared": cleared, "of_the_time": mean }));
        }
    }
    Value::Array(figures)
}

struct Run {
    opened: usize,
    open_at_end: bool,
    cleared: bool,
    of_the_time: f32,
}

fn one(seed: u64, rate: f64, what: What, lasts_s: u64) -> Run {
    let fault = Fault {
        what,
        hop: 0,
        from_s: BEFORE_S,
        until_s: BEFORE_S + lasts_s,
    };
    let mut route = Route::new(seed, Nature::of(rate)).with_only(0);
    let thresholds = Budget::for_streams(50_000).thresholds(&Habit::known(3.0));
    let mut stream = Stream::default();
    let mut run = Run {
        opened: 0,
        open_at_end: false,
        cleared: false,
        of_the_time: 0.0,
    };
    for at_s in 0..fault.until_s + AFTER_S {
        let verdict = stream.observe(at_s, &route.second(at_s, &[fault])[0], &thresholds);
        let during = at_s >= fault.from_s && at_s < fault.until_s;
        run.opened += usize::from(
            during
                && matches!(verdict, Verdict::Opened(finding) if finding.direction == Direction::Up),
        );
        if at_s + 20 == fault.until_s {
            run.open_at_end = stream.open().is_some();
            run.of_the_time = stream.open().map_or(0.0, |open| open.of_the_time);
        }
        run.cleared |= at_s >= fault.until_s && matches!(verdict, Verdict::Cleared(_));
        let restart = [1, 2]
            .map(|third| BEFORE_S + third * lasts_s / 3)
            .contains(&at_s);
        if restart {
            stream = Stream::from_bytes(&stream.to_bytes()).expect("what was saved reads back");
        }
    }
    run
}
