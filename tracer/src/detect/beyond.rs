//! Where beyond the next hop does round trip or loss begin?
//!
//! A router answers expired probes when it has time, and not more often than it is allowed to (Linux:
//! one a second, six at once; `net.ipv4.icmp_ratelimit`), so one slow or silent router says nothing.
//! What all beyond it share does: a place is no slower than the fastest place behind it, and loses no
//! more than the best one behind it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::probe::{Between, Beyond, Hop, Probe, Probed, Reply, Says, Trouble};

/// A step that takes less than this is nobody's complaint, in nanoseconds.
const MATTERS_NS: u64 = 1_000_000;

/// A port is slow if it takes so many times as long as the fastest.
const TIMES: u64 = 3;

/// From so many unanswered probes to the other end on, and from this share on, it is loss.
const LOST: u32 = 3;
const LOST_SHARE: f64 = 0.1;

/// What probes say.
pub fn beyond(probed: &Probed) -> Beyond {
    let flows: Vec<Flow> = probed
        .ports
        .iter()
        .map(|&port| Flow::of(port, &probed.probes))
        .collect();
    let hops = hops(&flows);
    let (bad, good) = sides(&flows);
    // What all ports have in common is told of all.
    let judged: Vec<&Flow> = if bad.is_empty() {
        good.clone()
    } else {
        bad.clone()
    };
    let only_bad = only(&bad, &good);
    let ports = |flows: &[&Flow]| flows.iter().map(|it| it.port).collect();
    Beyond {
        trouble: trouble(&judged, if bad.is_empty() { &[] } else { &good }),
        hops,
        bad: ports(&bad),
        good: ports(&good),
        only_bad,
    }
}

/// All probes of one source port.
struct Flow {
    port: u16,
    by_ttl: BTreeMap<u8, Seen>,
}

/// The probes of one port and distance.
#[derive(Default)]
struct Seen {
    sent: u32,
    replies: Vec<Reply>,
}

impl Seen {
    fn shortest_ns(&self) -> Option<u64> {
        self.replies.iter().map(|it| it.after_ns).min()
    }

    fn from(&self) -> Option<(IpAddr, Says)> {
        self.replies.first().map(|it| (it.from, it.says))
    }
}

impl Flow {
    fn of(port: u16, probes: &[Probe]) -> Self {
        let mut by_ttl: BTreeMap<u8, Seen> = BTreeMap::new();
        for probe in probes.iter().filter(|it| it.port == port) {
            let seen = by_ttl.entry(probe.ttl).or_default();
            seen.sent += 1;
            seen.replies.extend(probe.reply);
        }
        // Beyond the first that is the last, a probe meets the same again.
        let last = by_ttl
            .iter()
            .find(|(_, seen)| seen.replies.iter().any(|it| it.says.is_last()))
            .map(|(&ttl, _)| ttl);
        if let Some(last) = last {
            let beyond = by_ttl.split_off(&last);
            let mut end = Seen::default();
            for seen in beyond.into_values() {
                end.sent += seen.sent;
                end.replies.extend(seen.replies);
            }
            by_ttl.insert(last, end);
        }
        Self { port, by_ttl }
    }

    /// The probes that the other end answered.
    fn end(&self) -> Option<&Seen> {
        let (_, last) = self.by_ttl.last_key_value()?;
        let is_end = last.replies.iter().any(|it| it.says.is_end());
        is_end.then_some(last)
    }

    fn end_ns(&self) -> Option<u64> {
        self.end()?.shortest_ns()
    }

    fn unreachable(&self) -> Option<(u8, IpAddr, u8)> {
        let (&ttl, last) = self.by_ttl.last_key_value()?;
        last.replies.iter().find_map(|it| match it.says {
            Says::Unreachable(code) => Some((ttl, it.from, code)),
            _ => None,
        })
    }
}

fn hops(flows: &[Flow]) -> Vec<Hop> {
    // Beyond the last one that answers, silence is told once.
    let last = |flow: &Flow| {
        let answering = flow
            .by_ttl
            .iter()
            .rfind(|(_, seen)| !seen.replies.is_empty());
        answering.map_or(1, |(&ttl, _)| {
            if flow.end().is_some() || flow.unreachable().is_some() {
                ttl
            } else {
                ttl + 1
            }
        })
    };
    let mut all: BTreeMap<(u8, Option<IpAddr>), Hop> = BTreeMap::new();
    for flow in flows {
        let last = last(flow);
        for (&ttl, seen) in flow.by_ttl.iter().filter(|(ttl, _)| **ttl <= last) {
            let from = seen.from();
            let address = from.map(|(address, _)| address);
            let hop = all.entry((ttl, address)).or_insert_with(|| Hop {
                ttl,
                address,
                says: from.map(|(_, says)| says),
                ports: Vec::new(),
                sent: 0,
                answered: 0,
                shortest_ns: 0,
            });
            hop.ports.push(flow.port);
            hop.sent += seen.sent;
            hop.answered += seen.replies.len() as u32;
            if let Some(shortest) = seen.shortest_ns() {
                hop.shortest_ns = match hop.shortest_ns {
                    0 => shortest,
                    before => before.min(shortest),
                };
            }
        }
    }
    all.into_values().collect()
}

/// The flows that fare worse than the others, and the others: those that get nothing back, or else
/// those that are slow.
fn sides(flows: &[Flow]) -> (Vec<&Flow>, Vec<&Flow>) {
    let is_dead = |flow: &&Flow| flow.end().is_none();
    let (dead, alive): (Vec<&Flow>, Vec<&Flow>) = flows.iter().partition(is_dead);
    if alive.is_empty() {
        return (Vec::new(), dead);
    }
    if !dead.is_empty() {
        return (dead, alive);
    }
    let best = alive.iter().filter_map(|it| it.end_ns()).min().unwrap_or(0);
    let is_slow = |flow: &&Flow| {
        let end = flow.end_ns().unwrap_or(0);
        end >= TIMES * best && end >= best + MATTERS_NS
    };
    alive.into_iter().partition(is_slow)
}

/// Routers that one side goes by, and the other does not.
fn only(bad: &[&Flow], good: &[&Flow]) -> Vec<IpAddr> {
    let routers = |flows: &[&Flow]| -> Vec<IpAddr> {
        let seen = flows.iter().flat_map(|it| it.by_ttl.values());
        let replies = seen.flat_map(|it| &it.replies);
        let expired = replies.filter(|it| it.says == Says::Expired);
        let mut all: Vec<IpAddr> = expired.map(|it| it.from).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    if good.is_empty() {
        return Vec::new();
    }
    let others = routers(good);
    let mut only = routers(bad);
    only.retain(|it| !others.contains(it));
    only
}

/// All probes of some flows to one distance.
struct Stop {
    ttl: u8,
    address: Option<IpAddr>,
    sent: u32,
    answered: u32,
    shortest_ns: Option<u64>,
}

impl Stop {
    fn place(&self) -> Option<(u8, IpAddr)> {
        Some((self.ttl, self.address?))
    }
}

/// The way of some flows: beyond its end, of those that are longer, nothing.
fn stops(flows: &[&Flow]) -> Vec<Stop> {
    let mut stops: BTreeMap<u8, Stop> = BTreeMap::new();
    for flow in flows {
        for (&ttl, seen) in &flow.by_ttl {
            let stop = stops.entry(ttl).or_insert(Stop {
                ttl,
                address: None,
                sent: 0,
                answered: 0,
                shortest_ns: None,
            });
            stop.address = stop.address.or(seen.from().map(|(address, _)| address));
            stop.sent += seen.sent;
            stop.answered += seen.replies.len() as u32;
            let times = [stop.shortest_ns, seen.shortest_ns()];
            stop.shortest_ns = times.into_iter().flatten().min();
        }
    }
    stops.into_values().collect()
}

fn trouble(flows: &[&Flow], good: &[&Flow]) -> Trouble {
    let stops = stops(flows);
    let last = stops.iter().rfind(|it| it.answered > 0);
    let Some(end_ns) = flows.iter().filter_map(|it| it.end_ns()).min() else {
        if let Some((ttl, address, code)) = flows.iter().find_map(|it| it.unreachable()) {
            return Trouble::Unreachable {
                by: (ttl, address),
                code,
            };
        }
        let last = last.and_then(Stop::place);
        return match (last, good.is_empty()) {
            (None, true) => Trouble::Nobody,
            (last, true) => Trouble::Silent { last },
            (after, false) => Trouble::Dead {
                at: Between {
                    after,
                    before: None,
                },
            },
        };
    };
    if let Some(lossy) = lossy(flows, &stops) {
        return lossy;
    }
    let good_ns = good.iter().filter_map(|it| it.end_ns()).min();
    slow(&stops, end_ns, good_ns).unwrap_or(Trouble::None { end_ns })
}

fn lossy(flows: &[&Flow], stops: &[Stop]) -> Option<Trouble> {
    let ends: Vec<&Seen> = flows.iter().filter_map(|it| it.end()).collect();
    let sent: u32 = ends.iter().map(|it| it.sent).sum();
    let answered: u32 = ends.iter().map(|it| it.replies.len() as u32).sum();
    let lost = sent - answered.min(sent);
    if lost < LOST || f64::from(lost) < LOST_SHARE * f64::from(sent) {
        return None;
    }
    // A place loses no more than the best one from there on.
    let is_fine = |at: usize| {
        let share = |it: &Stop| f64::from(it.answered) / f64::from(it.sent.max(1));
        stops[at..]
            .iter()
            .map(share)
            .any(|it| it > 1.0 - LOST_SHARE)
    };
    let first = (0..stops.len()).find(|&at| !is_fine(at)).unwrap_or(0);
    Some(Trouble::Lossy {
        at: between(stops, first),
        answered,
        sent,
    })
}

/// The largest step, where it is most of the round trip.
fn slow(stops: &[Stop], end_ns: u64, good_ns: Option<u64>) -> Option<Trouble> {
    let at_least = |at: usize| stops[at..].iter().filter_map(|it| it.shortest_ns).min();
    let mut largest: Option<(usize, u64)> = None;
    let mut before = 0;
    for (at, stop) in stops.iter().enumerate() {
        if stop.answered == 0 {
            continue;
        }
        let Some(least) = at_least(at) else { continue };
        let more = least.saturating_sub(before);
        if largest.is_none_or(|(_, it)| more > it) {
            largest = Some((at, more));
        }
        before = least;
    }
    let (at, more_ns) = largest?;
    let is_most = more_ns >= MATTERS_NS && 2 * more_ns >= end_ns;
    is_most.then(|| Trouble::Slow {
        at: between(stops, at),
        more_ns,
        end_ns,
        good_ns,
    })
}

/// Between the last that answers before a place, and it.
fn between(stops: &[Stop], at: usize) -> Between {
    let answers = |it: &&Stop| it.answered > 0;
    Between {
        after: stops[..at].iter().rfind(answers).and_then(Stop::place),
        before: stops[at..].iter().find(answers).and_then(Stop::place),
    }
}

#[cfg(test)]
mod tests;
