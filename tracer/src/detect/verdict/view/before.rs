//! One dependency against its own past: what takes longer than it did, and since when.

use super::View;
use crate::detect::verdict::ENOUGH;
use crate::detect::verdict::group::Group;
use crate::detect::verdict::past::{KnownBy, Part, Past, Slower, What};
use crate::detect::verdict::sign::MATTERS_NS;
use crate::model::Hop;
use crate::model::connection::Phase;
use crate::model::journal::Moment;
use crate::model::passing::TtlStep;
use crate::model::report::class_key;
use crate::model::verdict::{Grown, Timed, Word};

/// A before that is shorter may have been as bad: nobody says "as usual" of it.
const WATCHED_S: u64 = 3_600;

/// A change so long before the first sign is one just before, in seconds.
const JUST_BEFORE_S: u64 = 120;

/// Half of a window that took so many times as long as usual needs no finding.
const LEAP: u64 = 5;

const S: u64 = 1_000_000_000;

/// What the past says of a dependency.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Before {
    /// Whether there is a before to compare with.
    pub(super) is_known: bool,
    /// What takes longer, and did so in the window too.
    pub(super) grown: Vec<Grown>,
    /// Whether this way takes longer than it did itself.
    pub(super) is_longer: bool,
    /// The first sign of that, and its error in seconds.
    first: Option<(Moment, f32)>,
    /// The incidents that it is a part of, the oldest first.
    pub(super) incidents: Vec<u64>,
}

impl View<'_> {
    pub(super) fn before(&self, past: &Past) -> Before {
        let mut before = Before::default();
        for slower in &past.slower {
            let Some((whose, now, place)) = self.now(slower) else {
                continue;
            };
            let usual_ns = slower.usual.p50_ns;
            let from_ns = match slower.known_by {
                KnownBy::Finding => usual_ns + 1,
                KnownBy::OtherWay => (2 * usual_ns).max(usual_ns + MATTERS_NS),
                KnownBy::Window => {
                    let leap_ns = (LEAP * usual_ns).max(slower.usual.p99_ns);
                    leap_ns.max(usual_ns + MATTERS_NS)
                }
            };
            let is_more = now.p50_ns >= from_ns;
            if now.n < ENOUGH || !is_more {
                continue;
            }
            before.is_longer |= whose == Word::Path && slower.known_by != KnownBy::OtherWay;
            before.grown.push(Grown {
                part: whose,
                before: slower.usual,
                now,
                whole: false,
                place,
            });
            let first = match slower.known_by {
                KnownBy::Window => self.in_the_window(past),
                _ => (slower.began, slower.error_s),
            };
            before.first = before.first.filter(|it| it.0 <= first.0).or(Some(first));
        }
        let outgrown = self.outgrown(past, &before.grown);
        before.is_longer |= outgrown.iter().any(|it| it.part == Word::Path);
        before.grown.extend(outgrown);
        let parts = past.parts.iter().filter(|it| self.has(it));
        before.incidents = parts.map(|it| it.incident).collect();
        before.incidents.sort_unstable();
        before.incidents.dedup();
        let own = self.group.sockets;
        let was_watched = past.watched.iter().any(|it| {
            it.seconds >= WATCHED_S
                && it.next_hop == own.seen.next_hop
                && it.class == class_key(&own.class)
        });
        before.is_known = was_watched || !before.grown.is_empty();
        before
    }

    /// A first sign that lies somewhere in the window, and its error.
    fn in_the_window(&self, past: &Past) -> (Moment, f32) {
        let half_ns = self.window.whole.duration_ns / 2;
        let error_s = half_ns as f64 / S as f64;
        (past.at.saturating_sub(half_ns), error_s as f32)
    }

    /// Whether it is a part of this dependency.
    fn has(&self, part: &Part) -> bool {
        let is_it = |it: &&Group<'_>| {
            class_key(&it.sockets.class) == part.class
                && part.next_hop.is_none_or(|by| by == it.next_hop())
        };
        let all = [&self.group].into_iter().chain(self.other.iter().copied());
        all.into_iter().any(|it| is_it(&it))
            || part.next_hop.is_none() && self.routes().any(|it| class_key(&it.class) == part.class)
    }

    /// Parts that alone take longer now than whole answers did, where these take longer: a way that is
    /// new has no past of its own.
    fn outgrown(&self, past: &Past, grown: &[Grown]) -> Vec<Grown> {
        let whole = past.slower.iter().find_map(|slower| {
            let What::Sockets(Phase::Answer, next_hop) = slower.what else {
                return None;
            };
            let is_own = self.group.asks
                && self.group.next_hop() == next_hop
                && class_key(&self.group.sockets.class) == slower.class;
            is_own.then_some(slower.usual)
        });
        let answer = self.group.times(Phase::Answer);
        let (Some(before), Some(answer)) = (whole, answer) else {
            return Vec::new();
        };
        let more_ns = answer.p50_ns.saturating_sub(before.p50_ns);
        let thinking = self
            .serving(Phase::Thinking)
            .or(self.serving(Phase::Service));
        let parts = [
            (Word::Path, self.round_trip()),
            (Word::ThisHost, self.host().map(|it| it.time)),
            (
                Word::Peer,
                thinking.or(self.group.times(Phase::PeerAtLeast)),
            ),
            (
                Word::App,
                later(self.serving(Phase::Waiting), self.reading()),
            ),
        ];
        let outgrown = parts.into_iter().filter_map(|(part, now)| {
            let now = now.filter(|it| it.n >= ENOUGH)?;
            let is_more = now.p50_ns > before.p50_ns && 2 * (now.p50_ns - before.p50_ns) >= more_ns;
            let is_known = grown.iter().any(|it| it.part == part);
            (is_more && more_ns > 0 && !is_known).then_some(Grown {
                part,
                before,
                now,
                whole: true,
                place: None,
            })
        });
        outgrown.collect()
    }

    /// How long before the first sign the way changed, where that was just before.
    pub(super) fn changed_before_s(&self, past: &Past, before: &Before) -> Option<u64> {
        let (began, error_s) = before.first?;
        let age = self.entry().and_then(|entry| entry.age);
        let made = age.filter(|age| age.exact);
        let made = made.map(|age| past.at.saturating_sub(age.seconds.saturating_mul(S)));
        let name = self.name();
        let namespace = &self.group.seen().namespace.name;
        let moved = past.moved.iter();
        let moved = moved.filter(|it| it.namespace == *namespace && it.dependency == name);
        // Ages are whole seconds.
        let latest = began.saturating_add(S + (f64::from(error_s) * S as f64) as u64);
        let changes = made.into_iter().chain(moved.map(|it| it.at));
        let last = changes.filter(|&at| at <= latest).max()?;
        let seconds = began.saturating_sub(last) / S;
        (seconds <= JUST_BEFORE_S).then_some(seconds)
    }

    /// The last step of what comes back to another TTL, where that was at about the first sign; where nobody
    /// knows that one, where it was in the window.
    pub(super) fn ttl_step(&self, past: &Past, before: &Before) -> Option<TtlStep> {
        let step = self.group.seen().ttl_step?;
        let is_of_it = match before.first {
            Some((began, error_s)) => {
                let near =
                    (JUST_BEFORE_S * S).saturating_add((f64::from(error_s) * S as f64) as u64);
                past.at.saturating_sub(step.ago_ns).abs_diff(began) <= near
            }
            None => step.ago_ns <= self.window.whole.duration_ns,
        };
        is_of_it.then_some(step)
    }

    /// Whose time something is, how long it takes now, and of a segment where; none where it is none of this
    /// dependency's.
    fn now(&self, slower: &Slower) -> Option<(Word, Timed, Option<String>)> {
        match &slower.what {
            What::Sockets(phase, next_hop) => {
                let is_it = |it: &&Group<'_>| {
                    it.next_hop() == *next_hop && class_key(&it.sockets.class) == slower.class
                };
                let all = [&self.group].into_iter().chain(self.other.iter().copied());
                let group = all.into_iter().find(is_it)?;
                let part = match phase {
                    Phase::Rtt => Word::Path,
                    Phase::PeerAtLeast => Word::Peer,
                    Phase::Waiting => Word::App,
                    _ => return None,
                };
                Some((part, group.times(*phase)?, None))
            }
            What::Segment { name, at } => {
                // Routers may spread the flows: what grew need not be on the busiest of the ways.
                let mut pairs = self
                    .ways
                    .iter()
                    .filter(|route| class_key(&route.class) == slower.class)
                    .flat_map(|route| route.steps.windows(2));
                let pair = pairs.find(|pair| {
                    let (hop, segment) = (&pair[1].hop, &pair[1].segment);
                    (hop.namespace.cookie, hop.ifindex) == *at
                        && segment.as_ref().is_some_and(|it| it.name == *name)
                })?;
                let [from, to] = [&pair[0].hop, &pair[1].hop];
                let part = Word::of_segment(from.stage, to.stage);
                let now = Timed::of(&pair[1].segment.as_ref()?.latency)?;
                let end = |hop: &Hop| format!("{} {}", hop.namespace.name, hop.device);
                let place = if end(from) == end(to) {
                    format!("{name}, {}", end(to))
                } else {
                    format!("{name}, {} → {}", end(from), end(to))
                };
                Some((part, now, Some(place)))
            }
        }
    }
}

/// The longer of two times.
fn later(one: Option<Timed>, other: Option<Timed>) -> Option<Timed> {
    one.into_iter().chain(other).max_by_key(|it| it.p50_ns)
}
