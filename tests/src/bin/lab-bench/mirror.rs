//! `bench mirror`: a million routes mirrored, beside a dump that nobody keeps; and changes followed.

mod alone;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use lab::{Insert, Lab, Ns, RouteSpec};
use tracer::source::mirror;

use crate::ratio::{Bar, Estimate, Limit};

pub(crate) use alone::Alone;

#[derive(Args)]
pub(crate) struct Mirror {
    /// Routes in the table
    #[arg(long, default_value_t = 1_000_000)]
    routes: u32,
    /// Rounds: in each, both kinds once, each in a process of its own
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// Changes a second
    #[arg(long, default_value_t = 10_000)]
    changes: u32,
    /// For how many seconds there are changes
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

/// The device that all routes lead to, and how many gateways there are.
const DEVICE: &str = "d0";
const GATEWAYS: u32 = 16;

impl Mirror {
    pub(crate) fn run(self) -> Result<()> {
        let lab = Lab::new("bench")?;
        let ns = lab.namespace("full")?;
        ns.bridge(DEVICE, &[])?;
        ns.address(DEVICE, "10.0.0.1/24")?;
        let start = Instant::now();
        for number in 0..self.routes {
            ns.add_route(Insert::Prepend, &route(number, number % GATEWAYS))?;
        }
        println!(
            "{} routes were set in {:.1?}\n",
            self.routes,
            start.elapsed()
        );
        let mut bars = self.side_by_side(&ns)?;
        bars.extend(self.follow(&ns)?);
        println!("\n## bars\n");
        for bar in &bars {
            println!("{bar}");
        }
        let missed = bars.iter().filter(|bar| bar.is_missed()).count();
        if missed > 0 {
            bail!("hold the bars: {missed} of {} are missed", bars.len());
        }
        Ok(())
    }

    fn side_by_side(&self, ns: &Ns) -> Result<Vec<Bar>> {
        println!("## a process that mirrors, and one that dumps\n");
        println!("| round | dump | mirror | ratio | peak of the mirror |");
        println!("|---|---|---|---|---|");
        let (mut ratios, mut peaks) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let kinds = if round % 2 == 0 {
                ["dump", "mirror"]
            } else {
                ["mirror", "dump"]
            };
            let mut took = [0.0; 2];
            let mut peak = 0.0;
            for kind in kinds {
                let done = alone::spawn(kind, &path(ns), self.routes)?;
                took[usize::from(kind == "mirror")] = done.seconds;
                if kind == "mirror" {
                    peak = done.peak_mb;
                }
            }
            let [dump, mirror] = took;
            let ratio = mirror / dump;
            println!(
                "| {} | {dump:.2} s | {mirror:.2} s | {ratio:.2} | {peak:.0} MB |",
                round + 1
            );
            ratios.push(ratio);
            peaks.push(peak);
        }
        Ok(vec![
            Bar {
                name: "a mirror's time, in times of a bare dump",
                limit: Limit::AtMost(2.0),
                estimate: Estimate::of(ratios),
            },
            Bar {
                name: "a mirror's peak, MB",
                limit: Limit::AtMost(150.0),
                estimate: Estimate::of(peaks),
            },
        ])
    }

    /// Changes routes at a steady rate; the mirror has to have each of them by what it is told.
    fn follow(&self, ns: &Ns) -> Result<Vec<Bar>> {
        let mirror = mirror::Mirror::start(Box::new(drop)).context("start the mirror")?;
        let inode = ns.inode() as u32;
        let before = mirror.seen().counts;
        let all = self.changes * self.seconds;
        let start = Instant::now();
        for number in 0..all {
            let due = start + Duration::from_secs_f64(f64::from(number) / f64::from(self.changes));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let at = number.wrapping_mul(7_919) % self.routes;
            ns.add_route(Insert::Replace, &route(at, (number / 7 + at) % GATEWAYS))?;
        }
        let took = start.elapsed().as_secs_f64();
        // What was told last is read a moment later.
        std::thread::sleep(Duration::from_millis(500));
        let mirrored = mirror.seen().namespaces[&inode].network.clone();
        let counts = mirror.seen().counts;
        let dumped = mirror::dump(&path(ns)).context("dump the routes")?;
        let parts = &mirrored.parts() | &dumped.parts();
        let wrong: usize = parts
            .iter()
            .map(|&part| mirrored.differences(part, &dumped).len())
            .sum();
        println!("\n## changes\n");
        println!(
            "{all} changes, {:.0} a second: {} told, {} found by dumps alone, {} overruns, {wrong} wrong at the end",
            f64::from(all) / took,
            counts.told - before.told,
            counts.found - before.found,
            counts.overruns - before.overruns,
        );
        let one = |value: f64| Estimate::of(vec![value]);
        Ok(vec![
            Bar {
                name: "routes that are wrong at the end",
                limit: Limit::AtMost(0.0),
                estimate: one(wrong as f64),
            },
            Bar {
                name: "changes that were not heard",
                limit: Limit::AtMost(0.0),
                estimate: one(
                    (counts.found - before.found + counts.overruns - before.overruns) as f64,
                ),
            },
        ])
    }
}

fn path(ns: &Ns) -> PathBuf {
    PathBuf::from("/run/netns").join(ns.name())
}

/// The route of a number: a prefix of 28 bits.
fn route(number: u32, gateway: u32) -> RouteSpec {
    let prefix = (0x1400_0000 + number * 16).to_be_bytes();
    let prefix = ipnet::Ipv4Net::new(prefix.into(), 28).expect("28 bits at most");
    RouteSpec {
        legs: vec![(
            Some([10, 0, 0, 2 + gateway as u8].into()),
            DEVICE.to_owned(),
            1,
        )],
        ..RouteSpec::to(prefix.into())
    }
}
