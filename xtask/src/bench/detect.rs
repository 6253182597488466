//! `bench detect`: how good the detector is, in figures that can be checked.

use super::fault::{CATALOGUE, Fault};
use super::prototype::Prototype;
use super::table::{poisson_upper, quantile};
use super::workload::{HOPS, Nature, RATES, Route};
use clap::Args;
use std::time::Instant;
use tracer::detect::{Budget, Direction, Habit, Stream, Tier, Verdict};

#[derive(Args)]
pub(crate) struct Detect {
    /// What to measure
    #[arg(long, default_value = "quick")]
    what: String,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Routes of each rate
    #[arg(long, default_value_t = 1)]
    routes: u64,
    /// Days
    #[arg(long, default_value_t = 1.0)]
    days: f64,
    /// Streams
    #[arg(long, default_value_t = 50_000)]
    streams: u32,
    /// The longest burst of the host in seconds
    #[arg(long, default_value_t = 3.0)]
    habit_s: f64,
    /// Every alarm
    #[arg(long)]
    verbose: bool,
    /// The prototype too
    #[arg(long)]
    proto: bool,
    /// Faults whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// Faults on a route of long bursts
    #[arg(long)]
    long: bool,
}

impl Detect {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.what.as_str() {
            "quiet" => self.quiet(),
            _ => self.faults(),
        }
        Ok(())
    }

    fn quiet(&self) {
        let mut habit = Habit::known(self.habit_s);
        let budget = Budget::for_streams(self.streams);
        let mut thresholds = budget.thresholds(&habit);
        println!("{thresholds:?} {} B", size_of::<Stream>());
        for long in [false, true] {
            for rate in RATES {
                let began = Instant::now();
                let (mut warns, mut pages, mut notices) = (0u64, 0u64, 0u64);
                let mut open_s = 0u64;
                let mut proto = [0u64; 3];
                for n in 0..self.routes {
                    let nature = Nature { burst_s: Some(if long { (5.0, 15.0) } else { (1.0, 3.0) }), ..Nature::of(rate) };
                    let mut route = Route::new(self.seed + n, nature);
                    let mut streams: [Stream; HOPS] = Default::default();
                    let mut protos: [Prototype; HOPS] = Default::default();
                    for at_s in 0..(self.days * 86_400.0) as u64 {
                        for (hop, (stream, second)) in streams.iter_mut().zip(route.second(at_s, &[])).enumerate() {
                            if self.proto { proto[usize::from(protos[hop].observe(second))] += 1; }
                            let verdict = stream.observe(at_s, second, &thresholds);
                            open_s += u64::from(stream.open().is_some_and(|f| f.direction == Direction::Up));
                            if let Some(burst_s) = stream.take_burst_s() {
                                habit.learn(burst_s);
                                thresholds = budget.thresholds(&habit);
                            }
                            let (Verdict::Opened(finding) | Verdict::Louder(finding)) = verdict else { if let Verdict::Cleared(f) = verdict { if f.direction == Direction::Up { if self.verbose {println!("   cleared after {} s, bad {} s", at_s - f.change_s, f.last_bad_s - f.change_s);}} } continue };
                            match finding.tier {
                                Tier::Notice => notices += 1,
                                Tier::Warn => warns += 1,
                                Tier::Page => pages += 1,
                            }
                            if finding.tier > Tier::Notice && self.verbose {
                                println!("   seed {} hop {hop} at {at_s} {:?} {:?} {} took {} share {:?} p50 {:?} p99 {:?}", self.seed + n, finding.tier, finding.kind, finding.episodes, at_s - finding.change_s, finding.share, finding.median_ns, finding.p99_ns);
                            }
                        }
                    }
                }
                let weeks = self.routes as f64 * self.days / 7.0;
                println!("{habit:?} long {long} rate {rate}: {weeks:.2} route-weeks: warn {warns} page {pages} notice {notices}; proto {proto:?}; page upper {:.3}/rw; open {:.5}; {:.2} us a stream-second", poisson_upper(pages) / weeks, open_s as f64 / (weeks * 7.0 * 86400.0 * 5.0), began.elapsed().as_secs_f64() * 1e6 / (self.routes as f64 * self.days * 86_400.0 * 5.0));
            }
        }
    }

    fn faults(&self) {
        let thresholds = Budget::for_streams(self.streams).thresholds(&Habit::known(self.habit_s));
        println!("{thresholds:?}");
        for (name, what) in CATALOGUE {
            if !self.only.split(',').any(|only| name.contains(only)) { continue }
            for rate in [3.0, 30.0, 300.0] {
                let mut warn = Vec::new();
                let mut page = Vec::new();
                let mut pwarn: Vec<f64> = Vec::new();
                let mut ppage: Vec<f64> = Vec::new();
                let (mut early, mut inside) = (0, 0);
                for n in 0..self.routes {
                    let mut route = Route::new(self.seed + n, Nature { burst_s: Some(if self.long { (5.0, 15.0) } else { (1.0, 3.0) }), ..Nature::of(rate) });
                    let from_s = 7_200 + n % 20;
                    let fault = Fault { what, hop: (n % 5) as usize, from_s, until_s: u64::MAX };
                    let mut stream = Stream::default();
                    let mut proto = Prototype::default();
                    let (mut pwarned, mut ppaged) = (None, None);
                    let (mut warned, mut paged) = (None, None);
                    for at_s in 0..from_s + if rate > 100.0 && !name.starts_with("drift") { 1_200 } else { 7_200 } {
                        let second = &route.second(at_s, &[fault])[fault.hop];
                        if self.proto {
                            let said = proto.observe(second);
                            if at_s >= from_s && said > 0 {
                                let took = (at_s + 1 - from_s) as f64;
                                pwarned = pwarned.or(Some(took));
                                if said == 2 { ppaged = ppaged.or(Some(took)); }
                            }
                        }
                        if paged.is_some() { if ppaged.is_some() || !self.proto { break } continue }
                        if let Verdict::Opened(finding) | Verdict::Louder(finding) = stream.observe(at_s, second, &thresholds) {
                            if finding.direction == Direction::Down { continue }
                            if at_s < from_s { early += 1; continue }
                            if warned.is_none() {
                                warned = Some((at_s + 1 - from_s) as f64);
                                inside += u64::from((finding.change_s as f64 + 1.0 - from_s as f64).abs() <= f64::from(finding.change_error_s));
                            }
                            if finding.tier == Tier::Page { paged = paged.or(Some((at_s + 1 - from_s) as f64)); }
                        }
                    }
                    warn.extend(warned);
                    pwarn.extend(pwarned);
                    ppage.extend(ppaged);
                    page.extend(paged);
                }
                let q = |v: &mut Vec<f64>, q| quantile(v, q).unwrap_or(f64::NAN);
                let n = self.routes as f64;
                println!("{name:18} {rate:4}/s: warn {:3.0}% {:5.0} {:5.0} | page {:3.0}% {:5.0} {:5.0} | proto warn {:3.0}% {:5.0} page {:3.0}% {:5.0} {:5.0} | early {early} dated {:.0}%", 100.0 * warn.len() as f64 / n, q(&mut warn, 0.5), q(&mut warn, 0.9), 100.0 * page.len() as f64 / n, q(&mut page, 0.5), q(&mut page, 0.9), 100.0 * pwarn.len() as f64 / n, q(&mut pwarn, 0.5), 100.0 * ppage.len() as f64 / n, q(&mut ppage, 0.5), q(&mut ppage, 0.9), 100.0 * inside as f64 / warn.len() as f64);
            }
        }
    }
}
