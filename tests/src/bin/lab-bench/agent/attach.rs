//! How long the agent takes until it traces with all hops, and until nothing of it is left, on an
//! empty host and on one with very many namespaces and devices.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Lab, Ns};

use crate::bars::Bars;
use crate::programs::ids;
use crate::running::Agent;

const NAMESPACES: usize = 500;
/// Pairs of devices between a namespace and the next one: 5,000 devices in all.
const PAIRS: usize = 5;

const CONFIG: &str = "[agent]\nmax_cpu = \"off\"\n";

pub(super) fn run(rounds: usize, bars: &mut Bars) -> Result<()> {
    println!("\n## attaching and detaching\n");
    let (attached, detached) = measure(rounds)?;
    bars.at_most("few namespaces: traces after, s", 1.0, attached);
    bars.at_most("few namespaces: nothing left after, s", 1.0, detached);
    let lab = Lab::new("bench-many")?;
    let namespaces = many(&lab)?;
    println!(
        "{} namespaces, {} veth devices",
        namespaces.len(),
        2 * PAIRS * namespaces.len()
    );
    let (attached, detached) = measure(rounds)?;
    bars.at_most("many namespaces: traces after, s", 1.0, attached);
    bars.at_most("many namespaces: nothing left after, s", 1.0, detached);
    Ok(())
}

/// Seconds until the first reading, and from the signal until the kernel has freed all programs.
fn measure(rounds: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut attached, mut detached) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let before = ids()?;
        let agent = Agent::start(CONFIG, &[])?;
        attached.push(agent.ready_in.as_secs_f64());
        sleep(Duration::from_millis(500));
        let start = Instant::now();
        agent.end()?;
        while ids()?.difference(&before).next().is_some() {
            sleep(Duration::from_millis(1));
        }
        detached.push(start.elapsed().as_secs_f64());
    }
    Ok((attached, detached))
}

/// A ring of namespaces.
fn many(lab: &Lab) -> Result<Vec<Ns>> {
    let namespaces = (0..NAMESPACES).map(|number| lab.namespace(&number.to_string()));
    let namespaces: Vec<Ns> = namespaces.collect::<Result<_>>()?;
    for (number, here) in namespaces.iter().enumerate() {
        let next = &namespaces[(number + 1) % NAMESPACES];
        for pair in 0..PAIRS {
            let (one, other) = (format!("a{pair}"), format!("b{pair}"));
            lab.veth((here, &one), (next, &other))?;
        }
    }
    Ok(namespaces)
}
