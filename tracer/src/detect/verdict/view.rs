//! One dependency, seen from its sockets: all that concerns it, as evidence and as a case.

mod before;
mod host;
mod turned;

use std::cmp::Reverse;

use super::evidence::{Evidence, RouteState, Siblings};
use super::gather::turned;
use super::group::{Group, Trips};
use super::past::Past;
use super::window::Window;
use super::{ENOUGH, Word, compare, connections, judge};
use crate::model::answer::{Case, Part, Sibling};
use crate::model::connection::{Phase, Sight};
use crate::model::drops::Blame;
use crate::model::forwarding::FibEntry;
use crate::model::hop::Stage;
use crate::model::verdict::{Timed, Ways};
use crate::model::{Class, Histogram, Hop, Names, Route, Step};

use self::before::Before;

/// A dependency from one group of sockets, and all that concerns it.
pub(super) struct View<'a> {
    group: Group<'a>,
    all: &'a [Group<'a>],
    /// The other side's sockets, where they are on this host too.
    other: Vec<&'a Group<'a>>,
    window: &'a Window,
    requests: Option<&'a Route>,
    answers: Option<&'a Route>,
    /// All the ways of both.
    ways: Vec<&'a Route>,
}

impl<'a> View<'a> {
    pub(super) fn of(group: Group<'a>, all: &'a [Group<'a>], window: &'a Window) -> Self {
        let others = all
            .iter()
            .filter(|it| it.asks != group.asks && it.is_of(&group));
        let mut other: Vec<&Group<'_>> = others.collect();
        // Sockets of a namespace that is going away may have the same addresses, and no exchange any more.
        other.sort_by_key(|it| Reverse(it.exchanges()));
        let [requests, answers] = [true, false].map(|it| group.routes(&window.whole, it));
        let busiest = |routes: &[&'a Route]| routes.iter().copied().max_by_key(|it| it.packets);
        Self {
            group,
            all,
            other,
            window,
            requests: busiest(&requests),
            answers: busiest(&answers),
            ways: [requests, answers].concat(),
        }
    }

    pub(super) fn case(&self, past: &Past) -> Case {
        let before = self.before(past);
        let evidence = self.evidence(past, &before);
        let group = &self.group;
        let seen = group.seen();
        let sent = self.sent();
        let sample = || seen.sample.iter();
        let mut clients: Vec<_> = if group.asks {
            sample().map(|it| it.tuple.destination).collect()
        } else {
            sample().map(|it| it.tuple.source).collect()
        };
        clients.sort_unstable();
        clients.dedup();
        Case {
            class: self.class(),
            names: self.names(),
            namespace: seen.namespace.name.clone(),
            other_namespace: self
                .other
                .first()
                .map(|it| it.seen().namespace.name.clone()),
            asks: group.asks,
            device: seen.device.clone(),
            next_hop: group.next_hop(),
            mac: sent.and_then(|step| step.hop.next_hop_mac),
            entry: self.entry().cloned(),
            parts: self.parts(&evidence),
            ways: self.ways(),
            exchanges: evidence.exchanges,
            undisturbed: group.sight(Sight::Undisturbed),
            answer: evidence.answer,
            connections: seen.sample.len(),
            sample: seen.sample.clone(),
            ttl: seen.ttl,
            clients: clients.len(),
            siblings: self.siblings(&evidence.siblings),
            began: before.first,
            waits_for: None,
            waited_ns: group.waited_ns(),
            coverage: evidence.coverage.as_ref().map(|it| it.packets),
            incidents: before.incidents.clone(),
            judgement: judge(&evidence),
            grown: before.grown,
        }
    }

    fn evidence(&self, past: &Past, before: &Before) -> Evidence {
        let group = &self.group;
        let sight = |sight| group.sight(sight);
        let is_bounded =
            group.times(Phase::Rtt).is_some() || group.times(Phase::Handshake).is_some();
        let thinking = self
            .serving(Phase::Thinking)
            .or(self.serving(Phase::Service));
        let most = group.times(Phase::PeerAtMost);
        let peer = thinking.or(most.filter(|_| is_bounded));
        let [routers, peer_itself] = self.turned_back();
        Evidence {
            exchanges: group.exchanges(),
            disturbed: sight(Sight::Disturbed),
            one_sided: sight(Sight::PeerOrWayBack),
            sent_again: sight(Sight::Retransmits) + sight(Sight::Timeouts),
            had_already: sight(Sight::PeerDuplicates),
            gaps: sight(Sight::Gaps) + sight(Sight::Duplicates),
            syn_again: sight(Sight::SynRetransmits),
            syn_ack_again: sight(Sight::SynAckRetransmits),
            opened: sight(Sight::Opened),
            refused: sight(Sight::Unopened).min(sight(Sight::ResetsReceived)),
            peer_window_shut: sight(Sight::PeerZeroWindow),
            own_window_shut: sight(Sight::OwnZeroWindow),
            packets: self.routes().map(|route| route.packets).sum(),
            answer: group.times(Phase::Answer).filter(|_| group.asks),
            round_trip: self.round_trip(),
            round_trip_or_more: group.times(Phase::RttWithData),
            round_trip_beside: self.round_trip_beside(),
            held_back: sight(Sight::HeldBack),
            measured: group.trips(Trips::OrMore).count(),
            is_bounded,
            peer_least: group.times(Phase::PeerAtLeast),
            peer_most: most,
            asks_here: group.asks,
            waiting: self.serving(Phase::Waiting),
            thinking,
            reading: self.reading(),
            host: self.host(),
            drops: self.drops(Blame::Host),
            misdelivered: self.drops(Blame::Sender),
            routers,
            peer: peer_itself,
            unopened: sight(Sight::Unopened),
            not_accepted: self.not_accepted(),
            ways: self.slowest_wire(),
            siblings: compare::siblings(
                group,
                self.all,
                self.window,
                compare::Known {
                    peer: peer.filter(|_| group.asks),
                    is_longer: before.is_longer,
                    is_spread: group.asks && self.entry().is_some_and(|entry| entry.legs > 1),
                },
            ),
            connections: connections::odd(group, self.window),
            route: RouteState {
                age: self.entry().and_then(|entry| entry.age),
                changed_before_s: self.changed_before_s(past, before),
            },
            ttl_step: self.ttl_step(past, before),
            coverage: self.coverage(),
            grown: before.grown.clone(),
            has_baseline: before.is_known,
        }
    }

    /// The class of the requests, whichever side is seen.
    fn class(&self) -> Class {
        let class = &self.group.sockets.class;
        if !self.group.asks {
            return class.clone();
        }
        if let Some(route) = self.requests {
            return route.class.clone();
        }
        turned(class)
    }

    /// The dependency's name.
    fn name(&self) -> String {
        self.class().name()
    }

    fn names(&self) -> Names {
        let turned = |names: &Names| Names {
            source: names.destination.clone(),
            destination: names.source.clone(),
        };
        match (self.requests, self.answers) {
            (Some(route), _) => route.names.clone(),
            (None, Some(route)) => turned(&route.names),
            (None, None) => Names::default(),
        }
    }

    fn routes(&self) -> impl Iterator<Item = &'a Route> + use<'a> {
        [self.requests, self.answers].into_iter().flatten()
    }

    /// A time of the serving side, wherever on this host it is.
    fn serving(&self, phase: Phase) -> Option<Timed> {
        let own = Some(&self.group).filter(|group| !group.asks);
        let others = self.other.iter().copied().filter(|it| !it.asks);
        let mut times = Histogram::default();
        for group in own.into_iter().chain(others) {
            times.merge(&group.seen().phase(phase));
        }
        Timed::of(&times)
    }

    /// The round trip of the network alone: the kernel's, else the way there and the way back
    /// where both are wholly on this host.
    fn round_trip(&self) -> Option<Timed> {
        let measured = Timed::of(&self.group.trips(Trips::Pure));
        let ways = self.ways().map(|[there, back]| Timed {
            p50_ns: there.p50_ns + back.p50_ns,
            p99_ns: there.p99_ns + back.p99_ns,
            n: there.n.min(back.n),
        });
        measured
            .filter(|time| time.n >= super::ENOUGH)
            .or(ways)
            .or(measured)
    }

    /// What other services take between the same hosts, by the same next hop: at least as long as the
    /// path does.
    fn round_trip_beside(&self) -> Option<Timed> {
        let group = &self.group;
        let beside = self.all.iter().filter(|it| {
            it.asks == group.asks
                && it.port != group.port
                && (it.client, it.server) == (group.client, group.server)
                && it.next_hop() == group.next_hop()
                && it.is_beside(group)
        });
        let times = beside.filter_map(|it| Timed::of(&it.trips(Trips::OrMore)));
        let enough = times.filter(|it| it.n >= ENOUGH);
        enough.min_by_key(|it| it.p50_ns)
    }

    /// The way there and the way back, from birth to delivery, seen from this group.
    fn ways(&self) -> Option<[Timed; 2]> {
        let whole = |route: Option<&Route>, to: &Group<'_>| {
            let route = route?;
            let ends_there = route.steps.iter().any(|step| {
                step.hop.stage == Stage::Deliver
                    && step.hop.namespace.cookie == to.seen().namespace.cookie
            });
            Timed::of(&route.total).filter(|_| ends_there)
        };
        let other = self.other.first()?;
        let (requests, answers) = if self.group.asks {
            (
                whole(self.requests, other),
                whole(self.answers, &self.group),
            )
        } else {
            (
                whole(self.requests, &self.group),
                whole(self.answers, other),
            )
        };
        Some([requests?, answers?])
    }

    /// Both ways, with the wire that takes longest.
    fn slowest_wire(&self) -> Option<Ways> {
        let [there, back] = self.ways()?;
        let wires = self.routes().flat_map(|route| {
            route.steps.windows(2).filter_map(|pair| {
                let [from, to] = [&pair[0].hop, &pair[1].hop];
                let is_wire = Word::of_segment(from.stage, to.stage) == Word::Path;
                let time = Timed::of(&pair[1].segment.as_ref()?.latency).filter(|_| is_wire)?;
                let [from, to] =
                    [from, to].map(|hop| format!("{} {}", hop.namespace.name, hop.device));
                Some((format!("{from} → {to}"), time))
            })
        });
        let (wire, time) = wires.max_by_key(|(_, time)| (time.n >= ENOUGH, time.p50_ns))?;
        Some(Ways {
            there,
            back,
            wire,
            time,
        })
    }

    /// The step at which this group's packets are sent to the next hop.
    fn sent(&self) -> Option<&'a Step> {
        let route = if self.group.asks {
            self.requests?
        } else {
            self.answers?
        };
        let seen = self.group.seen();
        let here = |hop: &Hop| hop.namespace.cookie == seen.namespace.cookie;
        let mut steps = route.steps.iter();
        steps.find(|step| step.hop.stage == Stage::Xmit && here(&step.hop))
    }

    /// The FIB entry by which this group's packets go, if it is the one of their next hop.
    fn entry(&self) -> Option<&'a FibEntry> {
        let entry = self.sent()?.forwarding.as_ref()?.entry.as_ref()?;
        (entry.gateway == self.group.next_hop()).then_some(entry)
    }

    /// How long answers wait to be read, where this group asks.
    fn reading(&self) -> Option<Timed> {
        let route = self.answers.filter(|_| self.group.asks)?;
        let mut read = route
            .steps
            .iter()
            .filter(|step| step.hop.stage == Stage::Read);
        Timed::of(&read.next()?.segment.as_ref()?.latency)
    }

    /// Where the time of an exchange goes; a part that was not measured is not there.
    fn parts(&self, evidence: &Evidence) -> Vec<Part> {
        let bound = evidence
            .peer_most
            .filter(|_| evidence.is_bounded && self.group.asks);
        let network = evidence.round_trip.map(|time| (time, false));
        let network = network.or(evidence
            .round_trip_or_more
            .filter(|_| self.group.asks)
            .map(|time| (time, true)));
        let peer = evidence.thinking.map(|time| (time, false));
        let peer = peer.or(bound.map(|time| (time, true)));
        let reads = [evidence.waiting, evidence.reading];
        let read = reads.into_iter().flatten().max_by_key(|time| time.p50_ns);
        let host = evidence.host.as_ref().map(|it| it.time);
        let all = [
            ("queue", host.map(|time| (time, false))),
            ("network", network),
            (if self.group.asks { "peer" } else { "think" }, peer),
            ("read", read.map(|time| (time, false))),
        ];
        all.into_iter()
            .filter_map(|(name, part)| {
                let (time, at_most) = part?;
                Some(Part {
                    name,
                    time,
                    at_most,
                })
            })
            .collect()
    }

    /// Who does the same work, the slowest first.
    fn siblings(&self, said: &Siblings) -> Vec<Sibling> {
        let same: Vec<&Group<'_>> = self
            .all
            .iter()
            .filter(|it| it.asks == self.group.asks && it.is_alike(&self.group))
            .collect();
        if same.len() < 2 {
            return Vec::new();
        }
        let is_own = |it: &Group<'_>| std::ptr::eq(it.sockets, self.group.sockets);
        let worse = matches!(said, Siblings::Worse(_));
        let mut siblings: Vec<Sibling> = same
            .into_iter()
            .map(|it| Sibling {
                client: it.client.to_string(),
                namespace: it.seen().namespace.name.clone(),
                next_hop: it.next_hop(),
                time: Timed::of(&it.trips(Trips::OrMore)),
                lost: it.lost(),
                is_worse: worse && is_own(it),
            })
            .collect();
        siblings.sort_by_key(|it| std::cmp::Reverse(it.time.map_or(0, |time| time.p50_ns)));
        siblings
    }
}
