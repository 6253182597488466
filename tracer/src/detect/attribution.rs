//! Which hop holds how much of a shift?
//!
//! Means add along a route, quantiles do not, so hops are compared by how much their mean latency
//! grew. Both means are winsorised, or one packet of a minute would decide.

use super::baseline::Moments;

/// What one hop has to explain at least to be named.
pub(super) const HOLDS_MOST: f64 = 0.6;

/// A growth is believed from so many of its errors on; beside a surer one, from this part of it,
/// which beyond so many errors no longer counts.
const SURE: f64 = 2.5;
const BESIDE_SUREST: f64 = 0.35;
const SURE_ENOUGH: f64 = 20.0;

/// The same of a hop right behind one that grew: a tiny hop that waits for a big one is surer of its
/// growth than the big one.
const SURE_ENOUGH_BEHIND: f64 = 12.0;

/// Who waits grows less than who is waited for, give or take what a mean of seconds wanders: the
/// last hop of a row that grew this part of the most is the one.
const LAST: f64 = 0.45;

/// The mean latency of one hop, usual and now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// Usual.
    pub before: Moments,
    /// Now.
    pub now: Moments,
    /// How much the mean of a minute wanders when nothing is wrong, relative (standard deviation).
    pub restless: f64,
}

impl Growth {
    /// By how much the mean grew, in ns; negative when it shrank.
    pub fn by_ns(&self) -> f64 {
        if self.before.packets > 0.0 && self.now.packets > 0.0 {
            self.now.mean_ns - self.before.mean_ns
        } else {
            0.0
        }
    }

    /// The same in units of its error.
    pub fn sureness(&self) -> f64 {
        let sampling = |moments: &Moments| moments.variance / moments.packets.max(1.0);
        let wander = self.restless * self.before.mean_ns;
        let error = (sampling(&self.before) + sampling(&self.now) + wander * wander).sqrt();
        if error > 0.0 {
            self.by_ns() / error
        } else {
            0.0
        }
    }
}

/// Who holds the shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// One hop; the hops before it may wait for it.
    Hop(usize),
    /// Two or more hops without a common cause in the route's order.
    Several,
    /// None of the measured hops explains enough.
    Outside,
}

/// How a shift divides over the hops of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The part of each hop.
    pub shares: Vec<f64>,
    /// The part outside the measured hops; with the hops' shares it sums to one.
    pub outside: f64,
    /// Who is to blame.
    pub culprit: Culprit,
}

/// Divides the growth of a whole route (or of the round trip) over its hops, in the packets' order.
///
/// Without a measured whole, the whole is the sum of the hops.
pub fn attribute(hops: &[Growth], whole_ns: Option<f64>) -> Attribution {
    let surest = hops.iter().map(Growth::sureness).fold(0.0, f64::max);
    let mut grown: Vec<f64> = Vec::with_capacity(hops.len());
    for hop in hops {
        let behind_one = grown.last().is_some_and(|ns| *ns > 0.0);
        let enough = if behind_one {
            SURE_ENOUGH_BEHIND
        } else {
            SURE_ENOUGH
        };
        let sure = hop.sureness() >= SURE.max(BESIDE_SUREST * surest.min(enough));
        grown.push(if sure { hop.by_ns().max(0.0) } else { 0.0 });
    }
    let inside: f64 = grown.iter().sum();
    let whole = whole_ns.unwrap_or(inside).max(inside);
    if whole.is_nan() || whole <= 0.0 {
        return Attribution {
            shares: vec![0.0; hops.len()],
            outside: 1.0,
            culprit: Culprit::Outside,
        };
    }
    let shares: Vec<f64> = grown.iter().map(|ns| ns / whole).collect();
    Attribution {
        culprit: culprit(&shares),
        outside: (whole - inside) / whole,
        shares,
    }
}

fn culprit(shares: &[f64]) -> Culprit {
    let Some((hop, &most)) = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else {
        return Culprit::Outside;
    };
    let row = shares[hop..].iter().take_while(|share| **share > 0.0);
    let last = row
        .enumerate()
        .filter(|(_, share)| **share >= LAST * most)
        .last();
    let hop = hop + last.map_or(0, |(behind, _)| behind);
    // Hops that wait for a slow one lie right before it.
    let waiting: f64 = shares[..hop]
        .iter()
        .rev()
        .take_while(|share| **share > 0.0)
        .sum();
    if shares[hop] + waiting >= HOLDS_MOST {
        Culprit::Hop(hop)
    } else if shares.iter().sum::<f64>() >= HOLDS_MOST {
        Culprit::Several
    } else {
        Culprit::Outside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(before_ns: f64, now_ns: f64) -> Growth {
        let of = |mean_ns: f64| Moments {
            packets: 1_000.0,
            mean_ns,
            variance: (0.3 * mean_ns).powi(2),
        };
        Growth {
            before: of(before_ns),
            now: of(now_ns),
            restless: 0.05,
        }
    }

    #[track_caller]
    fn check(hops: &[Growth], whole_ns: Option<f64>, culprit: Culprit) {
        let found = attribute(hops, whole_ns);
        assert_eq!(found.culprit, culprit, "{found:?}");
        let sum = found.outside + found.shares.iter().sum::<f64>();
        assert!((sum - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn the_hop_that_grew_is_named_and_the_shares_sum_to_one() {
        let quiet = growth(1e6, 1.01e6);
        check(&[quiet, growth(50e3, 150e3), quiet], None, Culprit::Hop(1));
        check(
            &[growth(1e6, 1.5e6), growth(1e6, 2e6), quiet],
            None,
            Culprit::Hop(1),
        );
        check(
            &[quiet, growth(50e3, 150e3), quiet],
            Some(1e6),
            Culprit::Outside,
        );
        check(&[quiet, quiet], Some(1e6), Culprit::Outside);
        check(
            &[growth(1e6, 2e6), quiet, growth(1e6, 2e6)],
            None,
            Culprit::Several,
        );
        check(&[], None, Culprit::Outside);
    }

    #[test]
    fn who_waits_lies_before_the_hop_that_is_named() {
        let quiet = growth(1e6, 1.01e6);
        // The hop before grew more in its noise, and the one behind is the one that all wait for.
        check(
            &[quiet, growth(1e6, 3.1e6), growth(1e6, 3e6), quiet],
            None,
            Culprit::Hop(2),
        );
        // What grew far less is no cause of the rest.
        check(
            &[quiet, growth(1e6, 3e6), growth(1e6, 1.5e6), quiet],
            None,
            Culprit::Hop(1),
        );
    }

    #[test]
    fn a_restless_hop_is_not_blamed_for_its_mood() {
        let moody = Growth {
            restless: 0.1,
            ..growth(20e6, 21e6)
        };
        check(&[moody, growth(50e3, 150e3)], None, Culprit::Hop(1));
    }
}
