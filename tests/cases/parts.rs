//! Each thing that a network can be told to do has the effect that it should.

use std::net::UdpSocket;
use std::time::Duration;

use lab::topology::{Bridged, Line, Nat, Story};
use lab::{
    Bulk, Hook, Lab, NextHop, NumberedUdp, Offload, Pace, Protocol, TcpPairs, TcpServer, Until,
    Users, closed_port, inject_garbage, low_ttl, ping,
};

fn line() -> Line {
    Line::new(Lab::new("parts").unwrap()).unwrap()
}

fn udp(line: &Line, port: u16) -> NumberedUdp<'_> {
    let to = (&line.db, (line.db_at.v4, port).into());
    NumberedUdp::new((&line.app, line.app_at.v4.into()), to)
}

#[test]
fn echoes_come_back() {
    let line = line();
    for (from, to) in line.app_at.both().into_iter().zip(line.db_at.both()) {
        let trips = ping((&line.app, from), to, 20, Pace::BackToBack).unwrap();
        assert!(trips.iter().all(Option::is_some), "{to}: {trips:?}");
    }
}

#[test]
fn probes_provoke_icmp_errors() {
    let line = line();
    for from in line.app_at.both() {
        let to = line.db_at.facing(from, 9);
        closed_port((&line.app, from), to).unwrap();
        low_ttl((&line.app, from), to, 1).unwrap();
    }
}

#[test]
fn fragments_arrive_whole() {
    let line = line();
    for from in line.app_at.both() {
        let to = (&line.db, line.db_at.facing(from, 7000));
        let delivery = NumberedUdp {
            count: 300,
            pace: Pace::Poisson {
                per_second: 2000.0,
                seed: 3,
            },
            payload_len: |i| 1000 + 20 * i as usize,
            ..NumberedUdp::new((&line.app, from), to)
        }
        .run()
        .unwrap();
        assert_eq!(delivery.lost(), 0, "{from}");
    }
}

#[test]
fn a_group_is_reached_by_those_that_joined() {
    let bridged = Bridged::new(Lab::new("parts").unwrap()).unwrap();
    for (from, group) in bridged
        .app_at
        .both()
        .into_iter()
        .zip(["239.1.2.3:7000", "[ff05::7]:7000"])
    {
        let delivery = NumberedUdp {
            group_devices: Some(("app0", "db0")),
            ..NumberedUdp::new((&bridged.app, from), (&bridged.db, group.parse().unwrap()))
        }
        .run()
        .unwrap();
        assert_eq!((delivery.lost(), delivery.duplicates), (0, 0), "{group}");
    }
}

#[test]
fn bulk_streams_lose_no_byte() {
    let line = line();
    let bulk = Bulk {
        from: (&line.app, line.app_at.v4.into()),
        to: (&line.db, (line.db_at.v4, 7000).into()),
        streams: 4,
        until: Until::Bytes(3_000_000),
    };
    let totals = bulk.run().unwrap();
    assert_eq!((totals.sent, totals.received), (12_000_000, 12_000_000));
    let until = Until::Elapsed(Duration::from_millis(200));
    let totals = Bulk { until, ..bulk }.run().unwrap();
    assert!(totals.sent > 0 && totals.sent == totals.received);
}

#[test]
fn a_thinking_server_delays_answers_and_not_an_open_schedule() {
    let line = line();
    let server = TcpServer::start(&line.db, (line.db_at.v4, 7000).into()).unwrap();
    let think = Duration::from_millis(10);
    server.set_think(think);
    let closed = TcpPairs {
        count: 20,
        ..TcpPairs::new((&line.app, line.app_at.v4.into()), server.address())
    };
    let pairs = closed.run().unwrap();
    assert!(pairs.iter().all(|pair| pair.latency() >= think));

    // Twice as many as the server can answer: the queue grows, and the schedule does not wait.
    let open = TcpPairs {
        count: 40,
        pace: Pace::Constant { per_second: 200.0 },
        ..closed
    };
    let pairs = open.run().unwrap();
    let span_ns = pairs[39].due_ns - pairs[0].due_ns;
    assert_eq!(span_ns / 1_000_000, 39 * 5);
    assert!(
        pairs[39].latency() > think * 15,
        "{:?}",
        pairs[39].latency()
    );
}

#[test]
fn users_wait_for_the_server_behind_the_server() {
    let line = line();
    let db = TcpServer::start(&line.db, (line.db_at.v4, 5432).into()).unwrap();
    let think = Duration::from_millis(5);
    db.set_think(think);
    let app = (line.app_at.v4, 8080).into();
    let app = TcpServer::asking(&line.app, app, db.address()).unwrap();
    let web = (&line.router, [10, 1, 0, 1].into());
    let users = Users::start(web, app.address(), 4, Duration::from_millis(20));
    std::thread::sleep(Duration::from_millis(500));
    let pairs = users.stop().unwrap();
    assert!(pairs.len() >= 40, "{}", pairs.len());
    assert!(pairs.iter().all(|pair| pair.latency() >= think));
    assert_eq!(
        (app.requests(), db.requests()),
        (pairs.len() as u64, pairs.len() as u64)
    );
}

#[test]
fn dropped_ports_are_dropped_until_the_rules_are_gone() {
    let line = line();
    line.router
        .drop_port(Hook::Forward, Protocol::Udp, 7000)
        .unwrap();
    line.db.drop_port(Hook::Input, Protocol::Udp, 7001).unwrap();
    for (port, lost) in [(7000, 1000), (7001, 1000), (7002, 0)] {
        assert_eq!(udp(&line, port).run().unwrap().lost(), lost, "port {port}");
    }
    line.router.clear_firewall().unwrap();
    assert_eq!(udp(&line, 7000).run().unwrap().lost(), 0);
}

#[test]
fn the_database_behind_nat_sees_the_router_only() {
    let nat = Nat::new(Lab::new("parts").unwrap()).unwrap();
    let db = nat.db.run(|| UdpSocket::bind(nat.behind)).unwrap();
    let app = nat.app.run(|| UdpSocket::bind((nat.app_at.v4, 0))).unwrap();
    app.connect(nat.service).unwrap();
    app.send(b"request").unwrap();
    let (_, from) = db.recv_from(&mut [0; 16]).unwrap();
    assert_eq!(from.ip(), nat.mask);
    db.send_to(b"answer", from).unwrap();
    assert_eq!(app.recv(&mut [0; 16]).unwrap(), 6);
}

#[test]
fn datagrams_to_a_service_arrive_behind_it() {
    let nat = Nat::new(Lab::new("parts").unwrap()).unwrap();
    let delivery = NumberedUdp {
        target: Some(nat.service.into()),
        ..NumberedUdp::new(
            (&nat.app, nat.app_at.v4.into()),
            (&nat.db, nat.behind.into()),
        )
    };
    assert_eq!(delivery.run().unwrap().lost(), 0);
}

#[test]
fn frames_for_nowhere_are_flooded_and_others_are_not() {
    let bridged = Bridged::new(Lab::new("parts").unwrap()).unwrap();
    let received = || bridged.third.counters("third0").unwrap().rx_packets;
    let from = (&bridged.app, bridged.app_at.v4.into());
    let before = received();
    let to = NumberedUdp::new(from, (&bridged.db, (bridged.db_at.v4, 7000).into()));
    assert_eq!(to.run().unwrap().lost(), 0);
    assert_eq!(received(), before);
    let to_nowhere = NumberedUdp {
        target: Some((bridged.nowhere.v4, 7000).into()),
        ..to
    };
    assert_eq!(to_nowhere.run().unwrap().lost(), 1000);
    assert_eq!(received(), before + 1000);
}

#[test]
fn a_forgotten_neighbour_is_asked_for() {
    let line = line();
    let before = line.app.counters("app0").unwrap().tx_packets;
    line.app
        .forget_neighbour("app0", [10, 1, 0, 1].into())
        .unwrap();
    assert_eq!(udp(&line, 7000).run().unwrap().lost(), 0);
    let sent = line.app.counters("app0").unwrap().tx_packets - before;
    assert!((1001..1005).contains(&sent), "{sent}");
}

#[test]
fn nobody_speaks_unasked() {
    let line = line();
    let counters = || {
        let ends = [
            (&line.app, "app0"),
            (&line.router, "r-app"),
            (&line.router, "r-db"),
            (&line.db, "db0"),
        ];
        ends.map(|(ns, dev)| ns.counters(dev).unwrap().tx_packets)
    };
    let before = counters();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(counters(), before);
}

#[test]
fn a_deleted_namespace_takes_its_devices_and_their_peers() {
    let line = line();
    line.lab.delete(line.router);
    let patience = std::time::Instant::now() + Duration::from_secs(5);
    while line.app.index("app0").is_ok() {
        assert!(std::time::Instant::now() < patience, "app0 is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_token_bucket_makes_packets_wait() {
    let line = line();
    let run = || {
        NumberedUdp {
            count: 200,
            pace: Pace::BackToBack,
            ..udp(&line, 7000)
        }
        .run()
        .unwrap()
    };
    line.app
        .token_bucket("app0", 100_000, 1600, 1 << 20)
        .unwrap();
    let slow = run();
    assert_eq!(slow.lost(), 0);
    // 200 frames of 106 bytes at 100 kB a second, less the burst.
    let last_ns = *slow.latencies_ns().last().unwrap();
    assert!((150_000_000..300_000_000).contains(&last_ns), "{last_ns}");
    line.app.remove_qdisc("app0").unwrap();
    assert!(*run().latencies_ns().last().unwrap() < 100_000_000);
}

#[test]
fn a_multipath_route_uses_both_legs() {
    let story = Story::new(Lab::new("parts").unwrap(), Duration::ZERO).unwrap();
    let legs = [("10.11.0.1", "a-r1"), ("10.12.0.1", "a-r2")].map(|(via, dev)| NextHop {
        via: via.parse().unwrap(),
        dev,
        weight: 1,
    });
    story.app.multipath_route("10.2.0.0/24", &legs).unwrap();
    // The hash is over addresses and ports only with policy 1.
    story
        .app
        .sysctl("ipv4/fib_multipath_hash_policy", "1")
        .unwrap();
    for port in 0..32 {
        let to = (&story.db, (story.db_at.v4, 7000 + port).into());
        let delivery = NumberedUdp {
            count: 10,
            ..NumberedUdp::new((&story.app, story.app_at.v4.into()), to)
        };
        assert_eq!(delivery.run().unwrap().lost(), 0);
    }
    let by_r2 = story
        .wire
        .log()
        .iter()
        .filter(|crossing| crossing.bytes == 92)
        .count();
    assert!(
        (10..=310).contains(&by_r2) && by_r2 % 10 == 0,
        "{by_r2} of 320"
    );
}

#[test]
fn devices_are_renamed_and_offloads_set_while_packets_still_pass() {
    let line = line();
    for offload in [Offload::Gro, Offload::Gso, Offload::Tso] {
        for on in [false, true] {
            line.db.offload("db0", offload, on).unwrap();
            line.app.offload("app0", offload, on).unwrap();
        }
    }
    line.db.rename("db0", "db9").unwrap();
    assert!(line.db.index("db0").is_err());
    assert_eq!(udp(&line, 7000).run().unwrap().lost(), 0);
}

#[test]
fn garbage_is_taken_and_harms_nothing() {
    let line = line();
    let taken = inject_garbage(&line.app, "app0", 2000, 7).unwrap();
    assert!(taken > 1500, "{taken} of 2000");
    assert_eq!(udp(&line, 7000).run().unwrap().lost(), 0);
}

#[test]
fn a_device_that_is_down_or_gone_carries_nothing() {
    let line = line();
    line.router.down("r-db").unwrap();
    assert_eq!(udp(&line, 7000).run().unwrap().lost(), 1000);
    line.router.remove("r-db").unwrap();
    assert!(line.db.index("db0").is_err(), "the peer goes too");
}
