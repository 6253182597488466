//! What was seen at one end of the connections, and how it is told and compared.

use std::fmt::Write;

use tracer::model::connection::{Connections, Phase};
use tracer::model::{Reading, Service};

/// The width of a bucket, as a factor.
pub(crate) const BUCKET: f64 = 1.090_507_732_665_257_7;

/// The sockets that ask.
pub(crate) fn asking(reading: &Reading) -> &Connections {
    side(reading, |service| matches!(service, Service::Source(_)))
}

/// The sockets that serve.
pub(crate) fn serving(reading: &Reading) -> &Connections {
    side(reading, |service| {
        matches!(service, Service::Destination(_))
    })
}

fn side(reading: &Reading, is_it: impl Fn(Service) -> bool) -> &Connections {
    let found = reading.connections.iter().find(|it| {
        let service = reading.classes[it.class].service;
        service.is_some_and(&is_it)
    });
    found.unwrap_or_else(|| panic!("{:?}", reading.connections))
}

/// All that was seen, as a person would tell it.
pub(crate) fn tell(connections: &Connections) -> String {
    let mut text = format!("{:?} by {:?}", connections.device, connections.next_hop);
    for (phase, times) in &connections.phases {
        let ms = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1e6;
        let _ = write!(
            text,
            "\n  {}: n {}, p50 {:.3} ms, p99 {:.3}, min {:.3}, max {:.3}",
            phase.name(),
            times.count(),
            ms(times.quantile_ns(0.5)),
            ms(times.quantile_ns(0.99)),
            ms(times.min_ns()),
            ms(times.max_ns()),
        );
    }
    let _ = write!(text, "\n  {:?}", connections.sights);
    text
}

/// The median of a phase in milliseconds, of so many values at least.
pub(crate) fn median_ms(connections: &Connections, phase: Phase, at_least: u64) -> f64 {
    let times = connections.phase(phase);
    assert!(
        times.count() >= at_least,
        "{}: {}",
        phase.name(),
        tell(connections)
    );
    times.quantile_ns(0.5).unwrap() as f64 / 1e6
}

/// Fails where two times are further apart than a bucket.
pub(crate) fn check_within_a_bucket(what: &str, found_ms: f64, truth_ms: f64) {
    let ratio = found_ms / truth_ms;
    println!("{what}: {found_ms:.3} ms, in truth {truth_ms:.3} ms: {ratio:.3}");
    assert!(
        ratio < BUCKET && ratio > 1.0 / BUCKET,
        "{what}: {found_ms} ms, in truth {truth_ms} ms"
    );
}
