//! What does it cost?

use crate::workload::{HOPS, Nature, RATES, Route};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::Duration;
use tracer::detect::{Budget, Habit, Increase, Stream};

const STREAMS: usize = 50_000;
const SECONDS: usize = 60;

pub(super) fn run(seed: u64) -> Value {
    println!("| packets/s | ns a stream and second (one stream, warm) |");
    println!("|---|---|");
    let thresholds = Budget::for_streams(STREAMS as u32).thresholds(&Habit::known(3.0));
    let mut figures = Vec::new();
    for rate in RATES {
        let mut route = Route::new(seed, Nature::of(rate));
        let seconds: Vec<Increase> = (0..3_600)
            .map(|at_s| route.second(at_s, &[])[0].clone())
            .collect();
        let best = (0..5).map(|_| {
            let mut stream = Stream::default();
            let began_s = spent_s();
            for (at_s, second) in seconds.iter().enumerate() {
                black_box(stream.observe(at_s as u64, second, &thresholds));
            }
            (spent_s() - began_s) * 1e9 / seconds.len() as f64
        });
        let best = best.fold(f64::INFINITY, f64::min);
        println!("| {rate} | {best:.0} |");
        figures.push(json!({ "rate": rate, "ns": best }));
    }
    // A whole host: every stream its own memory, a quarter of them at each rate.
    let mut routes: Vec<Route> = RATES
        .iter()
        .map(|&rate| Route::new(seed, Nature::of(rate)))
        .collect();
    let mut streams = vec![Stream::default(); STREAMS];
    let mut judged_s = 0.0;
    let warm_s = 180;
    for at_s in 0..warm_s + SECONDS {
        let hops: Vec<[Increase; HOPS]> = routes
            .iter_mut()
            .map(|route| route.second(at_s as u64, &[]).clone())
            .collect();
        let began_s = spent_s();
        for (n, stream) in streams.iter_mut().enumerate() {
            black_box(stream.observe(at_s as u64, &hops[n % 4][n / 4 % HOPS], &thresholds));
        }
        if at_s >= warm_s {
            judged_s += spent_s() - began_s;
        }
    }
    let core = 100.0 * judged_s / SECONDS as f64;
    let megabytes = (STREAMS * size_of::<Stream>()) as f64 / 1e6;
    println!(
        "\n{} B a stream; {STREAMS} streams: {megabytes:.0} MB, {core:.1} % of a core ({:.0} ns a stream and second, cold caches).",
        size_of::<Stream>(),
        core * 1e7 / STREAMS as f64
    );
    json!({ "one_stream": figures, "bytes": size_of::<Stream>(), "host_megabytes": megabytes, "host_percent_of_a_core": core })
}

/// The seconds that this thread had a processor: the machine is shared.
fn spent_s() -> f64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(|time| Duration::from(time).as_secs_f64())
        .expect("a thread has a clock of its own")
}
