//! `tracer routes`: trace for a while, or replay, then show the routes.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::configure::configure;
use super::progress::Progress;
use super::{Failure, interrupt, screen};
use crate::cli;
use crate::config::Config;
use crate::model::{Reading, Report};
use crate::sink::{routes_json, routes_text};
use crate::source::{Source, live::Live, names, replay};

/// How often the source is read while it traces.
const EACH: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &cli::Routes, verbose: u8) -> Result<ExitCode, Failure> {
    let mut reading = match &arguments.replay {
        Some(path) => Box::new(replay::Replay::open(path)?).finish()?,
        None => trace(
            &configure(arguments, verbose)?,
            arguments.passages.as_deref(),
        )?,
    };
    if arguments.resolve {
        let resolved = names::resolve(&mut reading);
        if resolved.unnamed + resolved.left_out > 0 {
            tracing::info!(
                "names of {} other hosts were found, of {} not, and {} were not asked for",
                resolved.named,
                resolved.unnamed,
                resolved.left_out
            );
        }
    }
    let report = Report::from_reading(&reading);
    screen::show(&if arguments.json {
        routes_json::to_text(&report)
    } else {
        routes_text::to_text(&report, screen::look())
    })?;
    // What was seen is shown first, so that a full disk takes it from nobody.
    if let Some(path) = &arguments.record {
        replay::record(&reading, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn trace(config: &Config, passages: Option<&Path>) -> Result<Reading, Failure> {
    let passages = passages.map(create).transpose()?;
    let interrupted = interrupt::watch()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::System {
            doing: "start tracing".to_owned(),
            cause,
            advice: "again",
        })?;
    runtime.block_on(async {
        let mut live = Live::open(&config.settings)?;
        if let Some(file) = passages {
            live.write_passages(Box::new(BufWriter::new(file)))?;
        }
        watch(Box::new(live), config.duration, interrupted).await
    })
}

/// Reads the source each second until the time is over or the user has seen enough.
async fn watch(
    mut source: Box<dyn Source>,
    duration: Duration,
    mut interrupted: oneshot::Receiver<()>,
) -> Result<Reading, Failure> {
    let start = Instant::now();
    let end = start + duration;
    let progress = Progress::start(duration);
    while Instant::now() < end {
        tokio::select! {
            () = sleep_until(end.min(Instant::now() + EACH)) => {}
            _ = &mut interrupted => break,
        }
        let reading = source.read()?;
        progress.show(start.elapsed(), &reading);
    }
    Ok(source.finish()?)
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|cause| Failure::System {
        doing: format!("write passages to {}", path.display()),
        cause,
        advice: "a folder that you may write to",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use crate::source::Error;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;

    /// Knows the lab and counts how often it was read.
    struct Counting(Rc<Cell<u32>>);

    impl Source for Counting {
        fn read(&mut self) -> Result<Arc<Reading>, Error> {
            self.0.set(self.0.get() + 1);
            Ok(Arc::new(example::lab()))
        }

        fn finish(self: Box<Self>) -> Result<Reading, Error> {
            Ok(example::lab())
        }
    }

    fn watched(duration: Duration, interrupted: oneshot::Receiver<()>) -> u32 {
        let reads = Rc::new(Cell::new(0));
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let source = Box::new(Counting(Rc::clone(&reads)));
        let reading = runtime.block_on(watch(source, duration, interrupted));
        assert_eq!(reading.unwrap(), example::lab());
        reads.get()
    }

    #[test]
    fn the_source_is_read_each_second_until_the_end() {
        let (_sender, receiver) = oneshot::channel();
        assert_eq!(watched(Duration::from_millis(3_500), receiver), 4);
    }

    #[test]
    fn an_interrupt_ends_the_tracing_early() {
        let (sender, receiver) = oneshot::channel();
        sender.send(()).unwrap();
        assert_eq!(watched(Duration::from_hours(1), receiver), 0);
    }
}
