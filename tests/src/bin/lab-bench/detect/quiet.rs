//! How often is something found when nothing is wrong?
//!
//! Hosts of three sizes watch the same routes side by side, each with the budget of its size and
//! with what its own streams teach it. One route in four has bursts of 5–15 s, the others of 1–3 s.

use super::HOSTS;
use super::prototype::Prototype;
use crate::table::poisson_upper;
use crate::workload::{HOPS, Nature, RATES, Route};
use serde_json::{Value, json};
use tracer::detect::incident::{Incidents, Part};
use tracer::detect::{Budget, Habit, Stream, Tier, Verdict};

const WEEK_S: f64 = 7.0 * 86_400.0;
const WEEKS_A_MONTH: f64 = 30.0 / 7.0;

/// The prototype is watched for this time only: it costs more than the rest together.
const PROTOTYPE_S: u64 = 86_400;

/// A host, its streams and what it said.
struct Host {
    budget: Budget,
    habit: Habit,
    streams: Vec<Stream>,
    incidents: Vec<Incidents>,
    told: Vec<Tier>,
}

impl Host {
    fn new(streams: u32, routes: usize) -> Self {
        Self {
            budget: Budget::for_streams(streams),
            habit: Habit::default(),
            streams: vec![Stream::default(); routes * HOPS],
            incidents: vec![Incidents::default(); routes],
            told: Vec::new(),
        }
    }

    fn second(&mut self, at_s: u64, route: usize, hops: &[tracer::detect::Increase; HOPS]) {
        let thresholds = self.budget.thresholds(&self.habit);
        for (hop, second) in hops.iter().enumerate() {
            let number = (route * HOPS + hop) as u64;
            let stream = &mut self.streams[number as usize];
            let verdict = stream.observe(at_s, second, &thresholds);
            if let Some(burst_s) = stream.take_burst_s() {
                self.habit.learn(burst_s);
            }
            match verdict {
                Verdict::Opened(finding) | Verdict::Louder(finding)
                    if finding.tier > Tier::Notice =>
                {
                    let parts = [Part::Component(route as u64)];
                    if self.incidents[route].add(number, &finding, &parts).1 {
                        if self.budget.streams == HOSTS[2] {
                            eprintln!("route {route} hop {hop}: {finding:?}");
                        }
                        self.told.push(finding.tier);
                    }
                }
                Verdict::Cleared(finding) => {
                    self.incidents[route].clear(number, finding.cleared_s.unwrap_or(at_s));
                    self.incidents[route].forget_before(at_s.saturating_sub(3_600));
                }
                _ => {}
            }
        }
    }

    fn count(&self, tier: Tier) -> u64 {
        self.told.iter().filter(|told| **told == tier).count() as u64
    }

    /// Prints what it said in so many route-weeks.
    fn row(&self, weeks: f64) -> Value {
        let routes = f64::from(self.budget.streams) / HOPS as f64;
        let thresholds = self.budget.thresholds(&self.habit);
        let (warned, paged) = (self.count(Tier::Warn), self.count(Tier::Page));
        let rate = |count: u64, times: f64| {
            let [seen, upper] =
                [count as f64, poisson_upper(count)].map(|count| count / weeks * times);
            format!("{seen:.3} (< {upper:.3})")
        };
        println!(
            "| {routes} | {:.1}, {:.1} | {:.0} s | {warned} | {paged} | {} | {} | {} | {} |",
            thresholds.warn,
            thresholds.page,
            self.habit.longest_s,
            rate(warned, 1.0),
            rate(paged, 1.0),
            rate(warned, routes),
            rate(paged, routes * WEEKS_A_MONTH)
        );
        json!({
            "routes": routes, "route_weeks": weeks, "warnings": warned, "pages": paged,
            "upper_pages_a_route_week": poisson_upper(paged) / weeks,
        })
    }
}

pub(super) fn run(seed: u64, routes_a_rate: u64, days: f64) -> Value {
    let natures: Vec<(f64, bool)> = (0..routes_a_rate)
        .flat_map(|n| RATES.map(|rate| (rate, n % 4 == 3)))
        .collect();
    let mut routes: Vec<Route> = natures
        .iter()
        .enumerate()
        .map(|(n, &(rate, long))| {
            let burst_s = Some(if long { (5.0, 15.0) } else { (1.0, 3.0) });
            Route::new(
                seed + n as u64,
                Nature {
                    burst_s,
                    ..Nature::of(rate)
                },
            )
        })
        .collect();
    let mut hosts = HOSTS.map(|streams| Host::new(streams, routes.len()));
    let mut prototypes = vec![Prototype::default(); routes.len() * HOPS];
    let mut prototype_said = [0u64; 3];
    let seconds = (days * 86_400.0) as u64;
    for at_s in 0..seconds {
        for (n, route) in routes.iter_mut().enumerate() {
            let hops = route.second(at_s, &[]);
            for host in &mut hosts {
                host.second(at_s, n, hops);
            }
            if at_s < PROTOTYPE_S {
                for (prototype, second) in prototypes[n * HOPS..].iter_mut().zip(hops) {
                    prototype_said[usize::from(prototype.observe(second))] += 1;
                }
            }
        }
        for host in &mut hosts {
            host.habit.pass(1.0);
        }
        if at_s % 86_400 == 86_399 {
            let told: Vec<_> = hosts
                .iter()
                .map(|host| {
                    (
                        host.count(Tier::Warn),
                        host.count(Tier::Page),
                        host.habit.longest_s as u64,
                    )
                })
                .collect();
            eprintln!("day {}: {told:?}", at_s / 86_400 + 1);
        }
    }
    let weeks = routes.len() as f64 * seconds as f64 / WEEK_S;
    println!(
        "Seeds {seed}..{}; {weeks:.1} route-weeks of {HOPS} streams; in brackets the Poisson 95 % upper limit.\n",
        seed + routes.len() as u64
    );
    println!(
        "| host: routes | nats: warn, page | longest burst learnt | warnings | pages | warnings a route-week | pages a route-week | warnings a host-week | pages a host-month |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let figures: Vec<Value> = hosts.iter().map(|host| host.row(weeks)).collect();
    let watched = routes.len() as f64 * seconds.min(PROTOTYPE_S) as f64 / WEEK_S;
    println!(
        "\nPrototype, ungrouped, on {watched:.1} of these route-weeks (their first day): {:.2} warnings and {:.2} pages a route-week.",
        prototype_said[1] as f64 / watched,
        prototype_said[2] as f64 / watched
    );
    json!({ "hosts": figures, "prototype": { "route_weeks": watched, "said": prototype_said } })
}

/// Independent draws from one distribution a hop: 100 route-days.
pub(super) fn iid(seed: u64) -> Value {
    let (mut alarms, mut days) = (0u64, 0.0);
    for n in 0..100u64 {
        let rate = RATES[(n % 4) as usize];
        let mut route = Route::new(
            seed + n,
            Nature {
                iid: true,
                ..Nature::of(rate)
            },
        );
        let mut host = Host::new(HOSTS[0], 1);
        host.habit = Habit::known(0.0);
        (0..86_400).for_each(|at_s| host.second(at_s, 0, route.second(at_s, &[])));
        alarms += host.told.len() as u64;
        days += 1.0;
    }
    println!("{alarms} alarms in {days} route-days at the thresholds of a host with 10 routes.");
    json!({ "alarms": alarms, "route_days": days })
}
