//! Some connections of a dependency unlike the others: a way behind the next hop that only some take.

use super::group::Group;
use super::window::Window;
use crate::detect::siblings::{Comparison, Sibling, compare, ways};
use crate::model::connection::Connection;
use crate::model::verdict::{Share, SomeConnections, Timed};
use crate::model::{Histogram, Report, Tuple};

/// Of so few a part is no part.
const FEWEST: usize = 6;

/// Connections do different work, so that small differences are nothing.
const MATTERS_NS: u64 = 5_000_000;

/// Round trips that a connection needs to be compared by what it loses.
const ENOUGH: u32 = 20;

/// Segments that those that lose sent again, each, in the mean: as many come together by chance where
/// all lose alike, but not beside others that lose nothing.
const LOST_EACH: f64 = 4.0;

/// So many times what the others lose.
const LOSS_TIMES: f64 = 5.0;

/// Connections that lose more than the others, or are slower, and stay so.
pub(super) fn odd(group: &Group<'_>, window: &Window) -> Option<SomeConnections> {
    let sample = &group.seen().sample;
    if let Some((judged, bad)) = losing(group, window) {
        return told(group, &judged, &bad, true);
    }
    let siblings: Vec<Sibling> = sample
        .iter()
        .map(|it| Sibling {
            kind: 1,
            early: in_half(group, &window.early, it.tuple).map_or_else(Histogram::default, trips),
            late: in_half(group, &window.late, it.tuple).map_or_else(Histogram::default, trips),
            mishaps: 0,
            changed: false,
        })
        .collect();
    let Comparison::Bad(contrast) = compare(&siblings) else {
        return None;
    };
    let judged: Vec<&Connection> = contrast.among.iter().map(|&at| &sample[at]).collect();
    let bad: Vec<Tuple> = contrast.bad.iter().map(|&at| sample[at].tuple).collect();
    let some = told(group, &judged, &bad, false)?;
    let is_much = some.worse.p50_ns.saturating_sub(some.rest.p50_ns) >= MATTERS_NS;
    is_much.then_some(some)
}

/// Connections in two groups by what they lose: those that were compared, and the bad ones.
///
/// One connection against all others, as siblings are compared, does not find them: a third of all
/// that loses is no more than three times what the rest, in which the others of that third are,
/// loses.
fn losing<'a>(group: &Group<'a>, window: &Window) -> Option<(Vec<&'a Connection>, Vec<Tuple>)> {
    let sample = group.seen().sample.iter();
    let mut judged: Vec<&Connection> = sample.filter(|it| it.rtts >= ENOUGH).collect();
    let all = judged.iter().map(|it| it.retransmits).sum::<u32>();
    if judged.len() < FEWEST || f64::from(all) < 2.0 * LOST_EACH {
        return None;
    }
    let rate = |it: &Connection| f64::from(it.retransmits) / f64::from(it.rtts);
    judged.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    let at = likeliest_split(&judged)?;
    let (bad, good) = judged.split_at(at);
    if bad.len() > good.len() {
        return None;
    }
    let each = f64::from(bad.iter().map(|it| it.retransmits).sum::<u32>()) / bad.len() as f64;
    let lose_in = |half: &Report| {
        let side = |side: &[&Connection]| {
            let same = side
                .iter()
                .filter_map(|it| in_half(group, half, it.tuple))
                .collect::<Vec<_>>();
            lost(same.into_iter())
        };
        is_worse(side(bad), side(good))
    };
    let is_bad = each >= LOST_EACH && lose_in(&window.early) && lose_in(&window.late);
    let bad = bad.iter().map(|it| it.tuple).collect();
    is_bad.then_some((judged, bad))
}

fn is_worse(bad: Share, good: Share) -> bool {
    let good = (good.part as f64 + 0.5) / good.of.max(1) as f64;
    bad.part > 1 && bad.ratio() >= LOSS_TIMES * good
}

/// How many of the first make the likeliest of two groups, two at least, where each group loses at a
/// rate of its own (Poisson).
fn likeliest_split(judged: &[&Connection]) -> Option<usize> {
    let likelihood = |side: &[&Connection]| {
        let Share { part, of } = lost(side.iter().copied());
        match part {
            0 => 0.0,
            _ => part as f64 * (part as f64 / of as f64).ln(),
        }
    };
    (2..judged.len())
        .map(|at| (at, likelihood(&judged[..at]) + likelihood(&judged[at..])))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(at, _)| at)
}

fn told(
    group: &Group<'_>,
    judged: &[&Connection],
    bad: &[Tuple],
    by_loss: bool,
) -> Option<SomeConnections> {
    if judged.len() < FEWEST {
        return None;
    }
    let (worse, rest): (Vec<&Connection>, Vec<&Connection>) =
        judged.iter().partition(|it| bad.contains(&it.tuple));
    let times = |side: &[&Connection]| {
        let mut times = Histogram::default();
        for it in side {
            times.merge(&trips(it));
        }
        Timed::of(&times)
    };
    let ports = |side: &[&Connection]| {
        let port = |it: &&Connection| {
            if group.asks {
                it.tuple.destination_port
            } else {
                it.tuple.source_port
            }
        };
        let mut ports: Vec<u16> = side.iter().map(port).collect();
        ports.sort_unstable();
        ports
    };
    Some(SomeConnections {
        by_loss,
        bad: worse.len() as u64,
        of: judged.len() as u64,
        ways: ways(worse.len(), judged.len()),
        worse: times(&worse)?,
        rest: times(&rest)?,
        worse_lost: lost(worse.iter().copied()),
        rest_lost: lost(rest.iter().copied()),
        bad_ports: ports(&worse),
        good_ports: ports(&rest),
    })
}

/// Segments sent again, of round trips.
fn lost<'a>(side: impl Iterator<Item = &'a Connection>) -> Share {
    side.fold(Share::default(), |sum, it| Share {
        part: sum.part + u64::from(it.retransmits),
        of: sum.of + u64::from(it.rtts),
    })
}

/// A connection in a half of the window.
fn in_half<'a>(group: &Group<'_>, half: &'a Report, tuple: Tuple) -> Option<&'a Connection> {
    let sockets = group.sockets.same(&half.sockets)?;
    sockets.seen.sample.iter().find(|it| it.tuple == tuple)
}

/// Of single connections only the mean is known.
fn trips(connection: &Connection) -> Histogram {
    let mut times = Histogram::default();
    times.record_n(connection.rtt_mean_ns(), connection.rtts.into());
    times
}
