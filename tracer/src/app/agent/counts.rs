//! Whom the agent did not serve, by reason, and how many it is serving.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a connection or a request was refused or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It named no user that may ask, or not its password.
    Auth,
    /// Too many connections were open.
    Connections,
    /// The request's head was too long.
    Head,
    /// The request's head, or the TLS handshake, did not come in time.
    Slow,
    /// The answer was not taken in time.
    Stalled,
    /// The TLS handshake failed.
    Tls,
}

impl Refusal {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Auth, "auth"),
        (Self::Connections, "connections"),
        (Self::Head, "head"),
        (Self::Slow, "slow"),
        (Self::Stalled, "stalled"),
        (Self::Tls, "tls"),
    ];
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    refused: [AtomicU64; Refusal::ALL.len()],
    connections: AtomicU64,
}

impl Counts {
    pub(super) fn refuse(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// All refusals, by the reason's name.
    pub(super) fn refused(&self) -> Vec<(&'static str, u64)> {
        let counts = Refusal::ALL.iter().zip(&self.refused);
        counts
            .map(|((_, name), count)| (*name, count.load(Relaxed)))
            .collect()
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Counts a connection for as long as what it returns lives.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Relaxed);
        Open(Arc::clone(self))
    }
}

/// A connection that is open.
pub(super) struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}
