//! What a metric is: a name, a meaning, labels, and where its numbers come from.

use super::Page;
use super::health::Process;
use super::ledger::Labels;
use super::sparse::Sparse;

/// A metric.
pub struct Family {
    /// Its name, without the unit and what its kind adds (`_total`, `_info`).
    pub(super) stem: &'static str,
    /// Its unit as the name's end, empty where there is none.
    pub unit: &'static str,
    /// What kind of metric it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, without a full stop.
    pub help: &'static str,
    pub(super) samples: Samples,
}

/// Where a metric's numbers come from.
pub(super) enum Samples {
    /// Several series.
    Each(fn(&Page, Take<'_>)),
    /// One count.
    Count(fn(&Page) -> u64),
    /// One number.
    Number(fn(&Page) -> f64),
    /// One number that the kernel tells of the process, where it does.
    Process(fn(&Process) -> f64),
}

/// Takes one series after the other.
pub(super) type Take<'a> = &'a mut dyn FnMut(Values<'_>, Value<'_>);

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the agent lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts latencies by bucket.
    Histogram,
    /// Its labels are what it says; its value is 1.
    Info,
}

/// A series' label values.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    Plain(&'a [&'a str]),
    Interned(&'a Labels),
    /// The series of all those that found no room.
    Overflow,
}

/// A series' value.
pub(super) enum Value<'a> {
    Count(u64),
    Number(f64),
    Histogram(&'a Sparse),
}

impl Family {
    /// The metric's name as a query has it.
    pub fn name(&self) -> String {
        let unit = if self.unit.is_empty() { "" } else { "_" };
        format!("{}{unit}{}{}", self.stem, self.unit, self.ending())
    }

    /// What the metric's kind adds to its name.
    pub(super) const fn ending(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        }
    }

    /// Hands over each series: its labels that are not empty, and its value.
    pub(super) fn each(&self, page: &Page, take: &mut dyn FnMut(&Pairs<'_>, Value<'_>)) {
        let mut take = |values: Values<'_>, value: Value<'_>| {
            take(&pairs(self.labels, values), value);
        };
        match &self.samples {
            Samples::Each(each) => each(page, &mut take),
            Samples::Count(count) => take(Values::Plain(&[]), Value::Count(count(page))),
            Samples::Number(number) => take(Values::Plain(&[]), Value::Number(number(page))),
            Samples::Process(number) => {
                if let Some(process) = &page.health.process {
                    take(Values::Plain(&[]), Value::Number(number(process)));
                }
            }
        }
    }
}

/// Names of labels with their values.
pub(super) type Pairs<'a> = [(&'a str, &'a str)];

fn pairs<'a>(names: &[&'static str], values: Values<'a>) -> Vec<(&'a str, &'a str)> {
    let names = names.iter().copied();
    let mut pairs: Vec<_> = match values {
        Values::Plain(values) => names.zip(values.iter().copied()).collect(),
        Values::Interned(values) => names.zip(values.iter().map(|it| &**it)).collect(),
        Values::Overflow => vec![(OVERFLOW, "true")],
    };
    pairs.retain(|(_, value)| !value.is_empty());
    pairs
}

/// The label of the series of all those that found no room.
pub const OVERFLOW: &str = "overflow";
