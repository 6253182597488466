//! How much does an incident matter to those who use the network?
//!
//! Counted over some ten seconds: of a component whose sockets are on this host, the share of
//! exchanges that were slower than 99 in 100 used to be, or disturbed, less the share that always is;
//! of any other, the share of packets that were slower at the hop than 99 in 100 used to be, and than
//! twice the median, or dropped.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::detect::{Finding, Increase, Kind};
use crate::model::connection::Connection;
use crate::model::incident::UNITS;
use crate::model::{Class, Tuple, bucket};

use super::cases::Case;
use super::clock::Clock;
use super::place::{class_name, component};
use super::settings::Settings;

/// Over how long is counted, in seconds (e-folding), and for how long a connection stays bad.
const WINDOW_S: f64 = 10.0;

/// A share takes at least so many.
const ENOUGH: f64 = 5.0;

/// How slowly it is learnt what is usual, in seconds (e-folding).
const USUAL_S: f64 = 3_600.0;

/// Components, and connections, that are remembered.
const MOST: usize = 10_000;

/// What one usual packet in so many exceeds.
const BEYOND: f64 = 0.01;

/// A packet is slow at a hop that takes so many times the usual median, where no exchange tells.
const NOTICED: f32 = 2.0;

/// What an incident does, and for how long it has been enough.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    held_s: f64,
}

/// All components' exchanges, and the packets of those with incidents.
#[derive(Debug, Default)]
pub(super) struct Effects {
    exchanges: HashMap<String, Sum>,
    /// By component and direction.
    packets: HashMap<String, Sum>,
    /// Slow packets, by incident, component and direction, and by class.
    slow: HashMap<(u64, String), HashMap<String, f64>>,
    slow_sums: HashMap<(u64, String), Sum>,
    /// Which components an incident touches, now and a second ago.
    touched: HashMap<u64, BTreeSet<String>>,
    before: BTreeSet<String>,
    known: HashMap<Tuple, Known>,
    bad: HashMap<(String, Tuple), u64>,
}

/// A count over the last seconds.
#[derive(Debug, Default)]
struct Sum {
    all: f64,
    bad: f64,
    usual: f64,
    learnt_s: f64,
}

/// A connection as it was.
#[derive(Clone, Copy, Debug)]
struct Known {
    rtts: u32,
    rtt_sum_ns: u64,
    troubles: u32,
}

impl Effects {
    pub(super) fn pass(&mut self, passed: Duration) {
        let fades = (-passed.as_secs_f64() / WINDOW_S).exp();
        let sums = self.exchanges.values_mut().chain(self.packets.values_mut());
        for sum in sums.chain(self.slow_sums.values_mut()) {
            sum.all *= fades;
            sum.bad *= fades;
        }
        self.slow.clear();
        self.before = std::mem::take(&mut self.touched)
            .into_values()
            .flatten()
            .collect();
    }

    pub(super) fn touch(&mut self, number: u64, component: &str) {
        let touched = self.touched.entry(number).or_default();
        if touched.len() < MOST && !touched.contains(component) {
            touched.insert(component.to_owned());
        }
    }

    pub(super) fn is_touched(&self, component: &str) -> bool {
        self.before.contains(component)
    }

    /// Exchanges of a component, those that did not go well among them, and the usual 99th percentile.
    pub(super) fn exchanges(
        &mut self,
        component: &str,
        increase: &Increase,
        troubled: u64,
        usual: Option<u8>,
    ) {
        let well = increase.packets() as f64;
        if well + troubled as f64 <= 0.0 {
            return;
        }
        if !self.exchanges.contains_key(component) && self.exchanges.len() >= MOST {
            return;
        }
        let slow = usual.map_or(0.0, |usual| beyond(increase, usual));
        let sum = self.exchanges.entry(component.to_owned()).or_default();
        sum.all += well + troubled as f64;
        sum.bad += slow + troubled as f64;
    }

    /// Packets of a class that set out.
    pub(super) fn packets(&mut self, class: &Class, packets: u64) {
        self.packets.entry(direction(class)).or_default().all += packets as f64;
    }

    /// A second of a hop with a finding, for the packets of a class.
    pub(super) fn slow_hop(
        &mut self,
        number: u64,
        class: &Class,
        finding: Option<&Finding>,
        increase: &Increase,
    ) {
        self.touch(number, &component(class));
        let slow = match finding {
            None => return,
            Some(Finding {
                kind: Kind::Loss(sort),
                ..
            }) => f64::from(increase.mishaps(*sort)),
            Some(finding) => {
                // A quarter more at one hop is found, and nobody's complaint.
                let edge_ns = finding.p99_ns[0].max(NOTICED * finding.median_ns[0]);
                beyond(increase, bucket::index(edge_ns as u64) as u8)
            }
        };
        let classes = self.slow.entry((number, direction(class))).or_default();
        // Hops after one another have the same packets.
        let most = classes.entry(class_name(class)).or_default();
        *most = most.max(slow);
    }

    /// Which of a component's connections are worse than usual.
    pub(super) fn connections(
        &mut self,
        component: &str,
        sample: &[Connection],
        usual: Option<u8>,
        at_s: u64,
    ) {
        for connection in sample {
            let now = Known {
                rtts: connection.rtts,
                rtt_sum_ns: connection.rtt_sum_ns,
                troubles: connection.retransmits.saturating_add(connection.disturbed),
            };
            if self.known.len() >= MOST && !self.known.contains_key(&connection.tuple) {
                continue;
            }
            let Some(before) = self.known.insert(connection.tuple, now) else {
                continue;
            };
            let rtts = now.rtts.saturating_sub(before.rtts);
            let sum_ns = now.rtt_sum_ns.saturating_sub(before.rtt_sum_ns);
            let mean_ns = sum_ns.checked_div(rtts.into());
            let slow = match (mean_ns, usual) {
                (Some(ns), Some(usual)) => bucket::index(ns) > usual.into(),
                _ => false,
            };
            if slow || now.troubles > before.troubles {
                self.bad
                    .insert((component.to_owned(), connection.tuple), at_s);
            }
        }
    }

    /// Says of each incident how much it matters, and whether that has been enough for long enough.
    pub(super) fn settle<'a>(
        &mut self,
        cases: impl Iterator<Item = &'a mut Case>,
        settings: &Settings,
        clock: &Clock,
        passed: Duration,
    ) {
        let at_s = clock.at_s();
        self.bad.retain(|_, bad_s| at_s <= *bad_s + WINDOW_S as u64);
        for (of, classes) in &self.slow {
            let sum = self.slow_sums.entry(of.clone()).or_default();
            sum.bad += classes.values().sum::<f64>();
        }
        for case in cases {
            let number = case.incident.number;
            let empty = BTreeSet::new();
            let touched = self.touched.get(&number).unwrap_or(&empty);
            let worst = touched.iter().filter_map(|it| self.share(number, it));
            let worst = worst.max_by(|a, b| a.0.total_cmp(&b.0));
            let bad = self
                .bad
                .keys()
                .filter(|(it, _)| touched.contains(it))
                .count();
            let connections = u32::try_from(bad).unwrap_or(u32::MAX);
            case.weigh(worst, connections, settings, clock, passed);
        }
        self.learn(passed);
        self.slow_sums.retain(|_, sum| sum.bad > 1e-3);
        self.packets.retain(|_, sum| sum.all > 1e-3);
        if self.touched.is_empty() {
            self.known.clear();
        }
    }

    /// What incidents do to a component: the share, whose, and of what.
    fn share(&self, number: u64, component: &str) -> Option<(f64, String, &'static str)> {
        let whole = self
            .exchanges
            .get(component)
            .filter(|sum| sum.all >= ENOUGH);
        if let Some(sum) = whole {
            let share = (sum.bad / sum.all - sum.usual).clamp(0.0, 1.0);
            return Some((share, component.to_owned(), UNITS[0]));
        }
        if self.exchanges.contains_key(component) {
            return None;
        }
        let directions = ["requests to", "answers from"];
        let shares = directions.iter().filter_map(|it| {
            let direction = format!("{it} {component}");
            let all = self.packets.get(&direction)?.all;
            let slow = self.slow_sums.get(&(number, direction))?.bad;
            (all >= ENOUGH).then(|| (slow / all).clamp(0.0, 1.0))
        });
        let share = shares.max_by(f64::total_cmp)?;
        Some((share, component.to_owned(), UNITS[1]))
    }

    /// Learns what is usual where nothing is wrong.
    fn learn(&mut self, passed: Duration) {
        let passed_s = passed.as_secs_f64();
        let touched: BTreeSet<&String> = self.touched.values().flatten().collect();
        for (component, sum) in &mut self.exchanges {
            if touched.contains(component) || sum.all < ENOUGH {
                continue;
            }
            sum.learnt_s += passed_s;
            let part = passed_s / sum.learnt_s.clamp(WINDOW_S, USUAL_S);
            sum.usual += (sum.bad / sum.all - sum.usual) * part.min(1.0);
        }
        // A component that is silent for minutes has nothing to be usual.
        self.exchanges.retain(|_, sum| sum.all > 1e-9);
    }
}

impl Case {
    fn weigh(
        &mut self,
        worst: Option<(f64, String, &'static str)>,
        connections: u32,
        settings: &Settings,
        clock: &Clock,
        passed: Duration,
    ) {
        let effect = &mut self.incident.effect;
        let mut is_enough = connections >= settings.connections;
        effect.connections = effect.connections.max(connections);
        let mut why = format!("{connections} connections are worse than usual");
        if let Some((share, of, unit)) = worst {
            if share * 100.0 >= f64::from(settings.percent) {
                is_enough = true;
                why = format!(
                    "{:.0} % of the {unit} of {of} are worse than usual",
                    share * 100.0
                );
            }
            if effect.share.is_none_or(|most| share > most) {
                (effect.share, effect.of, effect.unit) = (Some(share), of, unit);
            }
        }
        let held_s = &mut self.effect.held_s;
        *held_s = if is_enough {
            *held_s + passed.as_secs_f64()
        } else {
            0.0
        };
        let is_sure = self
            .incident
            .findings
            .iter()
            .any(|it| it.is_sure && it.cleared.is_none());
        let is_warning = self.incident.severity == crate::model::incident::Severity::Warning;
        if is_sure && is_warning && *held_s >= settings.lasting.as_secs_f64() {
            self.is_critical(why, clock);
        }
    }
}

fn direction(class: &Class) -> String {
    let word = match class.service {
        Some(crate::model::Service::Source(_)) => "answers from",
        _ => "requests to",
    };
    format!("{word} {}", component(class))
}

/// Packets above a bucket, beyond those that always are.
fn beyond(increase: &Increase, usual: u8) -> f64 {
    let cells = increase.cells().iter();
    let slow: u64 = cells
        .filter(|(bucket, _)| *bucket > usual)
        .map(|(_, count)| u64::from(*count))
        .sum();
    (slow as f64 - BEYOND * increase.packets() as f64).max(0.0)
}
