//! What is known of the time before a window.

use std::net::IpAddr;

use crate::model::connection::Phase;
use crate::model::journal::Moment;
use crate::model::verdict::{Began, Timed};

/// What an agent remembers beside a window. Without one all of it is empty.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// When the window ended.
    pub at: Moment,
    /// Sockets that were watched before.
    pub watched: Vec<Watched>,
    /// What takes longer than it did.
    pub slower: Vec<Slower>,
    /// What has a part in incidents that are open.
    pub parts: Vec<Part>,
    /// When packets of a dependency began to go another way.
    pub moved: Vec<Moved>,
}

/// For how long sockets were watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The key of the class of what they receive.
    pub class: String,
    /// The gateway that they send by.
    pub next_hop: Option<IpAddr>,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// One thing that takes longer than it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Slower {
    /// The key of the class.
    pub class: String,
    /// What.
    pub what: What,
    /// How long it used to take.
    pub usual: Timed,
    /// How it is known that it takes longer.
    pub known_by: KnownBy,
}

/// How it is known that something takes longer than it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KnownBy {
    /// The judge has an open finding of it.
    Finding(Began),
    /// It is what another way took: this one has no past of its own, and may be what some of the traffic
    /// always went by.
    OtherWay(Began),
    /// Nobody found anything yet: the window has to tell by itself.
    Window,
}

impl KnownBy {
    /// The first sign, where anybody knows one.
    pub fn began(self) -> Option<Began> {
        match self {
            Self::Finding(began) | Self::OtherWay(began) => Some(began),
            Self::Window => None,
        }
    }
}

/// Something that has a part in an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The key of the class of its packets.
    pub class: String,
    /// The gateway that its sockets send by; of hops it is any.
    pub next_hop: Option<Option<IpAddr>>,
    /// Which.
    pub incident: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A time of sockets that send by a gateway; the class is that of what they receive.
    Sockets(Phase, Option<IpAddr>),
    /// A segment, by its own name and the place of the hop at its end; the class is that of the
    /// packets.
    Segment {
        /// `queue→xmit`
        name: String,
        /// The namespace's cookie and the device's index.
        at: (u64, u32),
    },
}

/// A change of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The network namespace that it was made in.
    pub namespace: String,
    /// The dependency ([`crate::model::answer::Case::name`]).
    pub dependency: String,
    /// When.
    pub at: Moment,
}
