//! The hops of two ways, side by side where they are the same.

use crate::model::Step;

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

/// The longest common subsequence of the hops in pairs, the others between them.
pub(super) fn steps<'a>(before: &'a [Step], after: &'a [Step]) -> Vec<Pair<&'a Step>> {
    let lengths = lengths(before, after);
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < before.len() || j < after.len() {
        let one = before.get(i);
        let other = after.get(j);
        let pair = match (one, other) {
            (Some(one), Some(other)) if same_hop(one, other) => Pair::Both(one, other),
            (Some(one), Some(_)) if lengths[i + 1][j] >= lengths[i][j + 1] => Pair::Before(one),
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

/// For each pair of ends, how many hops the rest of both has in common.
fn lengths(before: &[Step], after: &[Step]) -> Vec<Vec<usize>> {
    let mut lengths = vec![vec![0; after.len() + 1]; before.len() + 1];
    for (i, one) in before.iter().enumerate().rev() {
        for (j, other) in after.iter().enumerate().rev() {
            lengths[i][j] = if same_hop(one, other) {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    lengths
}

/// Whether two hops are the same but for the numbers that the kernel gives and the next hop.
fn same_hop(one: &Step, other: &Step) -> bool {
    let key = |step: &Step| {
        (
            step.hop.namespace.name.clone(),
            step.hop.device.clone(),
            step.hop.stage,
        )
    };
    key(one) == key(other)
}
