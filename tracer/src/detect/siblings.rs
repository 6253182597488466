//! Is a part of the whole unlike its siblings, now?
//!
//! An agent that was installed during the outage has no past to compare with. But the legs of one
//! route, the next hops of one table, the connections of one component do the same work at the
//! same time: when most agree and some are several times slower, and each stays on its side,
//! something about those some is bad.
//!
//! Different is not bad: legs may differ in length, and their traffic in kind. So latency accuses
//! only among siblings of one kind of traffic of which a majority agrees; otherwise it takes
//! packets lost, or a contrast to the sibling's own past.

use crate::model::histogram::{Histogram, upper_bound};

/// Packets that a sibling needs in each half of the window.
const ENOUGH: u64 = 20;

/// How much slower matters: twice, in eighths of an octave.
const GAP: f64 = 8.0;

/// Siblings that agree differ by no more than this part of the gap.
const AGREE: f64 = 0.5;

/// The same for legs of one route: those to one address may differ in length, and not in their work.
const LEGS_AGREE: f64 = 0.8;

/// How much of a sibling's traffic must lie on its side of the gap, and in each half of the window.
const OWN_SIDE: f64 = 0.7;

/// So many sigmas make a loss a contrast.
const LOSS_SIGMAS: f64 = 5.0;

/// So many times the others' loss.
const LOSS_TIMES: f64 = 5.0;

/// More ways than this are not counted.
const MOST_WAYS: u32 = 8;

/// One leg, next hop, source, device or connection, and what it did in a window of time.
#[derive(Clone, Debug, Default)]
pub struct Sibling {
    /// The kind of its traffic: siblings of one kind do the same work.
    pub kind: u32,
    /// Latencies in the first half of the window.
    pub early: Histogram,
    /// Latencies in the second half.
    pub late: Histogram,
    /// Drops, retransmits and resets in the window.
    pub mishaps: u64,
    /// Whether its own past shows a change for the worse.
    pub changed: bool,
}

/// What sets the bad siblings apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Slower than a majority that does the same work.
    Slower,
    /// Loses packets that the others do not lose.
    Loses,
    /// Unlike the others, and slower than it used to be.
    SlowerThanItWas,
}

/// What the comparison says.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// Fewer than two siblings, or too few packets.
    Insufficient,
    /// They agree.
    Alike,
    /// They differ, and nothing says that this is wrong.
    Different,
    /// Some are bad.
    Bad(Contrast),
}

/// Bad siblings against the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Why they are called bad.
    pub why: Why,
    /// Which, by their index.
    pub bad: Vec<usize>,
    /// Those that were compared.
    pub among: Vec<usize>,
    /// How many that are.
    pub of: usize,
    /// Median latency of the bad and of the rest, in ns.
    pub median_ns: [u64; 2],
    /// Mishaps per packet of the bad and of the rest.
    pub mishaps: [f64; 2],
    /// Bad ways of all ways, when the siblings are spread over ways evenly: (1, 3) for 33 of 100.
    pub ways: Option<(u32, u32)>,
}

/// Compares siblings with one another.
pub fn compare(siblings: &[Sibling]) -> Comparison {
    compare_agreeing(siblings, AGREE)
}

/// Compares what one host sends to one address over the legs of a route.
pub fn compare_legs(legs: &[Sibling]) -> Comparison {
    compare_agreeing(legs, LEGS_AGREE)
}

fn compare_agreeing(siblings: &[Sibling], agree: f64) -> Comparison {
    let judged: Vec<usize> = (0..siblings.len())
        .filter(|&n| siblings[n].has_enough())
        .collect();
    if judged.len() < 2 {
        return Comparison::Insufficient;
    }
    if let Some(bad) = losing(siblings, &judged) {
        return Comparison::Bad(contrast(Why::Loses, siblings, &judged, bad));
    }
    let mut kinds: Vec<u32> = judged.iter().map(|&n| siblings[n].kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let same: Vec<usize> = judged
            .iter()
            .copied()
            .filter(|&n| siblings[n].kind == kind)
            .collect();
        if let Some(split) = Split::of(siblings, &same)
            && split.is_majority_agreed(agree)
        {
            return Comparison::Bad(contrast(Why::Slower, siblings, &same, split.slow));
        }
    }
    if Split::of(siblings, &judged).is_none() {
        return Comparison::Alike;
    }
    let worse: Vec<usize> = judged
        .iter()
        .copied()
        .filter(|&n| siblings[n].changed)
        .collect();
    if !worse.is_empty() && worse.len() < judged.len() {
        return Comparison::Bad(contrast(Why::SlowerThanItWas, siblings, &judged, worse));
    }
    Comparison::Different
}

impl Sibling {
    fn has_enough(&self) -> bool {
        self.early.count() >= ENOUGH && self.late.count() >= ENOUGH
    }

    fn packets(&self) -> u64 {
        self.early.count() + self.late.count()
    }

    fn whole(&self) -> Histogram {
        let mut whole = self.early.clone();
        whole.merge(&self.late);
        whole
    }
}

/// Siblings in two groups by the widest gap between their medians.
struct Split {
    fast: Vec<usize>,
    slow: Vec<usize>,
    fast_range: f64,
    gap: f64,
}

impl Split {
    fn of(siblings: &[Sibling], among: &[usize]) -> Option<Self> {
        let mut medians: Vec<(f64, usize)> = among
            .iter()
            .filter_map(|&n| Some((eighths(siblings[n].whole().quantile_ns(0.5)?), n)))
            .collect();
        medians.sort_by(|a, b| a.0.total_cmp(&b.0));
        let gap_after = |at: usize| medians[at + 1].0 - medians[at].0;
        let widest = (0..medians.len().checked_sub(1)?)
            .max_by(|&a, &b| gap_after(a).total_cmp(&gap_after(b)))?;
        let gap = gap_after(widest);
        let middle = medians[widest].0 + 0.5 * gap;
        let (fast, slow) = medians.split_at(widest + 1);
        let split = Self {
            fast_range: fast.last()?.0 - fast.first()?.0,
            fast: fast.iter().map(|(_, n)| *n).collect(),
            slow: slow.iter().map(|(_, n)| *n).collect(),
            gap,
        };
        let stays = |n: usize, slow: bool| {
            [&siblings[n].early, &siblings[n].late].iter().all(|half| {
                let beyond = share_beyond(half, middle);
                (if slow { beyond } else { 1.0 - beyond }) >= OWN_SIDE
            })
        };
        let all_stay = split.fast.iter().all(|&n| stays(n, false))
            && split.slow.iter().all(|&n| stays(n, true));
        (gap >= GAP && all_stay).then_some(split)
    }

    fn is_majority_agreed(&self, agree: f64) -> bool {
        self.fast.len() >= 2
            && self.fast.len() > self.slow.len()
            && self.fast_range <= agree * self.gap
    }
}

fn losing(siblings: &[Sibling], judged: &[usize]) -> Option<Vec<usize>> {
    let sum =
        |of: fn(&Sibling) -> u64| judged.iter().map(|&n| of(&siblings[n])).sum::<u64>() as f64;
    let (mishaps, packets) = (sum(|sibling| sibling.mishaps), sum(Sibling::packets));
    let bad: Vec<usize> = judged
        .iter()
        .copied()
        .filter(|&n| {
            let (mine, sent) = (siblings[n].mishaps as f64, siblings[n].packets() as f64);
            let others = (mishaps - mine + 0.5) / (packets - sent).max(1.0);
            let expected = others * sent;
            mine > LOSS_TIMES * expected && mine - expected > LOSS_SIGMAS * expected.max(1.0).sqrt()
        })
        .collect();
    (!bad.is_empty() && 2 * bad.len() <= judged.len()).then_some(bad)
}

fn contrast(why: Why, siblings: &[Sibling], among: &[usize], bad: Vec<usize>) -> Contrast {
    let mut sides = [Histogram::default(), Histogram::default()];
    let mut mishaps = [0u64; 2];
    for &n in among {
        let side = usize::from(!bad.contains(&n));
        sides[side].merge(&siblings[n].whole());
        mishaps[side] += siblings[n].mishaps;
    }
    let rate = |side: usize| mishaps[side] as f64 / sides[side].count().max(1) as f64;
    Contrast {
        why,
        of: among.len(),
        among: among.to_vec(),
        median_ns: [0, 1].map(|side| sides[side].quantile_ns(0.5).unwrap_or_default()),
        mishaps: [rate(0), rate(1)],
        ways: ways(bad.len(), among.len()),
        bad,
    }
}

/// The simplest fraction that the share of bad siblings may stand for, within 1.5 sigma.
pub(super) fn ways(bad: usize, of: usize) -> Option<(u32, u32)> {
    let (share, all) = (bad as f64 / of as f64, of as f64);
    let slack = 1.5 * (share * (1.0 - share) / all).sqrt();
    (2..=MOST_WAYS)
        .flat_map(|ways| (1..ways).map(move |bad| (bad, ways)))
        .find(|&(bad, ways)| (f64::from(bad) / f64::from(ways) - share).abs() <= slack.max(1e-9))
}

fn eighths(ns: u64) -> f64 {
    8.0 * (ns.max(1) as f64).log2()
}

fn share_beyond(histogram: &Histogram, edge: f64) -> f64 {
    let beyond: u64 = (histogram.counts().buckets())
        .filter(|(bucket, _)| eighths(upper_bound(*bucket)) > edge)
        .map(|(_, count)| count)
        .sum();
    beyond as f64 / histogram.count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sibling(kind: u32, median_ns: u64, packets: u64) -> Sibling {
        let mut half = Histogram::default();
        for n in 0..packets / 2 {
            half.record(median_ns + median_ns * (n % 10) / 20);
        }
        Sibling {
            kind,
            early: half.clone(),
            late: half,
            ..Sibling::default()
        }
    }

    #[test]
    fn a_third_of_the_connections_is_slow_and_stays_so() {
        let connections: Vec<Sibling> = (0..100)
            .map(|n| sibling(1, if n % 3 == 2 { 40_000_000 } else { 500_000 }, 60))
            .collect();
        let Comparison::Bad(contrast) = compare(&connections) else {
            panic!("not found")
        };
        assert_eq!((contrast.bad.len(), contrast.of), (33, 100));
        assert_eq!((contrast.why, contrast.ways), (Why::Slower, Some((1, 3))));
        assert!(contrast.median_ns[0] > 40_000_000 && contrast.median_ns[1] < 1_000_000);
    }

    #[test]
    fn one_bad_leg_of_three_is_found() {
        let legs = [1_000_000, 1_100_000, 5_000_000].map(|ns| sibling(1, ns, 300));
        let Comparison::Bad(contrast) = compare(&legs) else {
            panic!("not found")
        };
        assert_eq!(contrast.bad, [2]);
    }

    #[test]
    fn legs_of_different_length_and_traffic_are_different_not_bad() {
        let kinds = [(1, 1_000_000), (2, 3_000_000), (3, 9_000_000)];
        assert_eq!(
            compare(&kinds.map(|(kind, ns)| sibling(kind, ns, 300))),
            Comparison::Different
        );
        let lengths = [1_000_000, 3_000_000, 9_000_000].map(|ns| sibling(1, ns, 300));
        assert_eq!(compare(&lengths), Comparison::Different);
        assert_eq!(compare_legs(&lengths), Comparison::Different);
    }

    #[test]
    fn a_leg_may_be_slow_beside_legs_of_unlike_length() {
        let legs = [60_000, 30_000_000, 600_000].map(|ns| sibling(1, ns, 300));
        assert_eq!(compare(&legs), Comparison::Different);
        let Comparison::Bad(contrast) = compare_legs(&legs) else {
            panic!("not found")
        };
        assert_eq!((contrast.why, contrast.bad), (Why::Slower, vec![1]));
    }

    #[test]
    fn a_different_leg_is_bad_when_it_loses_or_was_better() {
        let mut legs = [(1, 1_000_000), (2, 3_000_000), (3, 9_000_000)]
            .map(|(kind, ns)| sibling(kind, ns, 300));
        legs[2].changed = true;
        assert!(matches!(
            compare(&legs),
            Comparison::Bad(Contrast {
                why: Why::SlowerThanItWas,
                ..
            })
        ));
        legs[2].changed = false;
        legs[1].mishaps = 20;
        let Comparison::Bad(contrast) = compare(&legs) else {
            panic!("not found")
        };
        assert_eq!((contrast.why, contrast.bad), (Why::Loses, vec![1]));
    }

    #[test]
    fn packets_that_change_sides_are_no_bad_sibling() {
        let mut legs = [1_000_000; 3].map(|ns| sibling(1, ns, 300));
        legs[0].late = sibling(1, 9_000_000, 600).late;
        assert!(!matches!(compare(&legs), Comparison::Bad(_)));
    }

    #[test]
    fn few_packets_say_nothing() {
        let legs = [1_000_000, 5_000_000].map(|ns| sibling(1, ns, 10));
        assert_eq!(compare(&legs), Comparison::Insufficient);
    }
}
