//! The project's verbs: everything a person or CI asks of this repository beyond plain cargo.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use workspace::Workspace;

mod kernel;
mod root;
mod verb;
mod workspace;

/// What the project can do with itself.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure: `bench detect` judges the detector on a seeded workload, or on anyone's series
    Bench(verb::bench::Bench),
    /// Show a network with a fault of ours, and the tracer finding it
    Demo(verb::demo::Demo),
    /// Build the Debian package, and check that it installs, traces and can be purged
    Dist(verb::dist::Dist),
    /// Set faults one after another under real traffic, and judge what the agent says of each
    Drill(verb::drill::Drill),
    /// The kernel half's object: build it, or verify that it is what its manifest says
    #[command(subcommand)]
    Ebpf(verb::ebpf::Ebpf),
    /// Have a fuzzer read bytes by all that takes them from outside
    Fuzz(verb::fuzz::Fuzz),
    /// Check format, lints on both targets, licenses and the rooms' borders
    Lint,
    /// Install what this machine lacks (Debian and Ubuntu)
    Setup,
    /// Set up, build and run every test of the workspace
    Test(verb::test::Test),
    /// Run the lab's tests on another kernel, under QEMU
    Vm(verb::vm::Vm),
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let workspace = Workspace::here()?;
    match verb {
        Verb::Bench(bench) => bench.run(&workspace),
        Verb::Demo(demo) => demo.run(&workspace),
        Verb::Dist(dist) => dist.run(&workspace),
        Verb::Drill(drill) => drill.run(&workspace),
        Verb::Ebpf(ebpf) => ebpf.run(&workspace),
        Verb::Fuzz(fuzz) => fuzz.run(&workspace),
        Verb::Lint => verb::lint::run(&workspace),
        Verb::Setup => verb::setup::run(&workspace),
        Verb::Test(test) => test.run(&workspace),
        Verb::Vm(vm) => vm.run(&workspace),
    }
}
