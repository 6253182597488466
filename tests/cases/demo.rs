//! The demonstration shows what it is for.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use tracer::model::class::Service;
use tracer::model::{Class, End, Histogram, Report, Route};
use tracer::source::{Source, replay::Replay};

/// What the demonstration's old road takes.
const OLD_ROAD_NS: u64 = 5_000_000;

#[test]
fn the_old_road_is_slow_and_nothing_else() {
    let folder = std::env::temp_dir().join(format!("demo-{}", std::process::id()));
    let demo = Command::new(env!("CARGO_BIN_EXE_lab-demo"))
        .args(["--seconds", "4", "--record"])
        .arg(&folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&demo.stdout);
    let errors = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{text}\n{errors}");
    assert!(text.contains("app → db tcp/5432 got slow"), "{text}");

    let [before, after] = ["before", "after"].map(|half| report(&folder, half));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(slow(&before), HashMap::new());
    let slow = slow(&after);
    let [(place, latency)] = Vec::from_iter(&slow)[..] else {
        panic!("one segment is slow: {slow:?}");
    };
    assert_eq!(place, "xmit→rx to db-r2");
    assert!(latency.min_ns() >= Some(OLD_ROAD_NS), "{latency:?}");
}

fn report(folder: &Path, half: &str) -> Report {
    let mut replay = Replay::open(&folder.join(half).with_extension("json")).unwrap();
    Report::from_reading(&replay.read().unwrap())
}

/// The segments of the requests to the database whose median is half the old road or more.
fn slow(report: &Report) -> HashMap<String, &Histogram> {
    // Other labs of the machine have the same addresses.
    let in_demo = |it: &&Route| it.steps[0].hop.namespace.name.starts_with("demo-");
    let routes = report.routes.iter().filter(in_demo);
    let mut routes = routes.filter(|it| asks_db(&it.class));
    let route = routes.next().expect("requests to the database");
    let steps = route.steps.iter().filter_map(|step| {
        let segment = step.segment.as_ref()?;
        let place = format!("{} to {}", segment.name, step.hop.device);
        Some((place, &segment.latency))
    });
    steps
        .filter(|(_, latency)| latency.quantile_ns(0.5) >= Some(OLD_ROAD_NS / 2))
        .collect()
}

fn asks_db(class: &Class) -> bool {
    class.source == End::Component("app".to_owned())
        && class.destination == End::Component("db".to_owned())
        && class.service == Some(Service::Destination(5432))
}
