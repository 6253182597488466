//! One dependency against its own past: what takes longer than it did, and since when.

use super::View;
use crate::detect::verdict::ENOUGH;
use crate::detect::verdict::group::Group;
use crate::detect::verdict::past::{KnownBy, Part, Past, Slower, What};
use crate::detect::verdict::sign::MATTERS_NS;
use crate::model::connection::Phase;
use crate::model::passing::TtlStep;
use crate::model::report::class_key;
use crate::model::verdict::{Began, Grown, Timed, Word};
use crate::model::{Hop, Route, Step};

/// A before that is shorter may have been as bad: nobody says "as usual" of it.
const WATCHED_S: u64 = 3_600;

/// A change so long before the first sign is one just before, in seconds.
const JUST_BEFORE_S: u64 = 120;

/// A median that is so many times as long as usual, in both halves of the window, needs no finding.
const LEAP: u64 = 5;

/// A way that one packet in more than so many goes by does not speak for a dependency.
const FEW: u64 = 10;

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
    /// The first sign of that, where anybody knows one.
    pub(super) first: Option<Began>,
    /// The incidents that it is a part of, the oldest first.
    pub(super) incidents: Vec<u64>,
}

/// How long something takes now.
struct Now {
    /// Whose time it is.
    part: Word,
    /// How long.
    time: Timed,
    /// Where, of a segment.
    place: Option<String>,
}

impl Before {
    /// Keeps the earliest first sign.
    fn began(&mut self, began: Option<Began>) {
        let earliest = [self.first, began].into_iter().flatten();
        self.first = earliest.min_by_key(|it| it.at);
    }
}

impl View<'_> {
    pub(super) fn before(&self, past: &Past) -> Before {
        let mut before = Before::default();
        let keys = self.keys();
        for slower in past.slower.iter().filter(|it| keys.contains(&it.class)) {
            let Some(now) = self.now(slower) else {
                continue;
            };
            let usual_ns = slower.usual.p50_ns;
            let from_ns = match slower.known_by {
                KnownBy::Finding(_) => usual_ns + 1,
                KnownBy::OtherWay(_) => (2 * usual_ns).max(usual_ns + MATTERS_NS),
                KnownBy::Window => {
                    let leap_ns = (LEAP * usual_ns).max(slower.usual.p99_ns);
                    leap_ns.max(usual_ns + MATTERS_NS)
                }
            };
            let found = slower.known_by != KnownBy::Window;
            let is_more =
                now.time.p50_ns >= from_ns && (found || self.is_so_in_both_halves(slower, from_ns));
            if now.time.n < ENOUGH || !is_more {
                continue;
            }
            let is_own = !matches!(slower.known_by, KnownBy::OtherWay(_));
            before.is_longer |= now.part == Word::Path && is_own;
            before.grown.push(Grown {
                part: now.part,
                before: slower.usual,
                now: now.time,
                whole: false,
                found,
                place: now.place,
            });
            before.began(slower.known_by.began());
        }
        let whole = self.whole(past);
        let outgrown = self.outgrown(whole, &before.grown);
        if !outgrown.is_empty() {
            before.began(whole.and_then(|it| it.known_by.began()));
        }
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

    /// The keys of all classes whose times may be this dependency's.
    fn keys(&self) -> Vec<String> {
        let groups = [&self.group].into_iter().chain(self.other.iter().copied());
        let classes = groups.map(|it| &it.sockets.class);
        let classes = classes.chain(self.ways.iter().map(|it| &it.class));
        let mut keys: Vec<String> = classes.map(class_key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether a time of sockets is as long in each half of the window.
    fn is_so_in_both_halves(&self, slower: &Slower, from_ns: u64) -> bool {
        let What::Sockets(phase, _) = slower.what else {
            return false;
        };
        let Some(group) = self.sockets(slower) else {
            return false;
        };
        let mut halves = [&self.window.early, &self.window.late].into_iter();
        halves.all(|half| {
            let same = group.sockets.same(&half.sockets);
            let times = same.and_then(|it| Timed::of(it.seen.phases.get(&phase)?));
            times.is_some_and(|it| it.n >= ENOUGH / 2 && it.p50_ns >= from_ns)
        })
    }

    /// The sockets of this dependency whose time it is.
    fn sockets(&self, slower: &Slower) -> Option<&Group<'_>> {
        let What::Sockets(phase, next_hop) = slower.what else {
            return None;
        };
        // Of several legs the other side's round trips are those of all, and which is slow they do not tell.
        let is_of_all = phase == Phase::Rtt && self.is_one_of_several();
        let other = self.other.iter().copied().filter(|_| !is_of_all);
        let mut all = [&self.group].into_iter().chain(other);
        all.find(|it| it.next_hop() == next_hop && class_key(&it.sockets.class) == slower.class)
    }

    /// Whether this host's sockets ask the same by other next hops, too.
    fn is_one_of_several(&self) -> bool {
        let group = &self.group;
        let own = |it: &&Group<'_>| it.asks == group.asks && it.is_of(group) && it.is_beside(group);
        self.all.iter().filter(own).count() > 1
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

    /// What whole answers used to take, where they take longer.
    fn whole<'p>(&self, past: &'p Past) -> Option<&'p Slower> {
        let group = &self.group;
        let class = class_key(&group.sockets.class);
        past.slower.iter().find(|slower| {
            slower.what == What::Sockets(Phase::Answer, group.next_hop())
                && group.asks
                && slower.class == class
        })
    }

    /// Parts that alone take longer now than whole answers did, where these take longer: a way that is
    /// new has no past of its own.
    fn outgrown(&self, whole: Option<&Slower>, grown: &[Grown]) -> Vec<Grown> {
        let answer = self.group.times(Phase::Answer);
        let (Some(before), Some(answer)) = (whole.map(|it| it.usual), answer) else {
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
                found: true,
                place: None,
            })
        });
        outgrown.collect()
    }

    /// How long before the first sign the way changed, where that was just before.
    pub(super) fn changed_before_s(&self, past: &Past, before: &Before) -> Option<u64> {
        let Began { at: began, error_s } = before.first?;
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
            Some(Began { at: began, error_s }) => {
                let near =
                    (JUST_BEFORE_S * S).saturating_add((f64::from(error_s) * S as f64) as u64);
                past.at.saturating_sub(step.ago_ns).abs_diff(began) <= near
            }
            None => step.ago_ns <= self.window.whole.duration_ns,
        };
        is_of_it.then_some(step)
    }

    /// How long something takes now; none where it is none of this dependency's.
    fn now(&self, slower: &Slower) -> Option<Now> {
        match &slower.what {
            What::Sockets(phase, _) => {
                let part = match phase {
                    Phase::Rtt => Word::Path,
                    Phase::PeerAtLeast => Word::Peer,
                    Phase::Waiting => Word::App,
                    _ => return None,
                };
                Some(Now {
                    part,
                    time: self.sockets(slower)?.times(*phase)?,
                    place: None,
                })
            }
            What::Segment { name, at } => {
                // Routers may spread the flows: what grew need not be on the busiest of the ways. What few
                // go by says nothing of the others.
                let class = |it: &&&Route| class_key(&it.class) == slower.class;
                let ways: Vec<&Route> = self.ways.iter().filter(class).copied().collect();
                let all: u64 = ways.iter().map(|it| it.packets).sum();
                let taken = ways.iter().filter(|it| it.packets * FEW >= all);
                let pairs = taken.flat_map(|route| route.steps.windows(2));
                let found = pairs.filter_map(|pair| segment(pair, name, *at));
                found.max_by_key(|it| it.time.n)
            }
        }
    }
}

/// A segment of a way, if it has this name and ends at this device.
fn segment(pair: &[Step], name: &str, at: (u64, u32)) -> Option<Now> {
    let [from, to] = [&pair[0].hop, &pair[1].hop];
    let segment = pair[1].segment.as_ref()?;
    if (to.namespace.cookie, to.ifindex) != at || segment.name != name {
        return None;
    }
    let end = |hop: &Hop| format!("{} {}", hop.namespace.name, hop.device);
    let place = if end(from) == end(to) {
        format!("{name}, {}", end(to))
    } else {
        format!("{name}, {} → {}", end(from), end(to))
    };
    Some(Now {
        part: Word::of_segment(from.stage, to.stage),
        time: Timed::of(&segment.latency)?,
        place: Some(place),
    })
}

/// The longer of two times.
fn later(one: Option<Timed>, other: Option<Timed>) -> Option<Timed> {
    one.into_iter().chain(other).max_by_key(|it| it.p50_ns)
}
