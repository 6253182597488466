//! One line on the terminal that says how far the tracing is.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::model::{Reading, Report};

/// Back to the line's start, and nothing behind it.
const CLEAR: &str = "\r\x1b[K";

/// The line; it is there only where standard error is a terminal.
pub(super) struct Progress {
    shown: bool,
    total: Duration,
}

impl Progress {
    pub(super) fn start(total: Duration) -> Self {
        let progress = Self {
            shown: io::stderr().is_terminal(),
            total,
        };
        progress.show(Duration::ZERO, &Reading::default());
        progress
    }

    pub(super) fn show(&self, elapsed: Duration, reading: &Reading) {
        if self.shown {
            write(&format!("{CLEAR}{}", line(elapsed, self.total, reading)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            write(CLEAR);
        }
    }
}

/// A terminal that is gone is no reason to stop tracing.
fn write(text: &str) {
    let mut to = io::stderr().lock();
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

fn line(elapsed: Duration, total: Duration, reading: &Reading) -> String {
    let report = Report::from_reading(reading);
    format!(
        "tracing {:.1}/{:.1} s, {} packets on {} routes",
        elapsed.as_secs_f64(),
        total.as_secs_f64(),
        report.packets(),
        report.routes.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn the_line_says_how_far_it_is() {
        let line = line(
            Duration::from_millis(3_040),
            Duration::from_secs(10),
            &example::lab(),
        );
        assert_eq!(line, "tracing 3.0/10.0 s, 32390 packets on 6 routes");
    }
}
