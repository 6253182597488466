//! The hops of two ways, side by side where they are the same.

use crate::model::{Hop, Step};

/// Something before, after, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair<T> {
    Before(T),
    After(T),
    Both(T, T),
}

impl<T> Pair<T> {
    pub(super) fn before(&self) -> Option<&T> {
        match self {
            Self::Before(it) | Self::Both(it, _) => Some(it),
            Self::After(_) => None,
        }
    }

    pub(super) fn after(&self) -> Option<&T> {
        match self {
            Self::After(it) | Self::Both(_, it) => Some(it),
            Self::Before(_) => None,
        }
    }

    /// The later one, if there is one.
    pub(super) fn any(&self) -> &T {
        match self {
            Self::Before(it) | Self::After(it) | Self::Both(_, it) => it,
        }
    }

    pub(super) fn map<'a, U>(&'a self, convert: impl Fn(&'a T) -> U) -> Pair<U> {
        match self {
            Self::Before(it) => Pair::Before(convert(it)),
            Self::After(it) => Pair::After(convert(it)),
            Self::Both(one, other) => Pair::Both(convert(one), convert(other)),
        }
    }
}

/// The two ways' hops, in pairs where they have them in common and the others between them.
///
/// It is the longest common subsequence; a hop by another device of the same namespace counts
/// half.
pub(super) fn steps<'a>(before: &'a [Step], after: &'a [Step]) -> Vec<Pair<&'a Step>> {
    let scores = scores(before, after);
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < before.len() || j < after.len() {
        let pair = match (before.get(i), after.get(j)) {
            (Some(one), Some(other)) if is_pair(&scores, i, j, score(one, other)) => {
                Pair::Both(one, other)
            }
            (Some(one), Some(_)) if scores[i + 1][j] >= scores[i][j + 1] => Pair::Before(one),
            (_, Some(other)) => Pair::After(other),
            (Some(one), None) => Pair::Before(one),
            (None, None) => break,
        };
        i += usize::from(pair.before().is_some());
        j += usize::from(pair.after().is_some());
        pairs.push(pair);
    }
    pairs
}

/// Whether nothing better can be done with two hops than to pair them.
fn is_pair(scores: &[Vec<usize>], i: usize, j: usize, score: usize) -> bool {
    score > 0 && scores[i][j] == scores[i + 1][j + 1] + score
}

/// For each pair of ends, how much the rest of both has in common.
fn scores(before: &[Step], after: &[Step]) -> Vec<Vec<usize>> {
    let mut scores = vec![vec![0; after.len() + 1]; before.len() + 1];
    for (i, one) in before.iter().enumerate().rev() {
        for (j, other) in after.iter().enumerate().rev() {
            let apart = scores[i + 1][j].max(scores[i][j + 1]);
            let together = scores[i + 1][j + 1] + score(one, other);
            scores[i][j] = apart.max(together);
        }
    }
    scores
}

/// How much two hops are the same, but for the numbers that the kernel gives and the next hop.
fn score(one: &Step, other: &Step) -> usize {
    let same_stage = one.hop.stage == other.hop.stage;
    let same_namespace = one.hop.namespace.name == other.hop.namespace.name;
    match same_stage && same_namespace {
        true if same_device(&one.hop, &other.hop) => 2,
        true => 1,
        false => 0,
    }
}

/// Whether two hops, of one report or of two, are at the same device.
pub(super) fn same_device(one: &Hop, other: &Hop) -> bool {
    one.namespace.name == other.namespace.name && one.device == other.device
}
