//! What the tracer saw of a piece of work, and how a route is found in it.

use tracer::model::{Report, Route, Service};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

/// Traces while some work is done.
pub fn trace<T>(settings: &Settings, work: impl FnOnce() -> T) -> (T, Report) {
    let live = Live::open(settings).unwrap();
    let done = work();
    let reading = Box::new(live).finish().unwrap();
    (done, Report::from_reading(&reading))
}

/// Only what goes to or from a port: the machine's other packets are none of ours.
pub fn port(port: u16) -> Settings {
    let mut settings = Settings::default();
    settings.filter.port = Some(port);
    settings
}

/// The routes of requests to a port, the busiest first.
pub fn requests(report: &Report, port: u16) -> Vec<&Route> {
    routes(report, Service::Destination(port))
}

/// The routes of answers from a port, the busiest first.
pub fn answers(report: &Report, port: u16) -> Vec<&Route> {
    routes(report, Service::Source(port))
}

fn routes(report: &Report, service: Service) -> Vec<&Route> {
    report.routes.iter().filter(|route| route.class.service == Some(service)).collect()
}

/// A route as a person would tell it, for when an assertion fails.
pub fn tell(route: &Route) -> String {
    let mut text = format!("{} -> {}: {} packets", route.class.source, route.class.destination, route.packets);
    for step in &route.steps {
        let hop = &step.hop;
        text += &format!(
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
pub fn losses(report: &Report) -> String {
    let lost = report.losses.iter().filter(|(_, count)| **count > 0);
    lost.map(|(reason, count)| format!("{reason}: {count} ")).collect()
}
