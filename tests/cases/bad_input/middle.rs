//! Attached, and detached, in the middle of heavy traffic.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use lab::topology::{Line, Wired};
use lab::{Bulk, Direction, Lab, NumberedUdp, Pace, Until, WireSpec};
use tracer::model::hop::Stage;

use super::account::{Seen, tell_all, trace_checked};
use super::seen::{answers, port, requests, tell};

const PORT: u16 = 9350;

/// For how long is traced.
const PART: Duration = Duration::from_secs(1);

/// How long one batch of traffic runs; as many follow as are needed.
const BATCH: Duration = Duration::from_secs(3);

/// Packets that may be under way at one moment.
const UNDER_WAY: u64 = 2_000;

/// Traces a part of traffic that runs before and after it; also what each batch gave.
fn trace_a_part<T: Send>(batch: impl Fn() -> T + Sync) -> (Seen<()>, Vec<T>) {
    let ending = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let batches = std::iter::from_fn(|| (!ending.load(Ordering::Relaxed)).then(&batch));
            batches.collect::<Vec<_>>()
        });
        sleep(PART / 2);
        let seen = trace_checked(&port(PORT), || sleep(PART));
        ending.store(true, Ordering::Relaxed);
        (seen, traffic.join().unwrap())
    })
}

fn check_orphans(seen: &Seen<()>) {
    let orphans = seen.report.losses["orphan"];
    println!("{orphans} orphans");
    assert!(
        orphans <= UNDER_WAY,
        "{:?}: {}",
        seen.report.losses,
        tell_all(&seen.report.routes)
    );
}

#[test]
fn in_the_middle_of_a_flood() {
    let line = Line::new(Lab::new("flood").unwrap()).unwrap();
    let from: IpAddr = line.app_at.v4.into();
    let udp = NumberedUdp {
        count: 30_000 * BATCH.as_secs(),
        pace: Pace::Constant {
            per_second: 30_000.0,
        },
        ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
    };
    let (seen, deliveries) = trace_a_part(|| udp.run().unwrap());
    let routes = requests(&seen.report, PORT);
    assert_eq!(routes.len(), 1, "{}", tell_all(routes));
    let route = routes[0];
    println!("{}", tell(route));
    // What the kernel lost is not the tracer's to invent: all that was born has an end.
    assert_eq!(route.ends.delivered, route.packets, "{}", tell(route));
    assert!(route.packets > 5_000, "{}", tell(route));
    check_orphans(&seen);
    let lost: u64 = deliveries.iter().map(lab::Delivery::lost).sum();
    println!("{} batches, {lost} lost by the kernel", deliveries.len());
}

#[test]
fn in_the_middle_of_bulk_streams() {
    let line = Line::new(Lab::new("bulk").unwrap()).unwrap();
    for from in line.app_at.both() {
        let to = (&line.db, line.db_at.facing(from, PORT));
        let bulk = Bulk {
            from: (&line.app, from),
            to,
            streams: 4,
            until: Until::Elapsed(BATCH),
        };
        let (seen, _) = trace_a_part(|| bulk.run().unwrap());
        for routes in [requests(&seen.report, PORT), answers(&seen.report, PORT)] {
            assert!(routes[0].packets > 100, "{}", tell_all(routes));
            let ended: u64 = routes.iter().map(|route| route.ends.sum()).sum();
            let lost = routes
                .iter()
                .flat_map(|route| route.ends.lost.values())
                .sum::<u64>();
            let in_flight: u64 = routes.iter().map(|route| route.ends.in_flight).sum();
            println!("{ended} ended, {lost} lost, {in_flight} in flight");
            assert!(lost + in_flight <= ended / 200, "{}", tell_all(routes));
        }
        check_orphans(&seen);
    }
}

#[test]
fn no_sample_lies_below_what_the_wire_did() {
    let delay = Duration::from_millis(5);
    let wired = Wired::new(Lab::new("below").unwrap(), WireSpec::delay(delay)).unwrap();
    let from: IpAddr = wired.app_at.v4.into();
    let udp = NumberedUdp {
        count: 6_000 * BATCH.as_secs(),
        pace: Pace::Constant {
            per_second: 6_000.0,
        },
        ..NumberedUdp::new(
            (&wired.app, from),
            (&wired.db, wired.db_at.facing(from, PORT)),
        )
    };
    let (seen, _) = trace_a_part(|| udp.run().unwrap());
    let log = wired.wire.log();
    let forth = log.iter().filter(|it| it.direction == Direction::Forth);
    let least_ns = forth.filter_map(lab::Crossing::delay_ns).min().unwrap();
    assert!(least_ns >= delay.as_nanos() as u64);
    let mut samples = 0;
    for route in requests(&seen.report, PORT) {
        for pair in route.steps.windows(2) {
            let stages = (pair[0].hop.stage, pair[1].hop.stage);
            let latency = &pair[1].segment.as_ref().unwrap().latency;
            if stages == (Stage::Xmit, Stage::Rx) && latency.count() > 0 {
                samples += latency.count();
                let min_ns = latency.min_ns().unwrap();
                println!(
                    "{} samples from {min_ns} ns on, the wire from {least_ns} ns on",
                    latency.count()
                );
                assert!(min_ns >= least_ns, "{min_ns} < {least_ns}: {}", tell(route));
            }
        }
    }
    assert!(samples > 1_000, "{}", tell_all(&seen.report.routes));
    check_orphans(&seen);
}
