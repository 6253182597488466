//! An agent that may take very little: in a flood it follows fewer packets, and counts them all.

use std::fs;
use std::path::PathBuf;
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use lab::topology::Line;
use lab::{Lab, NumberedUdp, Pace};
use nix::sys::signal::Signal;

use super::agent::{PORT, left};
use super::running::{Agent, Start, folder, metric, wait_until, write};

const RATIO: &str = "tracer_sampling_ratio";
const BUDGET: &str = "tracer_governor_budget_ratio";
const DETACHED: &str = "tracer_governor_steps_total{direction=\"detach\"}";
const USED: &str = "tracer_governor_used_ratio";

/// As long as the governor needs several times over to find its step.
const FLOOD: Duration = Duration::from_secs(10);

/// Others may slow this machine down so much in the middle of a flood that the programs are
/// detached, and then nothing is counted; or so much before it that nothing is too much.
const ATTEMPTS: usize = 4;

/// An agent whose budget is changed.
struct Governed<'a> {
    agent: Agent,
    config: PathBuf,
    line: &'a Line,
}

impl Governed<'_> {
    fn set(&self, max_cpu: &str) {
        fs::write(&self.config, configuration(max_cpu)).unwrap();
        self.agent.signal(Signal::SIGHUP);
        wait_until("the budget is followed", || {
            self.agent.metric(BUDGET).is_some() == (max_cpu != "off")
        });
        wait_until("all are followed", || self.agent.metric(RATIO) == Some(1.0));
    }

    fn left(&self) -> u64 {
        left(&self.agent, self.line)
    }

    /// Sends back to back: how many, and how many a second.
    fn flood(&self, count: u64) -> (u64, f64) {
        let from = self.line.app_at.v4.into();
        let to = self.line.db_at.facing(from, PORT);
        let udp = NumberedUdp {
            count,
            pace: Pace::BackToBack,
            window: 256,
            ..NumberedUdp::new((&self.line.app, from), (&self.line.db, to))
        };
        let all = udp.run().unwrap();
        let took_ns = all.sent_ns.iter().max().unwrap() - all.sent_ns.iter().min().unwrap();
        (all.sent, all.sent as f64 * 1e9 / took_ns as f64)
    }

    /// Processor time that the programs took.
    fn probe_seconds(&self) -> f64 {
        let page = self.agent.get("/metrics").text();
        let lines = page
            .lines()
            .filter(|it| it.starts_with("tracer_probe_seconds_total{"));
        let seconds = lines.map(|it| it.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
        seconds.sum()
    }

    /// What a flood takes here when every packet is followed, as a share of this host, and its
    /// packets a second.
    fn whole(&self) -> (f64, f64) {
        self.set("off");
        let (before, counted) = (self.probe_seconds(), self.left());
        let (sent, rate) = self.flood(200_000);
        wait_until("all are counted", || self.left() >= counted + sent);
        assert_eq!(self.left(), counted + sent);
        let processors = available_parallelism().unwrap().get() as f64;
        let took = sent as f64 / rate;
        ((self.probe_seconds() - before) / took / processors, rate)
    }

    /// A flood that takes a little more than it may: packets that were counted, and sent, where a
    /// part of them was followed all the time.
    fn sampled(&self) -> Option<(u64, u64)> {
        let before = self.agent.metric(DETACHED);
        let (share, rate) = self.whole();
        println!("{rate:.0} packets/s take {:.2} %", share * 100.0);
        self.set(&format!("{:.3}%", share * 85.0));
        let (counted, mut lowest) = (self.left(), 1.0_f64);
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| self.flood((rate * FLOOD.as_secs_f64()) as u64).0);
            while !sender.is_finished() {
                let page = self.agent.get("/metrics").text();
                let (ratio, used) = (metric(&page, RATIO), metric(&page, USED));
                println!("{ratio:?} of the packets take {used:?}");
                lowest = lowest.min(ratio.unwrap());
                sleep(Duration::from_millis(500));
            }
            sender.join().unwrap()
        });
        let end = Instant::now();
        wait_until("all are followed again", || {
            self.agent.metric(RATIO) == Some(1.0)
        });
        println!("all are followed again after {:.1?}", end.elapsed());
        let is_sampled = lowest < 1.0 && self.agent.metric(DETACHED) == before;
        is_sampled.then(|| (self.left() - counted, sent))
    }
}

fn configuration(max_cpu: &str) -> String {
    format!("[agent]\nmax_cpu = \"{max_cpu}\"\n[filter]\nport = {PORT}\n")
}

#[test]
fn a_flood_is_sampled_counted_and_soon_forgotten() {
    let line = Line::new(Lab::new("governed").unwrap()).unwrap();
    let folder = folder();
    let config = write(&folder, "tracer.toml", &configuration("off"));
    let agent = Start::live(&["--config", &config]).run();
    agent.wait_until_ready();
    let governed = Governed {
        agent,
        config: config.into(),
        line: &line,
    };
    for _ in 0..ATTEMPTS {
        let Some((counted, sent)) = governed.sampled() else {
            continue;
        };
        let off = counted as f64 / sent as f64 - 1.0;
        println!("{counted} of {sent}: {:+.2} %", off * 100.0);
        let log = governed.agent.log();
        assert!(off.abs() < 0.03, "{counted} of {sent}; {log}");
        return;
    }
    panic!("it was never sampled; {}", governed.agent.log());
}
