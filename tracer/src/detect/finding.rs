//! Something that changed, with its evidence.

use super::increase::Mishap;

/// What about the stream changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The middle of the latencies moved.
    Shift,
    /// A share of the packets became slower, the others did not.
    Share,
    /// The slowest in a hundred became slower or more.
    Tail,
    /// More mishaps than usual.
    Loss(Mishap),
}

/// Where the latencies went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Slower, or more mishaps.
    Up,
    /// Faster.
    Down,
}

/// How loudly to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Worth knowing; nothing got worse.
    Notice,
    /// Worth looking at.
    Warn,
    /// Worth waking someone.
    Page,
}

/// One change of one stream, from its first sign to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What changed.
    pub kind: Kind,
    /// Where to.
    pub direction: Direction,
    /// The loudest it has been.
    pub tier: Tier,
    /// When it changed, in the caller's seconds, give or take `change_error_s`.
    pub change_s: u64,
    /// The error of `change_s`: it lies within in nine of ten cases.
    pub change_error_s: f32,
    /// When it was first said.
    pub raised_s: u64,
    /// The last second that spoke for it.
    pub last_bad_s: u64,
    /// When the old level was back; none while it lasts.
    pub cleared_s: Option<u64>,
    /// The share of packets beyond the edge (or mishaps per packet): usual, and since the change.
    pub share: [f32; 2],
    /// Median in ns: usual, and now.
    pub median_ns: [f32; 2],
    /// 99th percentile in ns: usual, and now.
    pub p99_ns: [f32; 2],
    /// How often it came: more than one is an intermittent fault.
    pub episodes: u32,
    /// The share of time in which it was there, between the change and the last sign.
    pub of_the_time: f32,
}
