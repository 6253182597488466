//! What the agent says of its own work, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;

use super::screen;

/// Starts the log; each `-v` makes it say more.
pub(super) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(screen::has_colour(&io::stderr()))
        .init();
}
