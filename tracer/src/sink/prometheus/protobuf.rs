//! The page as Prometheus's protobuf messages, each after its length.
//!
//! prometheus-client has this form too, and keeps the whole page as a tree of messages before it
//! writes it. Here one series at a time is a message, so that a page takes its own length.

use prost::Message;
use prost::encoding::encode_varint;

use super::family::{Family, Kind, Pairs, Value};
use super::sparse::Sparse;
use super::{FAMILIES, Page, octaves};

/// All families, one after the other.
pub(super) fn delimited(page: &Page) -> Vec<u8> {
    let mut out = Vec::new();
    for family in &FAMILIES {
        let start = out.len();
        head(family).encode(&mut out).expect(GROWS);
        family.each(page, &mut |labels, value| {
            prost::encoding::message::encode(
                METRIC,
                &metric(family.kind, labels, &value),
                &mut out,
            );
        });
        let mut length = Vec::new();
        encode_varint((out.len() - start) as u64, &mut length);
        out.splice(start..start, length);
    }
    out
}

const GROWS: &str = "a vector grows as it is written to";

/// The number of the field of a family that holds its metrics.
const METRIC: u32 = 4;

/// `io.prometheus.client.MetricFamily` of
/// <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>,
/// without its metrics, which follow it.
#[derive(Message)]
struct Head {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<NativeHistogram>,
}

#[derive(Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A gauge's or a counter's.
#[derive(Message)]
pub(super) struct Number {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
}

#[derive(Message)]
pub(super) struct NativeHistogram {
    #[prost(uint64, tag = "1")]
    pub(super) sample_count: u64,
    #[prost(double, tag = "2")]
    pub(super) sample_sum: f64,
    #[prost(sint32, tag = "5")]
    pub(super) schema: i32,
    #[prost(double, tag = "6")]
    pub(super) zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub(super) zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    pub(super) positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub(super) positive_delta: Vec<i64>,
}

#[derive(Message)]
pub(super) struct Span {
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}

fn head(family: &Family) -> Head {
    Head {
        name: family.name(),
        help: format!("{}.", family.help),
        kind: match family.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info => 1,
            Kind::Histogram => 4,
        },
        unit: family.unit.to_owned(),
    }
}

fn metric(kind: Kind, labels: &Pairs<'_>, value: &Value<'_>) -> Metric {
    let label = |&(name, value): &(&str, &str)| Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut metric = Metric {
        label: labels.iter().map(label).collect(),
        ..Metric::default()
    };
    let number = match value {
        Value::Count(n) => *n as f64,
        Value::Number(number) => *number,
        Value::Histogram(histogram) => {
            metric.histogram = Some(native(histogram));
            return metric;
        }
    };
    let place = match kind {
        Kind::Counter => &mut metric.counter,
        _ => &mut metric.gauge,
    };
    *place = Some(Number { value: number });
    metric
}

fn native(histogram: &Sparse) -> NativeHistogram {
    let octaves::Native { spans, deltas } = octaves::Native::of(histogram);
    let span = |(offset, length)| Span { offset, length };
    NativeHistogram {
        sample_count: histogram.count(),
        sample_sum: histogram.sum_s(),
        schema: octaves::SCHEMA,
        zero_threshold: octaves::zero_threshold(),
        zero_count: histogram.get(0),
        positive_span: spans.into_iter().map(span).collect(),
        positive_delta: deltas,
    }
}
