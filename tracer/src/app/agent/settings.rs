//! What the agent is told of where and to whom it serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where and to whom the agent serves.
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9560)),
            insecure_listen: false,
            web_config: None,
            socket: Some(PathBuf::from("/run/tracer/tracer.sock")),
            connections: 64,
        }
    }
}
