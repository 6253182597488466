//! What an incident needs to be worth waking someone.

use std::time::Duration;

/// What an incident needs to be worth waking someone, beside being sure: one of the two shares, for
/// so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The share of a component's exchanges that is worse than usual, in percent.
    pub percent: u8,
    /// Connections that are worse than usual.
    pub connections: u32,
    /// For how long.
    pub lasting: Duration,
    /// How long the old level has to be back before an incident is over.
    pub recovering: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            percent: 5,
            connections: 20,
            lasting: Duration::from_secs(30),
            recovering: Duration::from_mins(5),
        }
    }
}
