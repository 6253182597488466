//! One way that a class's packets take, and where their time goes on it.

use std::fmt;
use std::sync::Arc;

use super::connection::Totals;
use super::forwarding::Forwarding;
use super::{Class, Ends, Histogram, Hop, Names, Tuple};

/// A class's packets on one way through its route tree, from the first hop to a leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Names the route, in each run alike.
    pub id: RouteId,
    /// Whose packets they are.
    pub class: Class,
    /// Who is behind its ends.
    pub names: Names,
    /// The route with most packets of the class of the answers.
    pub way_back: Option<RouteId>,
    /// Packets whose way ended on this route: the sum of [`Route::ends`].
    pub packets: u64,
    /// The hops in order.
    pub steps: Vec<Step>,
    /// The whole way of the packets that ended well at the last hop before any `read`.
    pub total: Histogram,
    /// What was seen at the sockets at both ends of the class, its answers included.
    pub connections: Totals,
    /// How this route's packets ended.
    pub ends: Ends,
    /// What came against what ended.
    pub balance: Balance,
}

impl Route {
    /// The segment with the largest share of the time, if any packet was timed.
    pub fn slowest(&self) -> Option<&Segment> {
        self.segments()
            .filter(|segment| segment.share > 0.0)
            .max_by(|a, b| a.share.total_cmp(&b.share))
    }

    /// The segments in order.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.steps.iter().filter_map(|step| step.segment.as_ref())
    }
}

/// A hop of a route.
///
/// Where several ways share a hop, its numbers are those of all packets that came that way: which
/// of them went on by which way is known only where the ways part.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The hop.
    pub hop: Arc<Hop>,
    /// Addresses and ports from here on, where the class's first packet was translated.
    pub translated: Option<Tuple>,
    /// How packets were handed on here, where that is known.
    pub forwarding: Option<Arc<Forwarding>>,
    /// Where the FIB entry has several legs (ECMP): this one's share of all packets that left the
    /// namespace by that entry.
    pub leg_share: Option<f64>,
    /// Packets that came here from the hop before.
    pub packets: u64,
    /// Packets that came to be here.
    pub born: u64,
    /// The payload of those that came, in bytes.
    pub bytes: u64,
    /// How many ways of the class lead through this hop.
    pub ways: usize,
    /// How packets ended at this very hop, whichever way they were on.
    pub ends: Ends,
    /// From the hop before to this one; none at the first.
    pub segment: Option<Segment>,
}

/// The way from one hop to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The stages at both ends: `queue→xmit`.
    pub name: String,
    /// The time that it took.
    pub latency: Histogram,
    /// Its mean as a share of the sum of the means of all segments of the route.
    pub share: f64,
}

/// Whether all that came is accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Packets that came.
    pub came: u64,
    /// Packets whose end is known.
    pub ended: u64,
    /// How many more came than ended; anything but 0 is an error of the tracer's.
    pub difference: i64,
}

/// A route's name: a hash of its class and hops, the same after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u64);

impl RouteId {
    /// The name of the route that a text describes.
    ///
    /// It is FNV-1a of 64 bits, <http://www.isthe.com/chongo/tech/comp/fnv/>, mixed once more as
    /// `MurmurHash3` ends, so that two routes that differ in one letter don't look alike.
    pub fn of(description: &str) -> Self {
        Self(mixed(fnv_1a(description)))
    }

    /// The name of a number that was a name's.
    pub fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// The name as a number.
    pub fn number(self) -> u64 {
        self.0
    }
}

fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

impl fmt::Display for RouteId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_before_it_is_mixed() {
        assert_eq!(fnv_1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_route_keeps_its_name_in_later_versions() {
        assert_eq!(RouteId::of("foobar").to_string(), "2c22194922d1672b");
    }
}
