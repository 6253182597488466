//! Latencies before and after in columns, with their factor.

use super::align::Pair;
use crate::model::{Histogram, Step};
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::{picture, units};

/// The quantiles that are compared.
const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];
const LATENCY_COLUMNS: usize = 7;
const FACTOR_COLUMNS: usize = 8;
const PICTURE_COLUMNS: usize = 16;
const BETWEEN: &str = "  ";
const MARK: &str = " ◀";

/// A segment, or the whole way, before and after.
pub(super) struct Line<'a> {
    pub(super) branch: &'static str,
    pub(super) name: &'a str,
    pub(super) pair: Pair<&'a Histogram>,
}

impl<'a> Line<'a> {
    /// The line of the segment that leads to a hop, if one does.
    pub(super) fn of_segment(step: &Pair<&'a Step>) -> Option<Self> {
        let segment = |step: Option<&&'a Step>| step.and_then(|step| step.segment.as_ref());
        let before = segment(step.before());
        let after = segment(step.after());
        let pair = match (before, after) {
            (Some(before), Some(after)) => Pair::Both(&before.latency, &after.latency),
            (Some(before), None) => Pair::Before(&before.latency),
            (None, Some(after)) => Pair::After(&after.latency),
            (None, None) => return None,
        };
        Some(Self {
            branch: "  │ ",
            name: &after.or(before)?.name,
            pair,
        })
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        std::ptr::eq(*self.pair.any(), *other.pair.any())
    }

    pub(super) fn mean_before(&self) -> f64 {
        mean(self.pair.before())
    }

    /// How much the mean grew; all of it where the segment is new.
    pub(super) fn growth(&self) -> f64 {
        mean(self.pair.after()) - self.mean_before()
    }
}

fn mean(latency: Option<&&Histogram>) -> f64 {
    latency.map_or(0.0, |it| it.sum_ns() as f64 / it.count().max(1) as f64)
}

/// How wide the columns are that depend on the names and the screen.
pub(super) struct Columns {
    name: usize,
    pictures: bool,
}

impl Columns {
    pub(super) fn for_lines<'a>(lines: impl Iterator<Item = &'a Line<'a>>, look: Look) -> Self {
        let name = lines
            .map(|line| 4 + fit::width(line.name))
            .max()
            .unwrap_or(4);
        let numbers = 2 * (QUANTILES.len() * LATENCY_COLUMNS + BETWEEN.len())
            + QUANTILES.len() * FACTOR_COLUMNS
            + MARK.len();
        let pictures = 2 * (BETWEEN.len() + PICTURE_COLUMNS);
        Self {
            name,
            pictures: name + numbers + pictures <= look.width,
        }
    }

    pub(super) fn heading(&self, look: Look) -> String {
        let names = |columns| -> String {
            let names = QUANTILES.iter().map(|&(name, _)| fit::right(name, columns));
            names.collect()
        };
        let side = QUANTILES.len() * LATENCY_COLUMNS;
        let mut above = fit::left("", self.name);
        let mut below = above.clone();
        for title in ["before", "after"] {
            above += BETWEEN;
            above += &fit::right(title, side);
            below += BETWEEN;
            below += &names(LATENCY_COLUMNS);
        }
        above += &fit::right("factor", QUANTILES.len() * FACTOR_COLUMNS);
        below += &names(FACTOR_COLUMNS);
        if self.pictures {
            above += "    ";
            above += &fit::left("before", PICTURE_COLUMNS);
            above += BETWEEN;
            above += "after";
        }
        look.paint(Ink::Faint, &above) + "\n" + &look.paint(Ink::Faint, &below) + "\n"
    }

    pub(super) fn line(&self, line: &Line<'_>, marked: bool, look: Look) -> String {
        let (before, after) = (line.pair.before(), line.pair.after());
        let name = format!("{}{}", line.branch, line.name);
        let mut text = fit::left(&name, self.name);
        for side in [before, after] {
            text += BETWEEN;
            for (_, q) in QUANTILES {
                let latency = units::latency_or_dash(side.and_then(|it| it.quantile_ns(q)));
                text += &fit::right(&latency, LATENCY_COLUMNS);
            }
        }
        for (_, q) in QUANTILES {
            let at = |side: Option<&&Histogram>| side.and_then(|it| it.quantile_ns(q));
            text += &fit::right(&factor(at(before), at(after)), FACTOR_COLUMNS);
        }
        text += if marked { MARK } else { "  " };
        if self.pictures {
            for side in [before, after] {
                let picture = side.map(|it| picture::distribution(it, PICTURE_COLUMNS));
                text += BETWEEN;
                text += &fit::left(&picture.unwrap_or_default(), PICTURE_COLUMNS);
            }
        }
        let ink = if marked { Ink::Slow } else { Ink::Plain };
        look.paint(ink, text.trim_end()) + "\n"
    }
}

/// How many times as long: `×1.0`, `×12`, `×4,000`; nothing where one side has nothing.
fn factor(before: Option<u64>, after: Option<u64>) -> String {
    let (Some(before), Some(after)) = (before, after) else {
        return String::new();
    };
    match after as f64 / before.max(1) as f64 {
        factor if factor < 0.995 => format!("×{factor:.2}"),
        factor if factor < 9.95 => format!("×{factor:.1}"),
        factor if factor < 1e6 => format!("×{}", units::count(factor.round() as u64)),
        factor => format!("×{factor:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Some(1_000), Some(1_000), "×1.0")]
    #[case(Some(1_000), Some(420), "×0.42")]
    #[case(Some(1_000), Some(12_300), "×12")]
    #[case(Some(1_300), Some(5_200_000), "×4,000")]
    #[case(Some(1), Some(3_000_000_000), "×3e9")]
    #[case(Some(0), Some(0), "×0.00")]
    #[case(None, Some(1), "")]
    fn factors_are_short(
        #[case] before: Option<u64>,
        #[case] after: Option<u64>,
        #[case] text: &str,
    ) {
        assert_eq!(factor(before, after), text);
    }
}
