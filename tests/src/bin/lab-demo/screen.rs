//! The screen: what it can show, and the line that says how far we are.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tracer::model::Report;
use tracer::sink::{Look, units};

/// The comparison is made for this many columns or more.
const COLUMNS: usize = 80;

/// What standard output can show.
pub(crate) fn look() -> Look {
    let output = io::stdout();
    let width = terminal_size::terminal_size_of(&output).map(|(width, _)| width.0.into());
    let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Look {
        width: width.unwrap_or(COLUMNS).max(COLUMNS),
        colour: output.is_terminal() && colours,
    }
}

/// A line on standard error; it changes only on a terminal.
pub(crate) struct Progress<'a> {
    title: &'a str,
    total: Duration,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(title: &'a str, total: Duration) -> Self {
        let progress = Self { title, total };
        progress.write("the tracer starts", false);
        progress
    }

    pub(crate) fn show(&self, elapsed: Duration, answers: u64, report: &Report) {
        let text = format!(
            "{:.1}/{:.1} s, {} requests, {} packets on {} routes",
            elapsed.min(self.total).as_secs_f64(),
            self.total.as_secs_f64(),
            units::count(answers),
            units::count(report.packets()),
            report.routes.len(),
        );
        self.write(&text, false);
    }

    /// The line stays; `others` are packets that are not shown.
    pub(crate) fn finish(&self, report: &Report, others: u64) {
        let text = format!(
            "traced for {:.1} s, {} packets on {} routes, {} on others",
            report.duration_ns as f64 / 1e9,
            units::count(report.packets()),
            report.routes.len(),
            units::count(others),
        );
        self.write(&text, true);
    }

    /// A terminal that is gone is no reason to stop.
    fn write(&self, text: &str, stays: bool) {
        let mut output = io::stderr().lock();
        let _ = match (output.is_terminal(), stays) {
            (true, true) => writeln!(output, "\r\x1b[K{}: {text}", self.title),
            (true, false) => write!(output, "\r\x1b[K{}: {text}", self.title),
            (false, true) => writeln!(output, "{}: {text}", self.title),
            (false, false) => Ok(()),
        };
    }
}
