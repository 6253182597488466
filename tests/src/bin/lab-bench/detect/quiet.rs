//! How often is something found when nothing is wrong?
//!
//! Hosts of three sizes, each watched whole: all its streams teach one habit and share one budget,
//! and findings of a route are one incident. One route in four has bursts of 5–15 s, the others of
//! 1–3 s; a quarter each sends 0.3, 3, 30 and 300 packets a second. Routes share nothing, so that
//! grouping helps as little as it can.

use super::HOSTS;
use super::prototype::Prototype;
use crate::table::poisson_upper;
use crate::workload::{HOPS, Nature, RATES, Route};
use serde_json::{Value, json};
use tracer::detect::incident::{Incidents, Part};
use tracer::detect::{Budget, Habit, Stream, Tier, Verdict};

const DAY_S: u64 = 86_400;
const WEEK_DAYS: f64 = 7.0;
const MONTH_DAYS: f64 = 30.0;

/// A small host is watched for a month, then the next one.
const MONTH_S: u64 = 30 * DAY_S;

/// Routes take turns of so many seconds, so that their state stays near.
const TURN_S: u64 = 60;

/// The prototype watches so many routes for a day.
const PROTOTYPE_ROUTES: usize = 16;

/// A host, its streams and what it said.
struct Host {
    budget: Budget,
    habit: Habit,
    routes: Vec<Watched>,
    told: [u64; 2],
}

/// A route and what is known of it.
struct Watched {
    route: Route,
    streams: [Stream; HOPS],
    incidents: Incidents,
}

impl Watched {
    fn new(route: Route) -> Self {
        Self {
            route,
            streams: Default::default(),
            incidents: Incidents::default(),
        }
    }

    /// Judges a second; returns the incidents that were told, by tier.
    fn second(&mut self, at_s: u64, budget: &Budget, habit: &mut Habit) -> [u64; 2] {
        let thresholds = budget.thresholds(habit);
        let mut told = [0; 2];
        let rate = self.route.nature().rate;
        let hops = self.route.second(at_s, &[]);
        for (hop, (stream, second)) in self.streams.iter_mut().zip(hops).enumerate() {
            let verdict = stream.observe(at_s, second, &thresholds);
            if let Some(burst_s) = stream.take_burst_s() {
                habit.learn(burst_s);
            }
            match verdict {
                Verdict::Opened(finding) | Verdict::Louder(finding)
                    if finding.tier > Tier::Notice =>
                {
                    let tell = self
                        .incidents
                        .add(hop as u64, &finding, &[Part::Component(0)])
                        .1;
                    if tell {
                        told[usize::from(finding.tier == Tier::Page)] += 1;
                        eprintln!("at {at_s} s, {rate} packets/s, hop {hop}: {finding:?}");
                    }
                }
                Verdict::Cleared(finding) => {
                    let cleared_s = finding.cleared_s.unwrap_or(at_s);
                    self.incidents.clear(hop as u64, cleared_s);
                    self.incidents.forget_before(at_s.saturating_sub(60));
                }
                _ => {}
            }
        }
        told
    }
}

/// A route of the workload: its rate and the length of its bursts by its number.
fn route(seed: u64, number: u64) -> Route {
    let long = number / RATES.len() as u64 % 4 == 3;
    let nature = Nature {
        burst_s: Some(if long { (5.0, 15.0) } else { (1.0, 3.0) }),
        ..Nature::of(RATES[number as usize % RATES.len()])
    };
    Route::new(seed + number, nature)
}

impl Host {
    fn new(seed: u64, routes: u64) -> Self {
        Self {
            budget: Budget::for_streams(routes as u32 * HOPS as u32),
            habit: Habit::default(),
            routes: (0..routes).map(|n| Watched::new(route(seed, n))).collect(),
            told: [0; 2],
        }
    }

    fn watch(&mut self, seconds: u64) {
        for from_s in (0..seconds).step_by(TURN_S as usize) {
            for watched in &mut self.routes {
                for at_s in from_s..(from_s + TURN_S).min(seconds) {
                    let told = watched.second(at_s, &self.budget, &mut self.habit);
                    self.told[0] += told[0];
                    self.told[1] += told[1];
                }
            }
            self.habit.pass(TURN_S as f64);
        }
    }
}

/// Hosts of one size until so many route-days are watched; prints what they said.
fn hosts(seed: u64, routes: u64, route_days: f64) -> Value {
    let mut left_s = (route_days * DAY_S as f64 / routes as f64) as u64;
    let days = left_s as f64 / DAY_S as f64;
    let (mut told, mut hosts, mut longest_s) = ([0u64; 2], 0, 0.0f64);
    while left_s > 0 {
        let seconds = left_s.min(MONTH_S);
        let mut host = Host::new(seed + hosts * routes, routes);
        host.watch(seconds);
        (left_s, hosts) = (left_s - seconds, hosts + 1);
        told = [told[0] + host.told[0], told[1] + host.told[1]];
        longest_s = longest_s.max(host.habit.longest_s);
    }
    let rate = |count: u64, days_each: f64, per: f64| {
        let [rate, upper] = [count as f64, poisson_upper(count)].map(|n| n * days_each / per);
        format!("{rate:.3} (< {upper:.3})")
    };
    let thresholds = Budget::for_streams(routes as u32 * HOPS as u32).thresholds(&Habit::default());
    let watched = days * routes as f64;
    println!(
        "| {routes} | {hosts} × {:.2} | {:.1}, {:.1} | {longest_s:.0} s | {} | {} | {} | {} | {} | {} |",
        days / hosts as f64,
        thresholds.warn,
        thresholds.page,
        told[0],
        told[1],
        rate(told[0], WEEK_DAYS, days),
        rate(told[1], MONTH_DAYS, days),
        rate(told[0], WEEK_DAYS, watched),
        rate(told[1], WEEK_DAYS, watched),
    );
    json!({
        "routes": routes, "hosts": hosts, "days": days, "route_days": watched,
        "longest_burst_s": longest_s, "warnings": told[0], "pages": told[1],
        "upper_warnings_a_host_week": poisson_upper(told[0]) * WEEK_DAYS / days,
        "upper_pages_a_host_month": poisson_upper(told[1]) * MONTH_DAYS / days,
    })
}

pub(super) fn run(seed: u64, sizes: &[u64], route_days: f64) -> Value {
    println!("Seeds from {seed} on, one a route; in brackets the Poisson 95 % upper limit.\n");
    println!(
        "| host: routes | hosts × days | nats: warn, page | longest burst learnt | warnings | pages | warnings a host-week | pages a host-month | warnings a route-week | pages a route-week |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let figures: Vec<Value> = sizes
        .iter()
        .map(|&routes| hosts(seed, routes, route_days))
        .collect();
    let said = prototype(seed);
    let weeks = PROTOTYPE_ROUTES as f64 / WEEK_DAYS;
    println!(
        "\nPrototype, ungrouped, on {PROTOTYPE_ROUTES} of these routes for a day: {:.1} warnings and {:.1} pages a route-week.",
        said[1] as f64 / weeks,
        said[2] as f64 / weeks
    );
    json!({ "hosts": figures, "prototype": { "route_weeks": weeks, "said": said } })
}

fn prototype(seed: u64) -> [u64; 3] {
    let mut said = [0; 3];
    for n in 0..PROTOTYPE_ROUTES as u64 {
        let mut route = route(seed, n);
        let mut prototypes = vec![Prototype::default(); HOPS];
        for at_s in 0..DAY_S {
            for (prototype, second) in prototypes.iter_mut().zip(route.second(at_s, &[])) {
                said[usize::from(prototype.observe(second))] += 1;
            }
        }
    }
    said
}

/// Independent draws from one distribution a hop: 100 route-days.
pub(super) fn iid(seed: u64) -> Value {
    let (mut alarms, mut days) = (0u64, 0.0);
    let budget = Budget::for_streams(HOSTS[0]);
    for n in 0..100u64 {
        let nature = Nature {
            iid: true,
            ..Nature::of(RATES[(n % 4) as usize])
        };
        let mut watched = Watched::new(Route::new(seed + n, nature));
        let mut habit = Habit::known(0.0);
        for at_s in 0..DAY_S {
            let told = watched.second(at_s, &budget, &mut habit);
            alarms += told[0] + told[1];
        }
        days += 1.0;
    }
    println!("{alarms} alarms in {days} route-days at the thresholds of a host with 10 routes.");
    json!({ "alarms": alarms, "route_days": days })
}
