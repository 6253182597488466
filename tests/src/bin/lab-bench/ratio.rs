//! Medians with their intervals, and the bars that they are held against.

use std::fmt;

use serde_json::{Value, json};

use crate::path::rounded;

/// A median of paired measurements with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// From measurements that are alike, by order statistics: between the ranks that a binomial
    /// variable of a fair coin leaves out by 2.5 % on each side (Conover, *Practical Nonparametric
    /// Statistics*, 3.2).
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        assert!(count > 0, "an estimate has at least one measurement");
        let below = rank_below(count);
        Self {
            median: f64::midpoint(values[(count - 1) / 2], values[count / 2]),
            low: values[below],
            high: values[count - 1 - below],
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "median": rounded(self.median),
            "low": rounded(self.low),
            "high": rounded(self.high),
        })
    }
}

/// The largest rank, from 0, whose value is below the median in at least 97.5 % of samples; 0 for
/// samples that are too small for that.
fn rank_below(count: usize) -> usize {
    let mut probability = 0.5f64.powf(count as f64);
    let mut sum = probability;
    let mut rank = 0;
    while rank < count / 2 {
        probability *= (count - rank) as f64 / (rank + 1) as f64;
        sum += probability;
        if sum > 0.025 {
            break;
        }
        rank += 1;
    }
    rank
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure and what it has to be.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) limit: Limit,
    pub(crate) estimate: Estimate,
}

impl Bar {
    /// Missed only if the whole interval is on the wrong side.
    pub(crate) fn is_missed(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.estimate.low > limit,
            Limit::AtLeast(limit) => self.estimate.high < limit,
        }
    }

    fn is_certain(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.estimate.high <= limit,
            Limit::AtLeast(limit) => self.estimate.low >= limit,
        }
    }

    fn verdict(&self) -> &'static str {
        if self.is_missed() {
            "missed"
        } else if self.is_certain() {
            "holds"
        } else {
            "not missed: its interval spans the bar"
        }
    }

    pub(crate) fn json(&self) -> Value {
        let (at_most, at_least) = match self.limit {
            Limit::AtMost(limit) => (Some(limit), None),
            Limit::AtLeast(limit) => (None, Some(limit)),
        };
        json!({
            "name": self.name,
            "at_most": at_most,
            "at_least": at_least,
            "estimate": self.estimate.json(),
            "verdict": self.verdict(),
        })
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { median, low, high } = self.estimate;
        let (sign, limit) = match self.limit {
            Limit::AtMost(limit) => ("≤", limit),
            Limit::AtLeast(limit) => ("≥", limit),
        };
        write!(
            f,
            "{:<52} {sign} {limit:<5} {median:>8.3} ({low:.3} to {high:.3})  {}",
            self.name,
            self.verdict()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_leaves_out_what_chance_would() {
        // The ranks of the usual tables, counted from 0.
        for (count, rank) in [(5, 0), (6, 0), (9, 1), (20, 5), (30, 9), (50, 17)] {
            assert_eq!(rank_below(count), rank, "{count}");
        }
    }

    #[test]
    fn a_bar_is_missed_only_by_the_whole_interval() {
        let estimate = Estimate::of((0..30).map(f64::from).collect());
        assert!((estimate.median - 14.5).abs() < 1e-9);
        let bar = |limit| Bar {
            name: "test",
            limit,
            estimate,
        };
        assert!(!bar(Limit::AtMost(9.0)).is_missed());
        assert!(bar(Limit::AtMost(8.9)).is_missed());
        assert!(bar(Limit::AtLeast(20.1)).is_missed());
        assert_eq!(bar(Limit::AtLeast(9.0)).verdict(), "holds");
    }
}
