//! Some connections of a dependency unlike the others: a way behind the next hop that only some take.

use super::group::Group;
use super::window::Window;
use crate::detect::siblings::{Comparison, Sibling, compare};
use crate::model::connection::Connection;
use crate::model::verdict::{SomeConnections, Timed};
use crate::model::{Histogram, Report, Tuple};

/// Of so few a part is no part.
const FEWEST: usize = 6;

/// Connections do different work, so that small differences are nothing.
const MATTERS_NS: u64 = 5_000_000;

/// Connections that are slower than the others, or lose more, and stay so.
pub(super) fn odd(group: &Group<'_>, window: &Window) -> Option<SomeConnections> {
    let sample = &group.seen().sample;
    let judged: Vec<Sibling> = sample
        .iter()
        .map(|it| Sibling {
            kind: 1,
            early: in_half(group, &window.early, it.tuple),
            late: in_half(group, &window.late, it.tuple),
            mishaps: it.retransmits.into(),
            changed: false,
        })
        .collect();
    let Comparison::Bad(contrast) = compare(&judged) else {
        return None;
    };
    let side = |is_bad: bool| {
        let mut times = Histogram::default();
        let which = sample.iter().enumerate();
        let which = which.filter(|(at, _)| contrast.bad.contains(at) == is_bad);
        which.for_each(|(_, it)| times.merge(&trips(it)));
        Timed::of(&times)
    };
    let (worse, rest) = (side(true)?, side(false)?);
    let is_much = worse.p50_ns.saturating_sub(rest.p50_ns) >= MATTERS_NS;
    (contrast.of >= FEWEST && is_much).then_some(SomeConnections {
        bad: contrast.bad.len() as u64,
        of: contrast.of as u64,
        ways: contrast.ways,
        worse,
        rest,
    })
}

/// A connection's round trips in a half of the window.
fn in_half(group: &Group<'_>, half: &Report, tuple: Tuple) -> Histogram {
    let sockets = group.sockets.same(&half.sockets);
    let mut sample = sockets.iter().flat_map(|it| &it.seen.sample);
    let same = sample.find(|it| it.tuple == tuple);
    same.map_or_else(Histogram::default, trips)
}

/// Of single connections only the mean is known.
fn trips(connection: &Connection) -> Histogram {
    let mut times = Histogram::default();
    times.record_n(connection.rtt_mean_ns, connection.rtts.into());
    times
}
