//! How soon is a fault found, at the thresholds that keep the budget?

use super::prototype::Prototype;
use crate::fault::{CATALOGUE, Fault, What};
use crate::table::quantile;
use crate::workload::{HOPS, Nature, Route};
use serde_json::{Value, json};
use tracer::detect::{Budget, Direction, Habit, Stream, Thresholds, Tier, Verdict};

const BEFORE_S: u64 = 7_200;

/// The hosts: routes, and the longest burst that they know, in seconds.
const HOSTS: [(u32, f64); 5] = [
    (10, 3.0),
    (1_000, 3.0),
    (10_000, 3.0),
    (10_000, 15.0),
    (10_000, 30.0),
];

/// When each of several judges first warned and paged, in seconds after the fault began.
#[derive(Default)]
struct Delays {
    warned: Vec<f64>,
    paged: Vec<f64>,
    dated: u64,
    early: u64,
}

impl Delays {
    fn figures(&mut self, runs: u64) -> String {
        let of = |delays: &mut Vec<f64>| {
            let found = 100.0 * delays.len() as f64 / runs as f64;
            match (quantile(delays, 0.5), quantile(delays, 0.9)) {
                (Some(median), Some(p90)) => format!("{found:.0} % {median:.0} / {p90:.0}"),
                _ => "0 %".to_owned(),
            }
        };
        of(&mut self.paged)
    }
}

/// One judge of one run.
struct Judge {
    stream: Stream,
    thresholds: Thresholds,
    warned: Option<f64>,
    paged: Option<f64>,
}

pub(super) fn run(seed: u64, runs: u64) -> Value {
    println!(
        "Seeds {seed}..{}; found, median / p90 delay in s at the page tier; within 2 h.",
        seed + runs
    );
    println!(
        "Hosts by routes and the longest burst that they know; the prototype knows neither.\n"
    );
    print!("| fault | packets/s |");
    for (routes, burst_s) in HOSTS {
        print!(" {routes}, {burst_s} s |");
    }
    println!(" warned at 10000, 3 s | prototype | dated within its error | false before |");
    println!("|---|---|{}---|---|---|---|", "---|".repeat(HOSTS.len()));
    let mut figures = Vec::new();
    for (name, what) in CATALOGUE {
        for rate in [3.0, 30.0, 300.0] {
            let mut hosts: [Delays; HOSTS.len()] = Default::default();
            let mut prototype = Delays::default();
            for n in 0..runs {
                one(seed + n, n, rate, what, &mut hosts, &mut prototype);
            }
            let warned = {
                let delays = &mut hosts[2].warned;
                let found = 100.0 * delays.len() as f64 / runs as f64;
                format!(
                    "{found:.0} % {:.0}",
                    quantile(delays, 0.5).unwrap_or(f64::NAN)
                )
            };
            let dated = 100.0 * hosts[2].dated as f64 / hosts[2].warned.len().max(1) as f64;
            let early = hosts[2].early;
            let cells: Vec<String> = hosts
                .iter_mut()
                .map(|delays| delays.figures(runs))
                .collect();
            let peer = prototype.figures(runs);
            println!(
                "| {name} | {rate} | {} | {warned} | {peer} | {dated:.0} % | {early} |",
                cells.join(" | ")
            );
            let of = |delays: &mut Delays| json!({ "found": delays.paged.len(), "median_s": quantile(&mut delays.paged, 0.5), "p90_s": quantile(&mut delays.paged, 0.9) });
            figures.push(json!({
                "fault": name, "rate": rate, "runs": runs,
                "hosts": hosts.iter_mut().map(of).collect::<Vec<_>>(), "prototype": of(&mut prototype),
            }));
        }
    }
    Value::Array(figures)
}

fn one(
    seed: u64,
    n: u64,
    rate: f64,
    what: What,
    hosts: &mut [Delays; HOSTS.len()],
    prototype: &mut Delays,
) {
    let from_s = BEFORE_S + n % 60;
    let fault = Fault {
        what,
        hop: (n % HOPS as u64) as usize,
        from_s,
        until_s: u64::MAX,
    };
    let mut route = Route::new(seed, Nature::of(rate)).with_only(fault.hop);
    let mut judges = HOSTS.map(|(routes, burst_s)| Judge {
        stream: Stream::default(),
        thresholds: Budget::for_streams(routes * HOPS as u32).thresholds(&Habit::known(burst_s)),
        warned: None,
        paged: None,
    });
    let mut peer = (Prototype::default(), None);
    for at_s in 0..from_s + 7_200 {
        let second = &route.second(at_s, &[fault])[fault.hop];
        let took_s = (at_s + 1).saturating_sub(from_s) as f64;
        for (judge, delays) in judges
            .iter_mut()
            .zip(hosts.iter_mut())
            .filter(|(judge, _)| judge.paged.is_none())
        {
            let verdict = judge.stream.observe(at_s, second, &judge.thresholds);
            let (Verdict::Opened(finding) | Verdict::Louder(finding)) = verdict else {
                continue;
            };
            if finding.direction == Direction::Down {
                continue;
            }
            if at_s < from_s {
                delays.early += 1;
                continue;
            }
            if judge.warned.is_none() {
                judge.warned = Some(took_s);
                let off_s = (finding.change_s + 1).abs_diff(from_s) as f32;
                delays.dated += u64::from(off_s <= finding.change_error_s);
            }
            if finding.tier == Tier::Page {
                judge.paged = Some(took_s);
            }
        }
        if peer.0.observe(second) == 2 && at_s >= from_s {
            peer.1 = peer.1.or(Some(took_s));
        }
        if peer.1.is_some() && judges.iter().all(|judge| judge.paged.is_some()) {
            break;
        }
    }
    for (judge, delays) in judges.iter().zip(hosts) {
        delays.warned.extend(judge.warned);
        delays.paged.extend(judge.paged);
    }
    prototype.paged.extend(peer.1);
}
