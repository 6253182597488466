//! Incidents: findings that belong together, from their first sign to the end.

#[cfg(test)]
pub(crate) mod example;

use std::fmt;

use super::journal::Moment;
use super::verdict::Word;

/// Something wrong on this host's network, with all findings that belong to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incident {
    /// Its number: `INC-7`.
    pub number: u64,
    /// Rises with each change that anybody should see, over all incidents.
    pub revision: u64,
    /// Whether it lasts.
    pub state: State,
    /// How loud it is; it never gets quieter.
    pub severity: Severity,
    /// Whose it is, in one word.
    pub verdict: Word,
    /// Why that word: evidence for and against, a sentence each.
    pub evidence: Vec<String>,
    /// Where: what its findings share, as far as that has a name.
    pub place: String,
    /// The first sign …
    pub change: Moment,
    /// … give or take so many seconds.
    pub change_error_s: f32,
    /// When it was said first.
    pub raised: Moment,
    /// The last sign.
    pub last_bad: Moment,
    /// How much it matters.
    pub effect: Effect,
    /// The first of its findings, as many as are kept.
    pub findings: Vec<Found>,
    /// How many there were altogether.
    pub found: u64,
    /// How many of them last.
    pub lasting: u64,
    /// How often it came back: 1 for what came once.
    pub episodes: u32,
    /// What happened, oldest first.
    pub timeline: Vec<Event>,
    /// What changed on this host's network shortly before.
    pub preceded_by: Vec<Event>,
    /// Who was told of it.
    pub told: Vec<Told>,
    /// What tells whether a finding belongs to it.
    pub marks: Marks,
}

/// How many findings, events and changes of one incident are kept.
pub const FINDINGS: usize = 32;
/// Events of a timeline: the first ones and the last.
pub const EVENTS: usize = 100;

/// Whether an incident lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It lasts.
    #[default]
    Open,
    /// All of its findings cleared; the old level has to stay for a while.
    Recovering {
        /// Since when.
        since: Moment,
    },
    /// It is over.
    Closed {
        /// Since when.
        at: Moment,
        /// What ended it.
        by: End,
    },
}

impl State {
    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Recovering { .. } => "recovering",
            Self::Closed { .. } => "closed",
        }
    }
}

/// What ended an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The old level was back, and stayed.
    Recovered,
    /// A person said that the present level is the normal one.
    Accepted,
}

impl End {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Recovered, Self::Accepted];

    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Accepted => "accepted",
        }
    }
}

/// How loud an incident is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth looking at.
    #[default]
    Warning,
    /// Worth waking someone: it is sure, and it has an effect.
    Critical,
}

impl Severity {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Warning, Self::Critical];

    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How much an incident matters to those who use the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// The largest share of a component's exchanges (or packets, where it has no sockets here) that
    /// was worse than usual at one time; none where there were too few to say.
    pub share: Option<f64>,
    /// Whose that is.
    pub of: String,
    /// What was counted: `exchanges` or `packets`.
    pub unit: &'static str,
    /// The most connections that were worse than usual at one time, of those that are shown.
    pub connections: u32,
    /// Since when it has been enough for a page.
    pub since: Option<Moment>,
}

/// A finding, with the names of where it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// What tells its stream from all others.
    pub stream: u64,
    /// What was measured: `latency`, `round trip`, `peer`, `waiting`, `exchange`.
    pub measure: &'static str,
    /// Where.
    pub place: String,
    /// Whose packets.
    pub class: String,
    /// What about it changed: `shift`, `share`, `tail`, `drops`, `retransmits`, `resets`.
    pub kind: &'static str,
    /// Whether it is sure enough for a page.
    pub is_sure: bool,
    /// When it changed …
    pub change: Moment,
    /// … give or take so many seconds.
    pub change_error_s: f32,
    /// When it was said.
    pub raised: Moment,
    /// When the old level was back; none while it lasts.
    pub cleared: Option<Moment>,
    /// The median in nanoseconds: usual, and since.
    pub median_ns: [f32; 2],
    /// The 99th percentile in nanoseconds: usual, and since.
    pub p99_ns: [f32; 2],
    /// The share of packets beyond the edge, or mishaps per packet: usual, and since.
    pub share: [f32; 2],
    /// How often it came.
    pub episodes: u32,
}

/// All measures and kinds that a [`Found`] names.
pub const MEASURES: [&str; 5] = ["latency", "round trip", "peer", "waiting", "exchange"];
/// What can change.
pub const KINDS: [&str; 6] = ["shift", "share", "tail", "drops", "retransmits", "resets"];
/// What an [`Effect`] counts.
pub const UNITS: [&str; 2] = ["exchanges", "packets"];

/// Something that happened, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: String,
}

/// A receiver of alerts, and what it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Which receiver.
    pub receiver: String,
    /// When it learnt of the incident.
    pub fired: Option<Moment>,
    /// When it learnt of its end.
    pub resolved: Option<Moment>,
}

/// Where and when an incident's findings were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The parts that any of them has, as many as are kept.
    pub parts: std::collections::BTreeSet<Part>,
    /// The parts that all of them have.
    pub shared: Vec<Part>,
    /// The first sign, in the judge's own seconds.
    pub change_s: u64,
}

/// A part of the network that findings may share. The numbers are hashes of names, and are the same
/// after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A hop: device and stage in a namespace.
    Hop(u64),
    /// A next hop.
    NextHop(u64),
    /// A device.
    Device(u64),
    /// A component.
    Component(u64),
    /// This host's own stack, whichever the device.
    Host,
}

impl Incident {
    /// Whether it is not over.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// When the old level was back for the last time; none while that is not known.
    pub fn recovered(&self) -> Option<Moment> {
        match self.state {
            State::Open => None,
            State::Recovering { since } => Some(since),
            State::Closed { at, .. } => Some(at),
        }
    }

    /// Writes an event into the timeline. Of very many the first half and the last ones are kept.
    pub fn note(&mut self, at: Moment, what: String) {
        if self.timeline.len() >= EVENTS {
            self.timeline.remove(EVENTS / 2);
        }
        self.timeline.push(Event { at, what });
    }
}

/// `INC-7`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub u64);

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "INC-{}", self.0)
    }
}

impl Name {
    /// The incident of a text that may be the name of something else: `INC-7` or `inc-7`.
    pub fn from_full_text(text: &str) -> Option<Self> {
        let is_full = text.starts_with(['I', 'i']);
        is_full.then(|| Self::from_text(text)).flatten()
    }

    /// The incident of a text: `INC-7`, `inc-7` or `7`.
    pub fn from_text(text: &str) -> Option<Self> {
        let digits = text
            .strip_prefix("INC-")
            .or_else(|| text.strip_prefix("inc-"))
            .unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| digits.parse().ok().map(Self)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["INC-7", "inc-7", "7"] {
            assert_eq!(Name::from_text(text), Some(Name(7)), "{text}");
        }
        assert_eq!(Name::from_full_text("inc-7"), Some(Name(7)));
        assert_eq!(Name::from_full_text("7"), None, "a component");
        for text in ["", "INC-", "INC-+7", "7a", "99999999999999999999"] {
            assert_eq!(Name::from_text(text), None, "{text}");
        }
        assert_eq!(Name(7).to_string(), "INC-7");
    }

    #[test]
    fn a_long_timeline_keeps_its_beginning_and_its_end() {
        let mut incident = Incident::default();
        (0..500).for_each(|at| incident.note(at, at.to_string()));
        assert_eq!(incident.timeline.len(), EVENTS);
        assert_eq!(incident.timeline[0].at, 0);
        assert_eq!(incident.timeline[EVENTS - 1].at, 499);
    }
}
