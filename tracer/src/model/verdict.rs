//! What is said of a dependency: one word, the facts that it stands on, and what is not known.

use std::net::IpAddr;

use super::Histogram;
use super::hop::Stage;
use super::journal::{Age, Moment};
use super::passing::TtlStep;

/// The first word of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// Between this host's devices and the peer's.
    Path,
    /// The other end: it thinks long, or refuses.
    Peer,
    /// This host's own kernel: a queue, a backlog, a drop.
    ThisHost,
    /// A program of this host reads late, or thinks long where only the serving side is seen.
    App,
    /// What was looked at is as it should be.
    Healthy,
    /// What was seen allows no claim.
    #[default]
    CantTell,
}

impl Word {
    /// All of them; those that accuse come first.
    pub const ALL: [Self; 6] = [
        Self::Path,
        Self::Peer,
        Self::ThisHost,
        Self::App,
        Self::Healthy,
        Self::CantTell,
    ];

    /// The word as people read it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Path => "PATH",
            Self::Peer => "PEER",
            Self::ThisHost => "THIS HOST",
            Self::App => "APP",
            Self::Healthy => "HEALTHY",
            Self::CantTell => "CAN'T TELL",
        }
    }

    /// The word as programs read it: a value of a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Peer => "peer",
            Self::ThisHost => "this_host",
            Self::App => "app",
            Self::Healthy => "healthy",
            Self::CantTell => "cant_tell",
        }
    }

    /// The word of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.name() == name)
    }

    /// Whether it says that something is wrong somewhere.
    pub const fn accuses(self) -> bool {
        !matches!(self, Self::Healthy | Self::CantTell)
    }

    /// Whose time passes from one hop to the next: the path's between two devices, the
    /// application's from delivery to reading, and this host's in its own stack.
    pub const fn of_segment(from: Stage, to: Stage) -> Self {
        match (from, to) {
            (Stage::Xmit, Stage::Rx) => Self::Path,
            (_, Stage::Read) => Self::App,
            _ => Self::ThisHost,
        }
    }
}

/// A time, and on how many measurements it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// The median in ns.
    pub p50_ns: u64,
    /// The 99th percentile in ns.
    pub p99_ns: u64,
    /// How many were measured.
    pub n: u64,
}

impl Timed {
    /// Of a histogram; none of an empty one.
    pub fn of(times: &Histogram) -> Option<Self> {
        Some(Self {
            p50_ns: times.quantile_ns(0.5)?,
            p99_ns: times.quantile_ns(0.99)?,
            n: times.count(),
        })
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many of them.
    pub part: u64,
    /// Of how many.
    pub of: u64,
}

impl Share {
    /// From 0 to 1; 0 of nothing.
    pub fn ratio(self) -> f64 {
        self.part as f64 / self.of.max(1) as f64
    }
}

/// A first sign: when, and its error in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Began {
    /// When.
    pub at: Moment,
    /// Give or take so many seconds.
    pub error_s: f32,
}

/// A part that takes longer than it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Grown {
    /// Whose time it is: [`Word::of_segment`] for a segment, the path's for round trips without data,
    /// the peer's for its lower bound or what it thinks. An upper bound grows with the path, and is
    /// nobody's.
    pub part: Word,
    /// Usual.
    pub before: Timed,
    /// Now.
    pub now: Timed,
    /// Whether `before` is that of the whole exchange, which the part alone exceeds now: of a way that
    /// is new there is no other.
    pub whole: bool,
    /// Whether the judge found it; else the window alone tells.
    pub found: bool,
    /// Where most of it is: `xmit→rx, lab-r2 r2-db → lab-db db-r2`.
    pub place: Option<String>,
}

/// One side against the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Side {
    /// How many siblings are on it.
    pub siblings: usize,
    /// Their round trips.
    pub time: Timed,
    /// Segments sent again and gaps, of the round trips that were measured.
    pub lost: Share,
}

/// Siblings that differ: this one's side, and the others'.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odd {
    /// Whether they differ by what they lose; else by their times.
    pub by_loss: bool,
    /// Whether the worse ones send by next hops that none of the rest uses.
    pub by_next_hop: bool,
    /// Those that are worse; the one that is judged is among them.
    pub worse: Side,
    /// The rest.
    pub rest: Side,
}

/// Connections of one dependency that are unlike the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeConnections {
    /// Whether they lose packets that the others do not; else they are slower.
    pub by_loss: bool,
    /// How many are worse.
    pub bad: u64,
    /// Of how many that had enough traffic.
    pub of: u64,
    /// Bad ways of all ways, where they are spread over ways evenly: (1, 3) for 33 of 100.
    pub ways: Option<(u32, u32)>,
    /// Their round trips, as connections' means.
    pub worse: Timed,
    /// Those of the others.
    pub rest: Timed,
    /// Segments that they sent again, of their round trips.
    pub worse_lost: Share,
    /// … that the others did.
    pub rest_lost: Share,
    /// The asking side's ports of those that are worse, in order.
    pub bad_ports: Vec<u16>,
    /// … of the others.
    pub good_ports: Vec<u16>,
}

/// Which way packets are lost, as far as one end can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// On the way to the peer.
    There,
    /// On the way from the peer.
    Back,
    /// Either.
    NotSeparable,
}

impl Lost {
    /// The way's name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Back => "back",
            Self::NotSeparable => "not separable",
        }
    }
}

/// The way there and the way back, and the wire that takes longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// From the one who asks to the one who answers.
    pub there: Timed,
    /// And back.
    pub back: Timed,
    /// Between which devices the slowest wire is: `drill-db db-r2 → drill-r2 r2-db`.
    pub wire: String,
    /// How long it takes.
    pub time: Timed,
}

/// Something that was observed, with its counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Fewer than are needed: exchanges or round trips, and how many it takes.
    Few { seen: u64, needed: u64 },
    /// The siblings that use another next hop, or are other sources, are fine.
    NextHopWorse(Odd),
    /// So many siblings do as well as this one.
    SiblingsAlike { siblings: usize },
    /// The route has been as it is for so long.
    RouteOld(Age),
    /// The route changed so long before the first sign.
    ChangedBefore { seconds: u64 },
    /// The route is young, and since when it is bad is not known.
    RouteYoung(Age),
    /// A part takes longer than it used to.
    Grew(Grown),
    /// What comes back has another TTL or hop limit since about the first sign: its way is another one.
    OtherTtl(TtlStep),
    /// One of the two ways takes most of the round trip, as seen at all their hops.
    BackSlow(Ways),
    /// Frames have another's Ethernet address.
    Misdelivered { place: String, packets: Share },
    /// A router, or the peer itself, says by ICMP that packets do not get further.
    Turned(TurnedBack),
    /// Packets of exchanges were lost or came late.
    Loses { exchanges: Share, way: Lost },
    /// Segments of a stream are sent again.
    SendsAgain { segments: Share, way: Lost },
    /// Some connections are slower than the others.
    SomeConnections(SomeConnections),
    /// Requests are sent again, and nothing comes back.
    Silent { sent_again: u64 },
    /// Connections are refused.
    Refused { connections: Share },
    /// Connections found no room behind a socket that listens in this network namespace, so often:
    /// nobody accepted those before.
    NotAccepted { namespace: String, times: u64 },
    /// This host's kernel drops packets.
    HostDrops {
        reason: String,
        place: String,
        packets: Share,
    },
    /// Packets wait in this host's kernel.
    HostWaits {
        segment: String,
        place: String,
        time: Timed,
    },
    /// This host's kernel takes no longer than this.
    HostShort { time: Timed },
    /// The application reads after so long: the one that serves, or the one that asks.
    ReadsLate { serves: bool, time: Timed },
    /// The application reads soon.
    ReadsSoon { time: Timed },
    /// A receiver shut its window so often: it does not read.
    WindowShut { here: bool, times: u64 },
    /// The program here thinks for so long.
    ThinksHere { time: Timed },
    /// The peer takes so long, at least and at most, of answers that take so long. Where its
    /// sockets are on this host both are what was measured there.
    PeerLong {
        least: Timed,
        most: Timed,
        answer: Timed,
    },
    /// The peer takes so long at most.
    PeerShort { most: Timed },
    /// Answers came so late that a lost one explains it as well as a peer that thinks.
    PeerOrWayBack { exchanges: Share },
    /// The round trip is the most of the answer's time.
    PathLong { round_trip: Timed },
    /// Answers take so long.
    AnswerLong { answer: Timed },
    /// The round trip takes so long, and nothing is lost.
    PathShort { round_trip: Timed },
    /// The tracer saw so much of what the devices carried.
    Unseen { packets: Share, device: String },
    /// It was like this before.
    Usual,
}

impl Fact {
    /// Where it was observed, of facts that have a place of their own.
    pub fn place(&self) -> Option<&str> {
        match self {
            Self::BackSlow(ways) => Some(&ways.wire),
            Self::Grew(grown) => grown.place.as_deref(),
            Self::Misdelivered { place, .. }
            | Self::HostDrops { place, .. }
            | Self::HostWaits { place, .. } => Some(place),
            Self::NotAccepted { namespace, .. } => Some(namespace),
            _ => None,
        }
    }
}

/// What ICMP says of a dependency's packets (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedBack {
    /// Who said it last.
    pub by: IpAddr,
    /// Why.
    pub why: Why,
    /// How often, whoever said it.
    pub times: u64,
}

/// Why packets get no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody there knows a way, or one that may be taken.
    Unreachable,
    /// They have been going from router to router for too long: in a circle, as a rule.
    TimeExceeded,
    /// They are larger than the next link takes, in bytes.
    TooBig {
        /// What it takes; none where that was not said.
        mtu: Option<u32>,
    },
}

impl Why {
    /// The reason's name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimeExceeded => "time_exceeded",
            Self::TooBig { .. } => "too_big",
        }
    }
}

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// A next hop is worse than its siblings, and nobody changed the route: it is outdated.
    StaleRoute,
    /// A next hop is worse than its siblings, preceded by a change of the route.
    AfterChange,
    /// A next hop is worse than its siblings.
    BehindNextHop,
    /// The path takes longer than it did.
    PathGrew,
    /// The path loses packets.
    PathLoses,
    /// The way back is slow.
    WayBackSlow,
    /// The path takes longer than it did, since the way back is another one somewhere.
    WayBackMoved,
    /// Frames have another's Ethernet address.
    WrongNeighbour,
    /// A router says that packets get no further.
    RouterRefuses,
    /// This host drops packets.
    HostDrops,
    /// Packets wait in this host's kernel.
    HostWaits,
    /// This host's kernel takes longer than it did.
    HostGrew,
    /// The application reads late.
    ReadsLate,
    /// The application accepts connections late, or not at all.
    AcceptsLate,
    /// The application takes longer than it did to read.
    AppGrew,
    /// The application here takes long to answer.
    AppThinks,
    /// The peer takes long.
    PeerThinks,
    /// The peer takes longer than it did.
    PeerGrew,
    /// The peer refuses connections.
    PeerRefuses,
    /// The peer does not read what is sent.
    PeerReadsLate,
    /// The peer thinks, or the way back loses.
    PeerOrWayBack,
    /// A stream's segments are lost: on a path that loses, or on one that the stream fills.
    StreamLoses,
    /// Some connections are slower: by a way that only they take, or by their work.
    SomeConnections,
    /// Some connections lose packets, and the others do not: a way beyond the next hop that only they
    /// take.
    SomeWaysLose,
    /// Nothing comes back: path or peer.
    Silent,
    /// Answers take long, and nothing says whose that is, or whether it is usual.
    NothingToCompare,
    /// Too much was not seen.
    NotSeen,
    /// Too little happened.
    TooFew,
    /// Nothing is wrong with what was looked at.
    Fine,
}

impl Claim {
    /// The claim's name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StaleRoute => "stale_route",
            Self::AfterChange => "after_change",
            Self::BehindNextHop => "behind_next_hop",
            Self::PathGrew => "path_grew",
            Self::PathLoses => "path_loses",
            Self::WayBackSlow => "way_back_slow",
            Self::WayBackMoved => "way_back_moved",
            Self::WrongNeighbour => "wrong_neighbour",
            Self::RouterRefuses => "router_refuses",
            Self::HostDrops => "host_drops",
            Self::HostWaits => "host_waits",
            Self::HostGrew => "host_grew",
            Self::ReadsLate => "reads_late",
            Self::AcceptsLate => "accepts_late",
            Self::AppGrew => "app_grew",
            Self::AppThinks => "app_thinks",
            Self::PeerThinks => "peer_thinks",
            Self::PeerGrew => "peer_grew",
            Self::PeerRefuses => "peer_refuses",
            Self::PeerReadsLate => "peer_reads_late",
            Self::PeerOrWayBack => "peer_or_way_back",
            Self::StreamLoses => "stream_loses",
            Self::SomeConnections => "some_connections",
            Self::SomeWaysLose => "some_ways_lose",
            Self::Silent => "silent",
            Self::NothingToCompare => "nothing_to_compare",
            Self::NotSeen => "not_seen",
            Self::TooFew => "too_few",
            Self::Fine => "fine",
        }
    }
}

/// How sure a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// Other explanations remain.
    Possible,
    /// One sort of evidence speaks for it, and none against.
    Likely,
    /// It was measured as such.
    Sure,
}

impl Sure {
    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Sure => "sure",
        }
    }

    /// One step less sure.
    #[must_use]
    pub const fn less(self) -> Self {
        match self {
            Self::Sure => Self::Likely,
            Self::Likely | Self::Possible => Self::Possible,
        }
    }
}

/// What can't be known from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// How it was before: whether this is usual.
    Baseline,
    /// Whether it is the way there or the way back.
    Way,
    /// How old the route is.
    RouteAge,
    /// Whether other next hops do better: there is none to compare with.
    Siblings,
    /// How long the peer takes.
    Peer,
    /// What the devices carried past the tracer.
    Unseen,
}

impl Unknown {
    /// Its name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Way => "way",
            Self::RouteAge => "route_age",
            Self::Siblings => "siblings",
            Self::Peer => "peer",
            Self::Unseen => "unseen",
        }
    }
}

/// The judgement of one dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The first word.
    pub word: Word,
    /// What is claimed.
    pub claim: Claim,
    /// How sure it is.
    pub sure: Sure,
    /// What speaks for it, the strongest first.
    pub evidence: Vec<Fact>,
    /// What speaks against it, or for another word too.
    pub against: Vec<Fact>,
    /// What clears others.
    pub cleared: Vec<(Word, Fact)>,
    /// What is not known.
    pub unknown: Vec<Unknown>,
}
