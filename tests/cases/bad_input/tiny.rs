//! Tables with next to no room.

use std::net::IpAddr;
use std::time::Duration;

use lab::topology::{Line, Wired};
use lab::{Lab, NumberedUdp, Pace, WireSpec};
use tracer::source::Settings;
use tracer::source::settings::Limits;

use super::account::{Seen, births, recognised, tell_all, trace_checked, unborn};
use super::seen::port;

const PORT: u16 = 9340;
const COUNT: u64 = 3_000;

/// Each table alone with next to no room, then all of them.
fn tiny() -> [(&'static str, Limits); 6] {
    let roomy = Limits::default();
    [
        (
            "packets",
            Limits {
                packets: 16,
                ..roomy
            },
        ),
        ("nodes", Limits { nodes: 8, ..roomy }),
        (
            "classes",
            Limits {
                classes: 2,
                ..roomy
            },
        ),
        ("cells", Limits { cells: 8, ..roomy }),
        (
            "handover",
            Limits {
                handover: 8,
                ..roomy
            },
        ),
        (
            "all",
            Limits {
                packets: 16,
                nodes: 8,
                classes: 2,
                cells: 8,
                handover: 8,
            },
        ),
    ]
}

/// Four flows at once, each a class of its own: both families, to the service and from it.
fn flows<'a>(
    (app, app_at): (&'a lab::Ns, lab::topology::Address),
    (db, db_at): (&'a lab::Ns, lab::topology::Address),
) -> Vec<NumberedUdp<'a>> {
    let flow = |from: IpAddr, source_port, port| NumberedUdp {
        count: COUNT,
        pace: Pace::Constant {
            per_second: 4_000.0,
        },
        source_port,
        ..NumberedUdp::new((app, from), (db, db_at.facing(from, port)))
    };
    let both = app_at.both().into_iter();
    both.flat_map(|from| [flow(from, 0, PORT), flow(from, PORT, 40_000)])
        .collect()
}

/// Sends all flows side by side; returns how many datagrams were sent, all of which arrived.
fn send(flows: &[NumberedUdp]) -> u64 {
    std::thread::scope(|scope| {
        let running: Vec<_> = flows
            .iter()
            .map(|flow| scope.spawn(|| flow.run().unwrap()))
            .collect();
        let deliveries = running.into_iter().map(|flow| flow.join().unwrap());
        deliveries
            .inspect(|it| assert_eq!(it.received, it.sent))
            .map(|it| it.sent)
            .sum()
    })
}

/// Traces the flows with each of the tiny tables; `account` tells what was sent and
/// what is known of it, which must agree.
fn check(flows: &[NumberedUdp], account: impl Fn(&Seen<u64>) -> (u64, u64)) {
    for (what, limits) in tiny() {
        println!("tiny: {what}");
        let settings = Settings {
            limits,
            ..port(PORT)
        };
        let seen = trace_checked(&settings, || send(flows));
        let told = || tell_all(&seen.report.routes);
        let (sent, known) = account(&seen);
        assert_eq!(sent, known, "{what}: {}", told());
        assert_eq!(
            seen.report.packets(),
            births(&seen.reading),
            "{what}: {}",
            told()
        );
    }
}

#[test]
fn every_packet_through_a_router_is_born_or_a_named_loss() {
    let line = Line::new(Lab::new("tiny").unwrap()).unwrap();
    let flows = flows((&line.app, line.app_at), (&line.db, line.db_at));
    check(&flows, |seen| {
        (seen.done, births(&seen.reading) + unborn(&seen.reading))
    });
}

#[test]
fn every_packet_on_a_wire_is_recognised_or_a_named_loss() {
    let delay = Duration::from_millis(5);
    let wired = Wired::new(Lab::new("tiny-wire").unwrap(), WireSpec::delay(delay)).unwrap();
    let flows = flows((&wired.app, wired.app_at), (&wired.db, wired.db_at));
    check(&flows, |seen| {
        // What the far end does not recognise is new there.
        let new = seen.done - recognised(&seen.reading);
        let tried = births(&seen.reading) + unborn(&seen.reading);
        (seen.done + new, tried)
    });
}
