//! What the agent is told of where and to whom it serves, and of what it may cost.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where and to whom the agent serves, and what it may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address that it serves HTTP on.
    pub listen: SocketAddr,
    /// Whether others than this host may ask without TLS and without a password.
    pub insecure_listen: bool,
    /// The file that says how to do TLS and who may ask.
    pub web_config: Option<PathBuf>,
    /// The Unix socket for this host's own commands; none for no socket.
    pub socket: Option<PathBuf>,
    /// How many connections may be open on each of the two at one moment.
    pub connections: usize,
    /// What the programs in the kernel may take; none for as much as they need.
    pub max_cpu: Option<Budget>,
}

/// A share of this host's processor time, all processors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    millionths: u32,
}

impl Budget {
    /// The nearest budget to a share of 0 to 1.
    pub fn share_of(share: f64) -> Self {
        Self {
            // A float beyond its numbers becomes the nearest of them.
            millionths: (share * 1e6).round() as u32,
        }
    }

    /// It as a share of 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9560)),
            insecure_listen: false,
            web_config: None,
            socket: Some(PathBuf::from("/run/tracer/tracer.sock")),
            connections: 64,
            max_cpu: Some(Budget::share_of(0.01)),
        }
    }
}
