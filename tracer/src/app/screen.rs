//! The user's terminal: how wide it is, whether it has colours, and writing to it.

use std::env;
use std::io::{self, IsTerminal, Write};

use super::Failure;
use crate::sink::Look;

/// The columns of an output that is no terminal and of which nothing is known.
const COLUMNS: usize = 80;
/// Numbers are not shortened, so that less makes no sense.
const FEWEST_COLUMNS: usize = 50;

/// What standard output can show.
pub(super) fn look() -> Look {
    Look {
        width: columns().max(FEWEST_COLUMNS),
        colour: has_colour(&io::stdout()),
    }
}

/// Whether an output is a terminal, and the user has nothing against colours
/// (<https://no-color.org>).
pub(super) fn has_colour(output: &impl IsTerminal) -> bool {
    output.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn columns() -> usize {
    if let Some((width, _)) = terminal_size::terminal_size_of(io::stdout()) {
        return width.0.into();
    }
    let told = env::var("COLUMNS").ok();
    told.and_then(|it| it.parse().ok()).unwrap_or(COLUMNS)
}

/// Writes a result. A reader that has gone has seen enough.
pub(super) fn show(text: &str) -> Result<(), Failure> {
    let mut to = io::stdout().lock();
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|cause| Failure::System {
            doing: "write to standard output".to_owned(),
            cause,
            advice: "another place to write to",
        }),
    }
}
