mod bench;

use clap::Parser;

#[derive(Parser)]
enum Xtask {
    /// Measure: `bench detect` judges the detector on a seeded workload or on a file
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> anyhow::Result<()> {
    match Xtask::parse() {
        Xtask::Bench(bench) => bench.run(),
    }
}
