//! How much of what devices carried was seen at their hops.

use super::Namespace;

/// A device's packets in one direction, since both were counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The device's network namespace.
    pub namespace: Namespace,
    /// The device.
    pub device: String,
    /// Its number.
    pub ifindex: u32,
    /// Which way the packets went.
    pub direction: Direction,
    /// Packets that were seen at its hop.
    pub seen: u64,
    /// Packets that the device itself counted.
    pub carried: u64,
}

/// Which way packets go through a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Into the host.
    Receive,
    /// Out of it.
    Transmit,
}

impl Direction {
    /// The direction's name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Transmit => "transmit",
        }
    }

    /// The direction of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        let both = [Self::Receive, Self::Transmit];
        both.into_iter().find(|it| it.name() == name)
    }
}

/// Below this share of its packets, a device's routes are not all that there are.
pub const ENOUGH: f64 = 0.95;

/// Packets that a share needs: fewer may be on their way between the two counts.
const FEWEST: u64 = 100;

impl Coverage {
    /// The share of the device's packets that was seen, from 0 to 1; none of so few that those on
    /// their way between two counts would matter.
    pub fn ratio(&self) -> Option<f64> {
        let share = self.seen as f64 / self.carried as f64;
        (self.carried >= FEWEST).then_some(share.min(1.0))
    }

    /// Whether so much is missing that what was seen may not clear the path.
    pub fn is_poor(&self) -> bool {
        self.ratio().is_some_and(|ratio| ratio < ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_packets_have_no_share() {
        let of = |seen, carried| Coverage {
            namespace: Namespace {
                name: "host".to_owned(),
                cookie: 1,
                inode: 1,
            },
            device: "eth0".to_owned(),
            ifindex: 2,
            direction: Direction::Receive,
            seen,
            carried,
        };
        assert_eq!(of(50, 99).ratio(), None);
        assert_eq!(of(70, 100).ratio(), Some(0.7));
        assert_eq!(of(101, 100).ratio(), Some(1.0));
        assert!(of(94, 100).is_poor() && !of(95, 100).is_poor() && !of(0, 9).is_poor());
    }
}
