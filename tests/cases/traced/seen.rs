//! What the tracer saw of a piece of work, and how a route is found in it.

use std::fmt::Write;
use std::num::NonZeroU8;

use tracer::model::hop::Stage;
use tracer::model::{Reading, Report, Route, Service};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

/// Traces while some work is done.
pub(crate) fn trace<T>(settings: &Settings, work: impl FnOnce() -> T) -> (T, Report) {
    let live = Live::open(settings).unwrap();
    let done = work();
    let reading = Box::new(live).finish().unwrap();
    (done, Report::from_reading(&reading))
}

/// The same, with the reading that the report was made of.
pub(crate) fn trace_all<T>(settings: &Settings, work: impl FnOnce() -> T) -> (T, Reading, Report) {
    let live = Live::open(settings).unwrap();
    let done = work();
    let reading = Box::new(live).finish().unwrap();
    let report = Report::from_reading(&reading);
    (done, reading, report)
}

/// At each node: what came and what was born goes on, or ended there.
pub(crate) fn check_balance(reading: &Reading) {
    let left = reading.went_on();
    for (node, left) in reading.nodes.iter().zip(left) {
        if node.hop.stage != Stage::Read {
            let (came, gone) = (node.packets + node.born, left + node.ends.sum());
            assert_eq!(
                came, gone,
                "{:?}: {left} went on, {:?}",
                node.hop, node.ends
            );
        }
    }
}

/// Only what goes from or to the lab's networks.
pub(crate) fn all_of_the_lab() -> Settings {
    let mut settings = Settings {
        timed_one_in: NonZeroU8::MIN,
        ..Settings::default()
    };
    settings.filter.prefix = Some("10.0.0.0/8".parse().unwrap());
    settings
}

/// Only what goes to or from a port: the machine's other packets are none of ours. Each packet is
/// timed, so that histograms can be compared packet by packet.
pub(crate) fn port(port: u16) -> Settings {
    let mut settings = Settings {
        timed_one_in: NonZeroU8::MIN,
        ..Settings::default()
    };
    settings.filter.port = Some(port);
    settings
}

/// The routes of requests to a port, the busiest first.
pub(crate) fn requests(report: &Report, port: u16) -> Vec<&Route> {
    routes(report, Service::Destination(port))
}

/// The routes of answers from a port, the busiest first.
pub(crate) fn answers(report: &Report, port: u16) -> Vec<&Route> {
    routes(report, Service::Source(port))
}

fn routes(report: &Report, service: Service) -> Vec<&Route> {
    report
        .routes
        .iter()
        .filter(|route| route.class.service == Some(service))
        .collect()
}

/// A route as a person would tell it, for when an assertion fails.
pub(crate) fn tell(route: &Route) -> String {
    let mut text = format!(
        "{} -> {}: {} packets",
        route.class.source, route.class.destination, route.packets
    );
    for step in &route.steps {
        let hop = &step.hop;
        let _ = write!(
            text,
            "\n  {} {} {}: {} packets, {} bytes, {} born, {:?}",
            hop.namespace.name,
            hop.device,
            hop.stage.name(),
            step.packets,
            step.bytes,
            step.born,
            step.ends
        );
    }
    text
}

/// All that was lost anywhere, in words; empty when nothing was.
pub(crate) fn losses(report: &Report) -> String {
    let lost = report.losses.iter().filter(|(_, count)| **count > 0);
    let words: Vec<_> = lost
        .map(|(reason, count)| format!("{reason}: {count}"))
        .collect();
    words.join(", ")
}
