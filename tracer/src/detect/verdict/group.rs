//! The sockets of one side of a dependency, by one next hop.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::window::Window;
use crate::model::connection::{Connections, HELD_BACK_US, MOST_HELD_BACK, Phase, Sight, Sockets};
use crate::model::verdict::{Share, Timed};
use crate::model::{End, Histogram, Protocol, Report, Route, Service};

/// Each is compared with each, and a person reads the answer.
const MOST: usize = 512;

/// Sockets that ask, or that serve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    /// Whether they ask.
    pub(super) asks: bool,
    /// Who asks.
    pub(super) client: &'a End,
    /// Who is asked.
    pub(super) server: &'a End,
    /// The service's port.
    pub(super) port: u16,
    /// What was seen of them.
    pub(super) sockets: &'a Sockets,
}

/// From here on an acknowledgement may be held back.
const HELD_BACK_NS: u64 = HELD_BACK_US as u64 * 1000;

/// What a sibling's round trips are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trips {
    /// Of the network alone.
    Pure,
    /// Also those that may hold the peer's time.
    OrMore,
}

impl<'a> Group<'a> {
    /// The groups of a window in which most happened, at most [`MOST`], and how many more there are.
    pub(super) fn all(window: &'a Window) -> (Vec<Self>, usize) {
        let sockets = window.whole.sockets.iter();
        let groups = sockets.filter_map(Self::of);
        let mut groups: Vec<Self> = groups.filter(Self::is_active).collect();
        groups.sort_by_cached_key(|it| Reverse((it.mishaps(), it.waited_ns(), it.exchanges())));
        let more = groups.len().saturating_sub(MOST);
        groups.truncate(MOST);
        (groups, more)
    }

    fn of(sockets: &'a Sockets) -> Option<Self> {
        let class = &sockets.class;
        if class.protocol != Protocol::Tcp {
            return None;
        }
        let (asks, client, server) = match class.service? {
            Service::Source(_) => (true, &class.destination, &class.source),
            Service::Destination(_) => (false, &class.source, &class.destination),
        };
        Some(Self {
            asks,
            client,
            server,
            port: class.service?.port(),
            sockets,
        })
    }

    fn is_active(&self) -> bool {
        let idle = [Sight::HeldBack, Sight::Untracked];
        let seen = self.seen();
        let is_seen = seen
            .sights
            .iter()
            .any(|(sight, &n)| n > 0 && !idle.contains(sight));
        is_seen || seen.phases.values().any(|times| times.count() > 0)
    }

    pub(super) fn seen(&self) -> &'a Connections {
        &self.sockets.seen
    }

    pub(super) fn next_hop(&self) -> Option<IpAddr> {
        self.seen().next_hop
    }

    /// Whether both are the same dependency: client, server and port.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.client == other.client && self.is_alike(other)
    }

    /// Whether both are connections to the same service.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.server == other.server && self.port == other.port
    }

    /// Whether both are sockets of one network namespace.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.seen().namespace.cookie == other.seen().namespace.cookie
    }

    pub(super) fn times(&self, phase: Phase) -> Option<Timed> {
        if phase == Phase::Rtt {
            return Timed::of(&self.trips(Trips::Pure));
        }
        Timed::of(self.seen().phases.get(&phase)?)
    }

    pub(super) fn sight(&self, sight: Sight) -> u64 {
        self.seen().sight(sight)
    }

    /// Exchanges of every state.
    pub(super) fn exchanges(&self) -> u64 {
        let states = [
            Sight::Undisturbed,
            Sight::Disturbed,
            Sight::PeerOrWayBack,
            Sight::Overlapping,
            Sight::Unanswered,
        ];
        states.iter().map(|&state| self.sight(state)).sum()
    }

    /// How long all exchanges waited together, in nanoseconds.
    pub(super) fn waited_ns(&self) -> u64 {
        let phases = if self.asks {
            &[Phase::Answer, Phase::Disturbed, Phase::PeerOrWayBack][..]
        } else {
            &[Phase::Service]
        };
        let times = phases
            .iter()
            .filter_map(|phase| self.seen().phases.get(phase));
        times.fold(0, |sum, times| sum.saturating_add(times.sum_ns()))
    }

    /// What went wrong with segments.
    pub(super) fn mishaps(&self) -> u64 {
        let sights = [Sight::Retransmits, Sight::Timeouts, Sight::Gaps];
        sights.iter().map(|&sight| self.sight(sight)).sum()
    }

    /// The same, of the round trips that were measured.
    pub(super) fn lost(&self) -> Share {
        Share {
            part: self.mishaps(),
            of: self.trips(Trips::OrMore).count(),
        }
    }

    /// Its round trips.
    pub(super) fn trips(&self, trips: Trips) -> Histogram {
        trips_of(self.seen(), trips)
    }

    /// Its round trips in a half of the window.
    pub(super) fn trips_in(&self, half: &Report, trips: Trips) -> Histogram {
        let same = self.sockets.same(&half.sockets);
        same.map_or_else(Histogram::default, |it| trips_of(&it.seen, trips))
    }

    /// The routes of its requests, or of its answers.
    pub(super) fn routes<'r>(&self, report: &'r Report, requests: bool) -> Vec<&'r Route> {
        let here = |route: &&Route| {
            let class = &route.class;
            let ends = if requests {
                (self.client, self.server, Service::Destination(self.port))
            } else {
                (self.server, self.client, Service::Source(self.port))
            };
            class.protocol == Protocol::Tcp
                && (&class.source, &class.destination) == (ends.0, ends.1)
                && class.service == Some(ends.2)
        };
        let mut routes: Vec<&Route> = report.routes.iter().filter(here).collect();
        // Of the ways of a class, the one that leaves by this next hop's device.
        let sends = requests == self.asks;
        let seen = self.seen();
        let by_device = |route: &&Route| {
            let mut steps = route.steps.iter();
            steps.any(|step| {
                step.hop.namespace.cookie == seen.namespace.cookie
                    && step.hop.ifindex == seen.ifindex
            })
        };
        if sends && routes.iter().any(by_device) {
            routes.retain(by_device);
        }
        routes
    }
}

fn trips_of(seen: &Connections, trips: Trips) -> Histogram {
    let mut times = seen.phase(Phase::Rtt);
    // Whoever holds nearly all acknowledgements back sends the rest when it gets to it: that is not how long
    // the path takes, but where it takes longer than they are held back.
    let is_short = times.quantile_ns(0.5).is_some_and(|it| it < HELD_BACK_NS);
    if is_short && seen.sight(Sight::HeldBack) > MOST_HELD_BACK * times.count() {
        times = Histogram::default();
    }
    if trips == Trips::OrMore {
        times.merge(&seen.phase(Phase::RttWithData));
    }
    times
}

/// `app → db tcp/5432`
pub(super) fn name(group: &Group<'_>) -> String {
    format!("{} → {} tcp/{}", group.client, group.server, group.port)
}
