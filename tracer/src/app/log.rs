//! What the agent says of its own work, on standard error.

use std::os::linux::fs::MetadataExt;
use std::{env, fmt, fs, io};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, Subscriber as Plain};
use tracing_subscriber::registry::LookupSpan;

use super::screen;

/// The target of what is worth waking someone.
pub(super) const CRITICAL: &str = "tracer::critical";

/// Starts the log; each `-v` makes it say more.
pub(super) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let log = Plain::builder()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(screen::has_colour(&io::stderr()));
    if is_journal() {
        log.event_format(ForJournal).init();
    } else {
        log.init();
    }
}

/// Whether standard error goes to systemd's journal: `JOURNAL_STREAM` of systemd.exec(5) names the
/// device and inode.
fn is_journal() -> bool {
    let named = env::var("JOURNAL_STREAM").ok();
    let here = fs::metadata("/proc/self/fd/2").ok();
    let here = here.map(|it| format!("{}:{}", it.st_dev(), it.st_ino()));
    named.is_some() && named == here
}

/// Lines with their priority in front, as sd-daemon(3) has it, and without a time: the journal has its
/// own.
struct ForJournal;

/// The priority of syslog(3).
fn priority(metadata: &Metadata<'_>) -> u8 {
    match (metadata.target(), *metadata.level()) {
        (CRITICAL, _) => 2,
        (_, Level::ERROR) => 3,
        (_, Level::WARN) => 4,
        (_, Level::INFO) => 6,
        _ => 7,
    }
}

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(event.metadata()))?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_gets_priorities() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = Plain::builder()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(ForJournal)
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::error!(target: CRITICAL, "INC-7 is critical");
            tracing::error!("a reading failed");
            tracing::warn!("fewer packets are followed");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "<2>INC-7 is critical",
            "<3>a reading failed",
            "<4>fewer packets are followed",
        ];
        assert_eq!(lines, expected);
    }
}
