//! The agent reads 4,096 nodes that two processors count at, each second: what that takes.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::topology::Line;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::bars::Bars;
use crate::running::Agent;

/// A port is a class of ten nodes: nine hops on the way from the app to the database, and the
/// latencies of all of it.
const NODES_A_PORT: usize = 10;
const PORTS: usize = 4_096_usize.div_ceil(NODES_A_PORT);
const FIRST: u16 = 20_000;

/// Of these classes so many send each second.
const FEW: usize = PORTS * 8 / 100;

const CPUS: usize = 2;

const CONFIG: &str = "\
[agent]
max_cpu = \"off\"
[filter]
prefix = \"10.0.0.0/8\"
protocol = \"udp\"
[limits]
nodes = 8192
";

pub(super) fn run(seconds: u64, bars: &mut Bars) -> Result<()> {
    println!("\n## reading {PORTS} classes of {NODES_A_PORT} nodes on {CPUS} processors\n");
    let line = Line::new(Lab::new("bench-agent")?)?;
    let sender = Sender::new(&line, PORTS)?;
    let agent = Agent::start(CONFIG, &[])?;
    // Each processor counts in cells of its own.
    for cpu in 0..CPUS {
        sender.send(&line, cpu, 0..PORTS)?;
    }
    let all = (PORTS * CPUS) as f64;
    agent.wait_until("all are counted", |agent| {
        let series = "tracer_route_latency_seconds_count";
        agent.metric(series).is_ok_and(|count| count >= all)
    })?;
    let series = agent.metric("tracer_series ")?;
    bars.told("series", series);
    let quiet = measure(&agent, &line, seconds, |_| Ok(()))?;
    bars.told("nothing changed yet: % of a core", quiet);
    let mut next = 0;
    let few = measure(&agent, &line, seconds, |second| {
        next = (next + FEW) % (PORTS - FEW);
        sender.send(&line, second % CPUS, next..next + FEW)
    })?;
    bars.at_most("8 % change: % of a core", 1.0, vec![few]);
    let many = measure(&agent, &line, seconds, |second| {
        sender.send(&line, second % CPUS, 0..PORTS)
    })?;
    bars.at_most("all change: % of a core", 3.0, vec![many]);
    // By now each node has a stream that is judged, whether or not anything passes.
    let quiet = measure(&agent, &line, seconds, |_| Ok(()))?;
    bars.told("nothing changes any more: % of a core", quiet);
    let (all, mapped) = agent.memory()?;
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    bars.at_most("memory with the mapped cells, MB", 64.0, vec![mb(all)]);
    bars.told("of it the kernel's maps, MB", mb(mapped));
    let losses = agent.metric("tracer_lost_total")?;
    drop(agent);
    ensure!(losses == 0.0, "count all packets: {losses} were lost");
    Ok(())
}

/// The share of a core that the agent takes while some work is done each second.
fn measure(
    agent: &Agent,
    _line: &Line,
    seconds: u64,
    mut work: impl FnMut(usize) -> Result<()>,
) -> Result<f64> {
    let (start, before) = (Instant::now(), agent.cpu_ns()?);
    for second in 0..seconds {
        work(second as usize)?;
        let next = Duration::from_secs(second + 1);
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    let took = agent.cpu_ns()? - before;
    Ok(took as f64 / start.elapsed().as_nanos() as f64 * 100.0)
}

/// One socket that sends to many.
pub(super) struct Sender {
    from: UdpSocket,
    to: Vec<UdpSocket>,
}

impl Sender {
    /// Its receivers have so many ports.
    pub(super) fn new(line: &Line, ports: usize) -> Result<Self> {
        let at = line.db_at.v4;
        let to = line.db.run(|| {
            let ports = (FIRST..).take(ports);
            ports.map(|port| UdpSocket::bind((at, port))).collect()
        });
        let to: std::io::Result<Vec<UdpSocket>> = to;
        let from = line.app.run(|| UdpSocket::bind((line.app_at.v4, 0)));
        Ok(Self {
            from: from.context("open the sender's socket")?,
            to: to.context("open the receivers' sockets")?,
        })
    }

    /// A packet to each of these ports, all of them handled by one processor.
    pub(super) fn send(
        &self,
        line: &Line,
        cpu: usize,
        ports: std::ops::Range<usize>,
    ) -> Result<()> {
        let at = line.db_at.v4;
        let sent = std::thread::scope(|scope| {
            let thread = scope.spawn(|| -> Result<()> {
                let mut only = CpuSet::new();
                only.set(cpu)?;
                sched_setaffinity(Pid::from_raw(0), &only)?;
                let mut read = [0; 64];
                for port in ports {
                    self.from.send_to(&[0; 32], (at, FIRST + port as u16))?;
                    self.to[port].recv(&mut read)?;
                }
                Ok(())
            });
            thread.join()
        });
        sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .context("send packets")
    }
}
