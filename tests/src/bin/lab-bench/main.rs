//! The project's measurements; `cargo xtask bench` runs them.

mod agent;
mod bars;
mod detect;
mod dice;
mod drill;
mod fault;
mod mirror;
mod path;
mod programs;
mod ratio;
mod running;
mod soak;
mod table;
mod workload;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Measure the agent: to read, to serve very many series, to attach and to detach
    Agent(agent::Agent),
    /// Judge the detector: false alarms, delays, stress, cost; or print its alarms on a file
    Detect(detect::Detect),
    /// Set faults one after another, and judge what the agent says of them
    Drill(drill::Drill),
    /// Measure the data path: ns a hop, packets a second, how long requests take; beside peers
    Path(path::Path),
    /// Measure the mirror: a million routes, beside a dump that nobody keeps; and changes followed
    Mirror(mirror::Mirror),
    /// One measurement of it, in a process of its own
    #[command(hide = true)]
    MirrorAlone(mirror::Alone),
    /// Run the agent while namespaces, devices and routes come and go
    Soak(soak::Soak),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Agent(agent) => agent.run(),
        Bench::Detect(detect) => detect.run(),
        Bench::Drill(drill) => drill.run(),
        Bench::Path(path) => path.run(),
        Bench::Mirror(mirror) => mirror.run(),
        Bench::MirrorAlone(alone) => alone.run(),
        Bench::Soak(soak) => soak.run(),
    }
}
