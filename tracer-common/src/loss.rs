//! What the tracer could not measure, by reason.

/// Why a packet's way, or part of it, is not known.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// The packet table was full; an older packet made room.
    Displaced = 0,
    /// A hop of a packet whose beginning was not seen.
    Orphan = 1,
    /// The packet vanished between two hops, and no tracepoint said why.
    Unseen = 2,
    /// Two packets on one wire looked alike, so neither was recognised beyond it.
    Ambiguous = 3,
    /// The route tree was full.
    Nodes = 4,
    /// There was no room for more classes.
    Classes = 5,
    /// There was no room for more counters.
    Cells = 6,
    /// The time between two hops was negative or absurd.
    Clock = 7,
    /// The packet's headers could not be read.
    Header = 8,
    /// The handover table was full; an older packet made room.
    Handover = 9,
    /// A passage could not be written to the ring buffer.
    Ring = 10,
    /// All places of the packet table that the packet could have had were in use at this moment.
    Crowded = 11,
}

/// How many kinds of loss the kernel half counts.
pub const LOSSES: usize = 12;

impl Loss {
    /// All kinds, by number.
    pub const ALL: [Self; LOSSES] = [
        Self::Displaced,
        Self::Orphan,
        Self::Unseen,
        Self::Ambiguous,
        Self::Nodes,
        Self::Classes,
        Self::Cells,
        Self::Clock,
        Self::Header,
        Self::Handover,
        Self::Ring,
        Self::Crowded,
    ];

    /// The loss's name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::Orphan => "orphan",
            Self::Unseen => "unseen",
            Self::Ambiguous => "ambiguous",
            Self::Nodes => "nodes",
            Self::Classes => "classes",
            Self::Cells => "cells",
            Self::Clock => "clock",
            Self::Header => "header",
            Self::Handover => "handover",
            Self::Ring => "ring",
            Self::Crowded => "crowded",
        }
    }
}
