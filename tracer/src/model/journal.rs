//! What changed on the network, when, from what to what, and who did it.

pub mod book;
pub mod epochs;
mod fact;
pub mod known;
pub mod report;
pub mod who;

use std::fmt;

pub use book::Book;
pub use epochs::Epochs;
pub use fact::{Subject, subject, text};
pub use known::Known;
pub use report::Changes;
pub use who::{Process, Task, Who};

use super::network::How;

/// A moment, in nanoseconds since 1970, UTC.
pub type Moment = u64;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A device.
    Link,
    /// An address of a device.
    Address,
    /// A neighbour.
    Neighbour,
    /// A next-hop object.
    NextHop,
    /// A rule that chooses a table.
    Rule,
    /// A route.
    Route,
    /// What the kernel learnt of one destination: a path MTU, a redirect.
    Exception,
    /// Changes that nobody heard: the kernel had more to tell than it could keep.
    Gap,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Link,
        Self::Address,
        Self::Neighbour,
        Self::NextHop,
        Self::Rule,
        Self::Route,
        Self::Exception,
        Self::Gap,
    ];

    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Address => "address",
            Self::Neighbour => "neighbour",
            Self::NextHop => "nexthop",
            Self::Rule => "rule",
            Self::Route => "route",
            Self::Exception => "exception",
            Self::Gap => "gap",
        }
    }
}

/// A change as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, which grows.
    pub id: u64,
    /// When it was known.
    pub at: Moment,
    /// Where what came with it began: a gap, or the time in which the tracer did not run.
    pub since: Option<Moment>,
    /// The network namespace's name.
    pub namespace: String,
    /// What it is about.
    pub kind: Kind,
    /// What changed, whatever its state: "10.2.0.0/16 table main".
    pub subject: String,
    /// How it was, as iproute2 writes it; none where it is new.
    pub before: Option<String>,
    /// How it is; none where it is gone.
    pub after: Option<String>,
    /// Who set the route, as iproute2 names `rtm_protocol`.
    pub protocol: Option<String>,
    /// How it is known.
    pub how: How,
    /// Who did it.
    pub who: Who,
    /// How many changes this stands for: more than one for a flap, or where only counts are kept.
    pub count: u64,
    /// When the last of them was.
    pub last: Moment,
    /// Whether no class uses it: then only the first of `count` is told, one entry a second and
    /// protocol.
    pub unused: bool,
}

impl Entry {
    /// How it is after the last of its changes.
    pub fn now(&self) -> Option<&str> {
        let is_back = self.count.is_multiple_of(2) && !self.unused;
        if is_back {
            self.before.as_deref()
        } else {
            self.after.as_deref()
        }
    }
}

/// Since when something is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The moment.
    pub at: Moment,
    /// Whether it came to be so then, and not before.
    pub exact: bool,
}

impl Since {
    /// How long that is by now.
    pub fn age(self, now: Moment) -> Age {
        Age {
            seconds: now.saturating_sub(self.at) / 1_000_000_000,
            exact: self.exact,
        }
    }
}

/// How old something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// In seconds.
    pub seconds: u64,
    /// Whether it is not older.
    pub exact: bool,
}

impl fmt::Display for Age {
    /// `143 days`, `at least 3 h`: the largest unit of which there are two.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "h"), (60, "min")];
        let unit = UNITS
            .into_iter()
            .find(|(unit, _)| self.seconds >= unit * 2)
            .unwrap_or((1, "s"));
        let least = if self.exact { "" } else { "at least " };
        write!(out, "{least}{} {}", self.seconds / unit.0, unit.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, true, "0 s")]
    #[case(119, true, "119 s")]
    #[case(120, true, "2 min")]
    #[case(143 * 86_400 + 7, true, "143 days")]
    #[case(3 * 3_600, false, "at least 3 h")]
    fn an_age_has_one_unit(#[case] seconds: u64, #[case] exact: bool, #[case] text: &str) {
        assert_eq!(Age { seconds, exact }.to_string(), text);
    }
}
