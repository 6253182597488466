//! Random and truncated frames on a device, beside good traffic.

use lab::topology::Line;
use lab::{Lab, NumberedUdp, Pace, inject_garbage};
use tracer::model::hop::Stage;
use tracer::model::{Parent, Reading};
use tracer::source::Settings;
use tracer::source::settings::Limits;

use super::account::{Seen, tell_all, trace_checked, unborn};
use super::seen::{all_of_the_lab, port, requests, tell};

const PORT: u16 = 9330;
const FRAMES: u64 = 100_000;
const FIRST: u64 = 100;
const COUNT: u64 = 10_000;

fn line() -> Line {
    Line::new(Lab::new("garbage").unwrap()).unwrap()
}

/// Good traffic, first alone and then beside garbage; returns how many frames the device took.
fn send_both(line: &Line, seed: u64) -> u64 {
    let from = line.app_at.v4.into();
    let good = |count| NumberedUdp {
        count,
        pace: Pace::Constant {
            per_second: 4_000.0,
        },
        ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
    };
    assert_eq!(good(FIRST).run().unwrap().received, FIRST);
    std::thread::scope(|scope| {
        let garbage = scope.spawn(|| inject_garbage(&line.app, "app0", FRAMES, seed).unwrap());
        let delivery = good(COUNT).run().unwrap();
        assert_eq!((delivery.received, delivery.duplicates), (COUNT, 0));
        garbage.join().unwrap()
    })
}

/// Each of the good packets at each of its nine hops.
fn check_good(seen: &Seen<u64>) {
    let all = FIRST + COUNT;
    let routes = requests(&seen.report, PORT);
    let route = routes[0];
    assert!(
        route.steps.iter().all(|step| step.packets == all),
        "{}",
        tell_all(routes)
    );
    assert_eq!(
        (route.steps.len(), route.packets),
        (9, all),
        "{}",
        tell(route)
    );
    assert_eq!(route.ends.delivered, all, "{}", tell(route));
    assert!(
        seen.done > FRAMES / 2,
        "the device took {} frames only",
        seen.done
    );
}

#[test]
fn garbage_that_is_not_asked_for_is_nowhere() {
    let line = line();
    let seen = trace_checked(&port(PORT), || send_both(&line, 1));
    check_good(&seen);
    assert_eq!(requests(&seen.report, PORT).len(), 1);
}

#[test]
fn garbage_that_is_traced_leaves_good_traffic_exact() {
    let line = line();
    for (seed, settings) in [(2, Settings::default()), (3, all_of_the_lab())] {
        check_good(&trace_checked(&settings, || send_both(&line, seed)));
    }
}

#[test]
fn garbage_in_larger_tables_leaves_good_traffic_exact() {
    let line = line();
    let limits = Limits {
        nodes: 1 << 17,
        classes: 1 << 16,
        cells: 1 << 18,
        ..Limits::default()
    };
    let seen = trace_checked(
        &Settings {
            limits,
            ..Settings::default()
        },
        || send_both(&line, 4),
    );
    check_good(&seen);
    println!(
        "{} classes, {} nodes",
        seen.reading.classes.len(),
        seen.reading.nodes.len()
    );
}

/// Packets that were born at a stage of a device.
fn born_at(reading: &Reading, device: &str, stage: Stage) -> u64 {
    let nodes = reading
        .nodes
        .iter()
        .filter(|node| matches!(node.parent, Parent::Class(_)));
    let here = nodes.filter(|node| node.hop.device == device && node.hop.stage == stage);
    here.map(|node| node.packets).sum()
}

#[test]
fn every_frame_is_born_or_a_named_loss() {
    let line = line();
    let mut settings = Settings::default();
    settings.filter.namespace = Some(line.app.name().to_owned());
    let counters = || line.app.counters("app0").unwrap();
    let before = counters();
    let seen = trace_checked(&settings, || send_both(&line, 5));
    let after = counters();
    let sent = after.tx_packets + after.tx_dropped - before.tx_packets - before.tx_dropped;
    let came = after.rx_packets - before.rx_packets;
    let born = born_at(&seen.reading, "app0", Stage::Queue);
    let came_born = born_at(&seen.reading, "app0", Stage::Rx);
    println!(
        "{sent} sent, {came} came, {born} and {came_born} born, {} unborn",
        unborn(&seen.reading)
    );
    assert_eq!(
        sent + came,
        born + came_born + unborn(&seen.reading),
        "{}",
        tell_all(seen.report.routes.iter().take(3))
    );
}
