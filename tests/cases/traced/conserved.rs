//! Whatever the kernel does to packets: what comes to a hop leaves it, or ends there with a reason.

use std::net::IpAddr;
use std::time::Duration;

use lab::topology::{Address, Bridged, Line, Vxlan};
use lab::{
    Bulk, Hook, Lab, Ns, NumberedUdp, Offload, Pace, Protocol as FirewallProtocol, TcpPairs,
    TcpServer, Until,
};
use tracer::model::{Report, hop::Stage};

use super::seen::{all_of_the_lab, answers, check_balance, port, requests, tell, trace_all};

const PORT: u16 = 9100;

/// The largest share of packets that may be lost from sight.
const LOST: f64 = 0.005;

fn lab() -> Lab {
    Lab::new("conserved").unwrap()
}

/// All losses together, as a share of all packets.
fn check_losses(report: &Report) {
    let lost: u64 = report.losses.values().sum();
    let packets: u64 = report.routes.iter().map(|route| route.packets).sum();
    let share = lost as f64 / packets.max(1) as f64;
    println!("{packets} packets, {lost} lost: {:?}", report.losses);
    let where_lost = || -> String {
        let routes = report
            .routes
            .iter()
            .filter(|route| route.ends.lost.values().sum::<u64>() > 0);
        routes.map(|route| tell(route) + "\n").collect()
    };
    assert!(
        share <= LOST,
        "{lost} of {packets} lost: {:?}\n{}",
        report.losses,
        where_lost()
    );
}

/// The routes of both directions, for when an assertion fails.
fn both(report: &Report, port: u16) -> String {
    let routes = requests(report, port)
        .into_iter()
        .chain(answers(report, port));
    routes.map(|route| tell(route) + "\n").collect()
}

#[test]
fn ten_thousand_requests_and_answers_on_one_connection() {
    let line = Line::new(lab()).unwrap();
    for from in line.app_at.both() {
        let server = TcpServer::start(&line.db, line.db_at.facing(from, PORT)).unwrap();
        let pairs = TcpPairs {
            count: 10_000,
            ..TcpPairs::new((&line.app, from), server.address())
        };
        let (done, reading, report) = trace_all(&port(PORT), || pairs.run().unwrap());
        assert_eq!(done.len(), 10_000);
        check_balance(&reading);
        check_losses(&report);
        for routes in [requests(&report, PORT), answers(&report, PORT)] {
            let busiest = routes[0];
            assert!(busiest.packets >= 10_000, "{}", both(&report, PORT));
            assert!(busiest.ends.delivered >= 10_000, "{}", both(&report, PORT));
            // Requests of 100 bytes and answers of 1000, counted where they are born and where
            // they are delivered.
            let bytes: u64 = routes
                .iter()
                .map(|route| route.steps[0].bytes)
                .max()
                .unwrap();
            assert!(
                bytes == 1_000_000 || bytes == 10_000_000,
                "{}",
                both(&report, PORT)
            );
            let delivered = busiest
                .steps
                .iter()
                .find(|step| step.hop.stage == Stage::Deliver);
            assert_eq!(delivered.unwrap().bytes, bytes, "{}", both(&report, PORT));
        }
    }
}

/// Four streams, with what the devices do to them.
fn bulk(from: (&Ns, IpAddr), to: (&Ns, Address)) -> Report {
    let at = to.1.facing(from.1, PORT);
    let bulk = Bulk {
        from,
        to: (to.0, at),
        streams: 4,
        until: Until::Bytes(20_000_000),
    };
    let (totals, reading, report) = trace_all(&port(PORT), || bulk.run().unwrap());
    assert_eq!(totals.received, 80_000_000);
    check_balance(&reading);
    check_losses(&report);
    let route = requests(&report, PORT)[0];
    // Retransmissions come on top of what was sent.
    let carried = |at: usize| route.steps[at].bytes;
    assert!(carried(0) >= 80_000_000, "{}", both(&report, PORT));
    for step in route
        .steps
        .iter()
        .filter(|step| step.hop.stage != Stage::Read)
    {
        let gone: u64 = step
            .ends
            .dropped
            .values()
            .chain(step.ends.lost.values())
            .sum();
        if gone == 0
            && route.ends.sum() == route.ends.delivered + route.ends.merged + route.ends.split
        {
            assert_eq!(step.bytes, carried(0), "{}", both(&report, PORT));
        }
    }
    report
}

#[test]
fn bulk_with_segmentation_left_to_the_devices() {
    let line = Line::new(lab()).unwrap();
    for from in line.app_at.both() {
        bulk((&line.app, from), (&line.db, line.db_at));
    }
}

#[test]
fn bulk_merged_by_gro_and_split_again() {
    let line = Line::new(lab()).unwrap();
    // The router's way out can't segment, so packets are split there; its way in and the
    // database's merge.
    for (ns, device) in [(&line.router, "r-app"), (&line.db, "db0")] {
        ns.offload(device, Offload::Gro, true).unwrap();
    }
    line.app.offload("app0", Offload::Tso, false).unwrap();
    line.router.offload("r-db", Offload::Tso, false).unwrap();
    for from in line.app_at.both() {
        let report = bulk((&line.app, from), (&line.db, line.db_at));
        let ends = requests(&report, PORT)
            .iter()
            .fold((0, 0), |(merged, split), route| {
                (merged + route.ends.merged, split + route.ends.split)
            });
        assert!(
            ends.0 > 0 && ends.1 > 0,
            "nothing was merged or split: {}",
            both(&report, PORT)
        );
    }
}

#[test]
fn bulk_through_a_token_bucket_that_splits_and_drops() {
    let line = Line::new(lab()).unwrap();
    // 100 Mbit/s with 32 KiB at once: larger packets are split in the queue.
    line.app
        .token_bucket("app0", 12_500_000, 32 << 10, 200 << 10)
        .unwrap();
    let from = line.app_at.v4.into();
    let at = line.db_at.facing(from, PORT);
    let bulk = Bulk {
        from: (&line.app, from),
        to: (&line.db, at),
        streams: 4,
        until: Until::Bytes(3_000_000),
    };
    let (_, reading, report) = trace_all(&port(PORT), || bulk.run().unwrap());
    check_balance(&reading);
    check_losses(&report);
    let route = requests(&report, PORT)[0];
    assert!(route.ends.split > 0, "{}", both(&report, PORT));
    let waits = route.steps[1]
        .segment
        .as_ref()
        .unwrap()
        .latency
        .quantile_ns(0.5)
        .unwrap();
    assert!(waits > 1_000_000, "a full queue takes its time: {waits} ns");
}

#[test]
fn bulk_in_a_tunnel() {
    let vxlan = Vxlan::new(lab()).unwrap();
    for from in vxlan.app_at.both() {
        bulk((&vxlan.app, from), (&vxlan.db, vxlan.db_at));
    }
}

#[test]
fn a_bridge_floods_what_it_does_not_know() {
    let bridged = Bridged::new(lab()).unwrap();
    let from = bridged.app_at.v4.into();
    let nowhere = bridged.nowhere.facing(from, PORT);
    let udp = NumberedUdp {
        count: 2_000,
        target: Some(nowhere),
        ..NumberedUdp::new(
            (&bridged.app, from),
            (&bridged.db, bridged.db_at.facing(from, PORT)),
        )
    };
    let (_, reading, report) = trace_all(&port(PORT), || udp.run().unwrap());
    check_balance(&reading);
    check_losses(&report);
    let routes = requests(&report, PORT);
    assert_eq!(
        routes.len(),
        2,
        "one for each other port: {}",
        both(&report, PORT)
    );
    for route in routes {
        let (came, dropped) = (route.packets, route.ends.dropped.values().sum::<u64>());
        let born = route.steps.iter().map(|step| step.born).sum::<u64>();
        assert_eq!(
            (came, dropped, born),
            (2_000, 2_000, 2_000),
            "{}",
            both(&report, PORT)
        );
    }
}

#[test]
fn fragments_belong_to_their_datagram() {
    let line = Line::new(lab()).unwrap();
    for from in line.app_at.both() {
        let udp = NumberedUdp {
            count: 1_000,
            pace: Pace::Constant {
                per_second: 1_000.0,
            },
            payload_len: |_| 4_000,
            ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
        };
        let (delivery, reading, report) = trace_all(&port(PORT), || udp.run().unwrap());
        assert_eq!(delivery.received, 1_000);
        check_balance(&reading);
        check_losses(&report);
        let routes = requests(&report, PORT);
        assert_eq!(routes.len(), 1, "{}", both(&report, PORT));
        let ends = &routes[0].ends;
        assert_eq!(
            (ends.delivered, ends.merged),
            (1_000, 2_000),
            "{}",
            both(&report, PORT)
        );
    }
}

#[test]
fn multicast_reaches_those_who_joined() {
    let bridged = Bridged::new(lab()).unwrap();
    let from = bridged.app_at.v4.into();
    let udp = NumberedUdp {
        count: 1_000,
        group_devices: Some(("app0", "db0")),
        ..NumberedUdp::new(
            (&bridged.app, from),
            (&bridged.db, ([239, 1, 2, 3], PORT).into()),
        )
    };
    let (delivery, reading, report) = trace_all(&port(PORT), || udp.run().unwrap());
    assert_eq!(delivery.received, 1_000);
    check_balance(&reading);
    check_losses(&report);
    let delivered: u64 = requests(&report, PORT)
        .iter()
        .map(|route| route.ends.delivered)
        .sum();
    assert_eq!(delivered, 1_000, "{}", both(&report, PORT));
}

#[test]
fn echoes_and_errors_are_packets_of_their_own() {
    let line = Line::new(lab()).unwrap();
    let (from, to) = (line.app_at.v4.into(), line.db_at.v4.into());
    let ((), reading, report) = trace_all(&all_of_the_lab(), || {
        let answered = lab::ping((&line.app, from), to, 500, Pace::BackToBack).unwrap();
        assert!(answered.iter().all(Option::is_some));
        for _ in 0..20 {
            lab::closed_port((&line.app, from), line.db_at.facing(from, PORT)).unwrap();
            lab::low_ttl((&line.app, from), line.db_at.facing(from, PORT), 1).unwrap();
        }
    });
    check_balance(&reading);
    check_losses(&report);
    let icmp: u64 = report
        .routes
        .iter()
        .filter(|route| route.class.protocol == tracer::model::Protocol::Icmp)
        .map(|route| route.ends.delivered)
        .sum();
    // Requests, answers, and one error each.
    assert_eq!(
        icmp,
        1_040,
        "{}",
        report
            .routes
            .iter()
            .map(|route| tell(route) + "\n")
            .collect::<String>()
    );
    let udp = requests(&report, PORT);
    let dropped = |reason: &str| {
        udp.iter()
            .filter_map(|route| route.ends.dropped.get(reason))
            .sum::<u64>()
    };
    assert_eq!(dropped("NO_SOCKET"), 20, "{}", both(&report, PORT));
}

#[test]
fn what_a_firewall_drops_is_dropped_at_its_hop() {
    let line = Line::new(lab()).unwrap();
    line.router
        .drop_port(Hook::Forward, FirewallProtocol::Udp, PORT)
        .unwrap();
    let from = line.app_at.v4.into();
    let udp = NumberedUdp {
        count: 1_000,
        patience: Duration::from_millis(50),
        ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
    };
    let (delivery, reading, report) = trace_all(&port(PORT), || udp.run().unwrap());
    assert_eq!(delivery.received, 0);
    check_balance(&reading);
    check_losses(&report);
    let route = requests(&report, PORT)[0];
    let last = route.steps.last().unwrap();
    assert_eq!(
        (last.hop.device.as_str(), last.hop.stage),
        ("r-app", Stage::Receive)
    );
    assert_eq!(
        last.ends.dropped.get("NETFILTER_DROP"),
        Some(&1_000),
        "{}",
        tell(route)
    );
}
