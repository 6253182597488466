//! A segment's numbers and picture in columns, or on two lines where the screen is narrow.

use crate::model::Histogram;
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::{picture, units};

/// The quantiles that are shown, and the largest latency.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
const LATENCY_COLUMNS: usize = 6;
const SHARE_COLUMNS: usize = 5;
const MARK: &str = "◀";
const BAR_COLUMNS: usize = 10;
/// From this width on there is room for bars.
const WIDE: usize = 100;

/// What is shown in a row.
pub(super) struct Row<'a> {
    /// Before the name: where the row stands in the tree.
    pub(super) branch: &'static str,
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) latency: Option<&'a Histogram>,
    pub(super) share: Option<f64>,
    pub(super) slowest: bool,
}

/// How wide each column is.
pub(super) struct Columns {
    name: usize,
    count: usize,
    bar: usize,
    picture: usize,
    narrow: bool,
}

impl Columns {
    /// Columns in which all rows fit.
    pub(super) fn for_rows<'a>(rows: impl Iterator<Item = &'a Row<'a>>, look: Look) -> Self {
        let mut columns = Self {
            name: 0,
            count: "count".len(),
            bar: if look.width >= WIDE { BAR_COLUMNS } else { 0 },
            picture: 0,
            narrow: false,
        };
        for row in rows {
            columns.name = columns
                .name
                .max(fit::width(row.branch) + fit::width(&row.name));
            columns.count = columns.count.max(units::count(row.count).len());
        }
        let numbers = columns.name
            + 1
            + columns.count
            + (QUANTILES.len() + 1) * (1 + LATENCY_COLUMNS)
            + 1
            + SHARE_COLUMNS
            + 2;
        let bar = columns.bar + usize::from(columns.bar > 0);
        let room = look.width.saturating_sub(numbers + bar + 1);
        columns.narrow = room < "min … max".chars().count();
        columns.picture = if columns.narrow {
            let taken = columns.name + 1 + columns.count + 1 + SHARE_COLUMNS + 3;
            look.width.saturating_sub(taken).clamp(8, 32)
        } else {
            room.min(32)
        };
        columns
    }

    /// What stands in which column.
    pub(super) fn heading(&self, look: Look) -> String {
        if self.narrow {
            return String::new();
        }
        let mut line = " ".repeat(self.name + 1) + &fit::right("count", self.count);
        for name in QUANTILES.iter().map(|&(name, _)| name).chain(["max"]) {
            line += " ";
            line += &fit::right(name, LATENCY_COLUMNS);
        }
        line += &fit::right("share", 1 + SHARE_COLUMNS);
        line += &" ".repeat(2 + self.bar + usize::from(self.bar > 0));
        line += " min … max";
        look.paint(Ink::Faint, line.trim_end()) + "\n"
    }

    /// A row's line, or two.
    pub(super) fn row(&self, row: &Row<'_>, look: Look) -> String {
        let (before, picture, after) = if self.narrow {
            self.two_lines(row)
        } else {
            self.one_line(row)
        };
        let ink = if row.slowest { Ink::Slow } else { Ink::Plain };
        let text = format!("{before}{picture}{after}");
        let lines = text
            .lines()
            .map(|line| look.paint(ink, line.trim_end()) + "\n");
        lines.collect()
    }

    fn one_line(&self, row: &Row<'_>) -> (String, String, String) {
        let mut line = self.start(row);
        for latency in latencies(row) {
            line += " ";
            line += &fit::right(&latency, LATENCY_COLUMNS);
        }
        line += &share(row);
        if self.bar > 0 {
            let bar = row.share.map(|share| picture::bar(share, self.bar));
            line += " ";
            line += &fit::left(&bar.unwrap_or_default(), self.bar);
        }
        line += " ";
        (line, self.picture(row), String::new())
    }

    fn two_lines(&self, row: &Row<'_>) -> (String, String, String) {
        let mut second = String::new();
        if row.latency.is_some() {
            let names = QUANTILES.iter().map(|&(name, _)| name).chain(["max"]);
            let pairs = names.zip(latencies(row));
            let pairs: Vec<String> = pairs.map(|(name, it)| format!("{name} {it}")).collect();
            second = format!("\n  {}   {}", branch_below(row.branch), pairs.join(" "));
        }
        let line = format!("{}{} ", self.start(row), share(row));
        (line, self.picture(row), second)
    }

    fn start(&self, row: &Row<'_>) -> String {
        let name = format!("{}{}", row.branch, row.name);
        let count = fit::right(&units::count(row.count), self.count);
        format!("{} {count}", fit::left(&name, self.name))
    }

    fn picture(&self, row: &Row<'_>) -> String {
        let latency = row.latency;
        latency.map_or_else(String::new, |it| picture::distribution(it, self.picture))
    }
}

/// The branch goes on beside a second line, except at the end.
fn branch_below(branch: &'static str) -> &'static str {
    match branch.trim() {
        "│" => "│",
        "┃" => "┃",
        _ => " ",
    }
}

fn latencies(row: &Row<'_>) -> Vec<String> {
    let Some(latency) = row.latency else {
        return vec![String::new(); QUANTILES.len() + 1];
    };
    QUANTILES
        .iter()
        .map(|&(_, q)| latency.quantile_ns(q))
        .chain([latency.max_ns()])
        .map(units::latency_or_dash)
        .collect()
}

fn share(row: &Row<'_>) -> String {
    let share = row.share.map(units::share).unwrap_or_default();
    let mark = if row.slowest { MARK } else { "" };
    let share = fit::right(&share, 1 + SHARE_COLUMNS);
    format!("{share} {}", fit::left(mark, 1))
}
