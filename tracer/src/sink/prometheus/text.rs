//! The page as text, for `OpenMetrics` and for scrapers from before it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
    text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::family::{Family, Kind, Pairs, Value};
use super::{FAMILIES, Page, octaves};

/// `OpenMetrics` 1.0.
pub(super) fn open_metrics(page: &Page) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page.clone()));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("a string takes all that is written");
    out
}

/// Version 0.0.4: it describes a metric by its whole name, and knows neither units nor an end.
pub(super) fn classic(page: &Page) -> String {
    let text = open_metrics(page);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match line.strip_prefix("# ") {
            None => out.push_str(line),
            Some(comment) => match described(comment) {
                Some(comment) => {
                    out.push_str("# ");
                    out.push_str(&comment);
                }
                None => continue,
            },
        }
        out.push('\n');
    }
    out
}

/// What version 0.0.4 says where `OpenMetrics` has this comment.
fn described(comment: &str) -> Option<String> {
    let mut words = comment.splitn(3, ' ');
    let (word, name, rest) = (words.next()?, words.next()?, words.next()?);
    let family = FAMILIES.iter().find(|family| {
        let whole = family.name();
        whole.strip_suffix(family.ending()) == Some(name)
    })?;
    let rest = match (word, rest) {
        ("HELP", help) => help,
        ("TYPE", "info") => "gauge",
        ("TYPE", kind) => kind,
        _ => return None,
    };
    Some(format!("{word} {} {rest}", family.name()))
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for family in &FAMILIES {
            let unit = (!family.unit.is_empty()).then(|| Unit::Other(family.unit.to_owned()));
            let (stem, kind) = (family.stem, metric_type(family.kind));
            let encoder = encoder.encode_descriptor(stem, family.help, unit.as_ref(), kind)?;
            encode(family, self, encoder)?;
        }
        Ok(())
    }
}

fn encode(family: &Family, page: &Page, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
    let mut done = Ok(());
    family.each(page, &mut |labels, value| {
        if done.is_ok() {
            done = sample(family.kind, labels, value, &mut encoder);
        }
    });
    done
}

fn sample(
    kind: Kind,
    labels: &Pairs<'_>,
    value: Value<'_>,
    encoder: &mut MetricEncoder,
) -> Result<(), fmt::Error> {
    let labels = LabelSet(labels);
    if kind == Kind::Info {
        return encoder.encode_info(&labels);
    }
    // No labels at all are no braces either.
    if labels.0.is_empty() {
        return write(kind, value, encoder);
    }
    write(kind, value, &mut encoder.encode_family(&labels)?)
}

fn write(kind: Kind, value: Value<'_>, encoder: &mut MetricEncoder) -> Result<(), fmt::Error> {
    match (kind, value) {
        (Kind::Gauge | Kind::Info, Value::Count(n)) => encoder.encode_gauge(&n),
        (Kind::Gauge | Kind::Info, Value::Number(number)) => encoder.encode_gauge(&number),
        (_, Value::Count(n)) => encoder.encode_counter::<NoLabelSet, _, u64>(&n, None),
        (_, Value::Number(number)) => encoder.encode_counter::<NoLabelSet, _, u64>(&number, None),
        (_, Value::Histogram(histogram)) => encoder.encode_histogram::<NoLabelSet>(
            histogram.sum_s(),
            histogram.count(),
            &octaves::classic(histogram),
            None,
        ),
    }
}

const fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
    }
}

struct LabelSet<'a>(&'a Pairs<'a>);

impl EncodeLabelSet for LabelSet<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), fmt::Error> {
        for pair in self.0 {
            pair.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
