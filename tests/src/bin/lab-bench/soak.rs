//! `bench soak`: the agent for a long time on a host where everything comes and goes; nothing may
//! grow, be mixed up, or stay behind.

mod churn;
mod watch;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::maps::loaded_maps;
use clap::Args;
use lab::topology::Line;
use lab::{Lab, NumberedUdp, Pace};

use crate::bars::Bars;
use crate::programs::ids;
use crate::running::{Agent, Held};
use churn::{Churn, PORTS};
use watch::Watch;

#[derive(Args)]
pub(crate) struct Soak {
    /// For how long
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// The same in seconds, for a short one
    #[arg(long)]
    seconds: Option<u64>,
    /// Write all figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The port of the traffic that goes on all the time.
const STEADY: u16 = 9590;
const PER_SECOND: f64 = 500.0;

/// Tables so small that what is over has to make room within a minute.
const CONFIG: &str = "\
[agent]
max_cpu = \"off\"
[filter]
prefix = \"10.0.0.0/8\"
protocol = \"udp\"
[limits]
nodes = 1024
classes = 256
cells = 2048
";

/// What memory may grow by from the first third to the last, in MB.
const GROWTH: f64 = 3.0;

impl Soak {
    pub(crate) fn run(self) -> Result<()> {
        let seconds = self.seconds.unwrap_or(self.minutes * 60);
        let time = Duration::from_secs(seconds);
        println!("\n## {seconds} seconds of namespaces, devices and routes that come and go\n");
        let in_kernel = objects()?;
        let line = Line::new(Lab::new("soak")?)?;
        let agent = Agent::start(CONFIG, &[])?;
        let before = at_rest(&agent)?;
        let over = AtomicBool::new(false);
        let (steady, churned, watched) = std::thread::scope(|scope| {
            let steady = scope.spawn(|| steady(&line, time));
            let churn = scope.spawn(|| Churn::new(&line).run(&agent, &over));
            let watched = Watch::new(&agent).during(time);
            over.store(true, Ordering::Relaxed);
            let join = "a thread of the soak's";
            (
                steady.join().expect(join),
                churn.join().expect(join),
                watched,
            )
        });
        let (steady, churned, watched) = (steady?, churned?, watched?);
        println!("{churned}\n{watched}");
        let mut bars = Bars::default();
        bars.told(
            "changes a second",
            churned.changes as f64 / time.as_secs_f64(),
        );
        bars.told(
            "hops forgotten",
            agent.metric("tracer_forgotten_total{what=\"hop\"}")?,
        );
        bars.told(
            "classes forgotten",
            agent.metric("tracer_forgotten_total{what=\"class\"}")?,
        );
        bars.at_most("memory grew, MB", GROWTH, vec![watched.growth_mb()]);
        bars.at_most("identities mixed up", 0.0, vec![churned.mixed_up as f64]);
        bars.at_most("names of before", 0.0, vec![churned.old_names as f64]);
        let sent = steady + churned.sent;
        let lost = lost(&agent, sent)?;
        bars.at_most("packets lost without a reason", 0.0, vec![lost]);
        let after = at_rest(&agent)?;
        println!("before {before:?}\nafter  {after:?}");
        ensure!(
            after == before,
            "hold as much as before: {before:?}, then {after:?}"
        );
        agent.end()?;
        ensure!(
            wait_for(|| Ok(objects()? == in_kernel))?,
            "leave nothing in the kernel: {in_kernel:?} before, {:?} after",
            objects()?
        );
        bars.judge(self.json.as_deref())
    }
}

/// Traffic that goes on all the time; how many packets arrived.
fn steady(line: &Line, time: Duration) -> Result<u64> {
    let from = line.app_at.v4.into();
    let udp = NumberedUdp {
        count: (time.as_secs_f64() * PER_SECOND) as u64,
        pace: Pace::Constant {
            per_second: PER_SECOND,
        },
        ..NumberedUdp::new(
            (&line.app, from),
            (&line.db, line.db_at.facing(from, STEADY)),
        )
    };
    Ok(udp.run()?.received)
}

/// How many packets have neither arrived at a socket for the agent nor a reason why not.
fn lost(agent: &Agent, sent: u64) -> Result<f64> {
    let mut missing = f64::INFINITY;
    wait_for(|| {
        let page = String::from_utf8(agent.get("/metrics")?.body)?;
        let sum = |is_wanted: &dyn Fn(&str) -> bool| -> f64 {
            let lines = page.lines().filter(|line| is_wanted(line));
            lines
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum()
        };
        let arrived = sum(&|line| {
            line.starts_with("tracer_packets_total{")
                && line.contains("stage=\"deliver\"")
                && port(line).is_some_and(|port| port == STEADY || PORTS.contains(&port))
        });
        let reasons = sum(&|line| line.starts_with("tracer_lost_total{"));
        for line in page
            .lines()
            .filter(|line| line.starts_with("tracer_lost_total{") && !line.ends_with(" 0"))
        {
            println!("{line}");
        }
        println!("sent {sent}, delivered {arrived}, lost with a reason {reasons}");
        ensure!(
            arrived <= sent as f64,
            "count no packet twice: {arrived} of {sent}"
        );
        missing = (sent as f64 - arrived - reasons).max(0.0);
        Ok(missing == 0.0)
    })?;
    Ok(missing)
}

fn port(line: &str) -> Option<u16> {
    line.split_once("port=\"")?
        .1
        .split_once('"')?
        .0
        .parse()
        .ok()
}

/// For how many looks the same has to be held: longer than threads that wait for work are kept, which
/// is 10 s (`thread_keep_alive` of tokio).
const SAME: u32 = 48;

/// What the agent holds when nothing happens: sockets of namespaces that are gone are closed soon.
fn at_rest(agent: &Agent) -> Result<Held> {
    let mut last = agent.holds()?;
    let mut same = 0;
    wait_for(|| {
        let now = agent.holds()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        Ok(same >= SAME)
    })?;
    Ok(last)
}

/// The kernel's BPF programs and maps.
fn objects() -> Result<(usize, usize)> {
    let programs = ids()?;
    let maps = loaded_maps().collect::<Result<Vec<_>, _>>();
    Ok((programs.len(), maps.context("list maps")?.len()))
}

/// Whether something holds within a minute.
fn wait_for(mut holds: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    while !holds()? {
        if start.elapsed() > Duration::from_mins(1) {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(true)
}
