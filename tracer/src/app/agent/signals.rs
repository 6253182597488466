//! The signals that the agent hears: SIGHUP to reload, SIGTERM and SIGINT to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::Failure;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    End,
    Reload,
}

/// Signals, heard from now on.
pub(super) struct Signals {
    interrupts: Signal,
    terminations: Signal,
    hangups: Signal,
}

impl Signals {
    pub(super) fn hear() -> Result<Self, Failure> {
        let hear = |kind| {
            signal(kind).map_err(|cause| Failure::System {
                doing: "wait for signals".to_owned(),
                cause,
                advice: "again",
            })
        };
        Ok(Self {
            interrupts: hear(SignalKind::interrupt())?,
            terminations: hear(SignalKind::terminate())?,
            hangups: hear(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.interrupts.recv() => Heard::End,
            _ = self.terminations.recv() => Heard::End,
            _ = self.hangups.recv() => Heard::Reload,
        }
    }

    /// Waits for one that says to end; a SIGHUP waits until this is over.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupts.recv() => {}
            _ = self.terminations.recv() => {}
        }
    }
}
