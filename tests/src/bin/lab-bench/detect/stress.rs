//! What is strange and no fault must wake nobody, and a fault after it must still be found.

use crate::fault::{Fault, What};
use crate::workload::{HOPS, Nature, Route};
use serde_json::{Value, json};
use tracer::detect::{Budget, Direction, Habit, Increase, Stream, Thresholds, Tier, Verdict};

const EVENT_S: u64 = 7_200;
const FAULT_S: u64 = 9_600;
const END_S: u64 = 10_800;

/// What happens at [`EVENT_S`].
#[derive(Clone, Copy, PartialEq)]
enum Event {
    MixStep,
    Silence,
    CounterReset,
    ClockBack,
    ClockForward,
    Hole,
    NodeReuse,
    TwoFaults,
    Correlated,
}

const EVENTS: [(&str, Event); 9] = [
    (
        "traffic mix: 43 % more packets, three times slower",
        Event::MixStep,
    ),
    ("silence of 100 s", Event::Silence),
    ("counter reset", Event::CounterReset),
    ("clock set back 1 h", Event::ClockBack),
    ("clock set forward 1 h", Event::ClockForward),
    ("hole of 10 s, its packets late", Event::Hole),
    ("node reused by another route", Event::NodeReuse),
    ("two faults at once", Event::TwoFaults),
    ("correlated hops", Event::Correlated),
];

pub(super) fn run(seed: u64, runs: u64) -> Value {
    println!(
        "Seeds {seed}..{}, 3, 30 and 300 packets/s; host of 10,000 routes that knows bursts of 3 s; then x3 on one hop for 20 min.\n",
        seed + runs
    );
    println!(
        "| stress | runs | false pages | false warnings | fault found | wrong hop also paged |"
    );
    println!("|---|---|---|---|---|---|");
    let mut figures = Vec::new();
    for (name, event) in EVENTS {
        let (mut pages, mut warns, mut found, mut wrong) = (0, 0, 0, 0);
        for n in 0..runs {
            let rate = [3.0, 30.0, 300.0][(n % 3) as usize];
            let said = one(seed + n, n, rate, event);
            let hop = (n % HOPS as u64) as usize;
            let before = |tier: Tier| {
                said.iter()
                    .filter(|said| said.tier == tier && said.at_s < FAULT_S)
                    .count()
            };
            pages += before(Tier::Page);
            warns += before(Tier::Warn);
            let hops: Vec<usize> = if event == Event::TwoFaults {
                vec![hop, (hop + 2) % HOPS]
            } else {
                vec![hop]
            };
            let told = |hop: &usize| {
                said.iter()
                    .any(|said| said.hop == *hop && said.at_s >= FAULT_S && said.tier == Tier::Page)
            };
            found += usize::from(hops.iter().all(told));
            wrong += usize::from((0..HOPS).any(|other| !hops.contains(&other) && told(&other)));
        }
        println!(
            "| {name} | {runs} | {pages} | {warns} | {:.0} % | {wrong} |",
            100.0 * found as f64 / runs as f64
        );
        figures.push(json!({ "stress": name, "runs": runs, "pages": pages, "warnings": warns, "found": found, "wrong": wrong }));
    }
    Value::Array(figures)
}

struct Said {
    hop: usize,
    at_s: u64,
    tier: Tier,
}

fn one(seed: u64, n: u64, rate: f64, event: Event) -> Vec<Said> {
    let hop = (n % HOPS as u64) as usize;
    let slow = What::Slow {
        share: 1.0,
        times: 3.0,
    };
    let mut faults = vec![Fault {
        what: slow,
        hop,
        from_s: FAULT_S,
        until_s: END_S,
    }];
    let back_pressure = if event == Event::Correlated { 0.4 } else { 0.0 };
    match event {
        Event::MixStep => faults.push(Fault {
            what: What::Mix {
                more: 0.43,
                times: 3.0,
            },
            hop: (hop + 1) % HOPS,
            from_s: EVENT_S,
            until_s: END_S,
        }),
        Event::TwoFaults => faults.push(Fault {
            hop: (hop + 2) % HOPS,
            ..faults[0]
        }),
        _ => {}
    }
    let mut route = Route::new(
        seed,
        Nature {
            back_pressure,
            ..Nature::of(rate)
        },
    );
    let mut other = Route::new(seed + 500_000, Nature::of(rate));
    let thresholds: Thresholds = Budget::for_streams(50_000).thresholds(&Habit::known(3.0));
    let mut streams: [Stream; HOPS] = Default::default();
    let mut said = Vec::new();
    let mut late = Increase::default();
    for at_s in 0..END_S {
        let since_s = at_s.wrapping_sub(EVENT_S);
        if event == Event::NodeReuse && since_s == 0 {
            streams = Default::default();
        }
        let reused = event == Event::NodeReuse && at_s >= EVENT_S;
        let hops = if reused {
            other.second(at_s, &faults)
        } else {
            route.second(at_s, &faults)
        };
        let clock_s = 1_000_000
            + match event {
                Event::ClockBack if at_s >= EVENT_S => at_s - 3_600,
                Event::ClockForward if at_s >= EVENT_S => at_s + 3_600,
                _ => at_s,
            };
        for (number, (stream, second)) in streams.iter_mut().zip(hops).enumerate() {
            let verdict = match event {
                Event::Silence if since_s < 100 => {
                    stream.observe(clock_s, &Increase::default(), &thresholds)
                }
                // The first difference after a reset is cut off at zero; some buckets may still show some.
                Event::CounterReset if since_s == 0 => {
                    late.clear();
                    second
                        .cells()
                        .iter()
                        .take(2)
                        .for_each(|&(bucket, count)| late.add(bucket, count));
                    stream.observe(clock_s, &late, &thresholds)
                }
                Event::Hole if since_s < 10 => {
                    if since_s == 0 {
                        late.clear();
                    }
                    second
                        .cells()
                        .iter()
                        .for_each(|&(bucket, count)| late.add(bucket.max(190), count));
                    continue;
                }
                Event::Hole if since_s == 10 => stream.observe(clock_s, &late, &thresholds),
                _ => stream.observe(clock_s, second, &thresholds),
            };
            let (Verdict::Opened(finding) | Verdict::Louder(finding)) = verdict else {
                continue;
            };
            if finding.direction == Direction::Up {
                said.push(Said {
                    hop: number,
                    at_s,
                    tier: finding.tier,
                });
            }
        }
    }
    said
}
