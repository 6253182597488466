//! Every ready-made network carries traffic of both families, and counts all of it.

use std::net::IpAddr;
use std::time::Duration;

use lab::topology::{Address, Bridged, Line, Loopback, Nat, Road, Story, Vlan, Vxlan, Wired};
use lab::{Lab, Ns, NumberedUdp, TcpPairs, TcpServer, WireSpec};

/// UDP and TCP from one host to the other, by IPv4 and IPv6: nothing is missing.
fn check(from: &Ns, from_at: Address, to: &Ns, to_at: Address) {
    for ip in from_at.both() {
        check_udp((from, ip), to, to_at);
        check_tcp((from, ip), to, to_at);
    }
}

fn check_udp(from: (&Ns, IpAddr), to: &Ns, to_at: Address) {
    for connected in [false, true] {
        let delivery = NumberedUdp {
            connected,
            ..NumberedUdp::new(from, (to, to_at.facing(from.1, 7000)))
        }
        .run()
        .unwrap();
        let counts = (delivery.received, delivery.duplicates, delivery.reordered);
        assert_eq!(counts, (1000, 0, 0), "udp from {}", from.1);
    }
}

fn check_tcp(from: (&Ns, IpAddr), to: &Ns, to_at: Address) {
    let server = TcpServer::start(to, to_at.facing(from.1, 7001)).unwrap();
    let pairs = pairs(from, &server);
    assert_eq!(pairs.len(), 20, "tcp from {}", from.1);
    assert_eq!(server.requests(), 20, "tcp from {}", from.1);
}

fn lab() -> Lab {
    Lab::new("topologies").unwrap()
}

#[test]
fn a_line_carries_everything() {
    let line = Line::new(lab()).unwrap();
    check(&line.app, line.app_at, &line.db, line.db_at);
}

#[test]
fn a_bridge_carries_everything() {
    let bridged = Bridged::new(lab()).unwrap();
    check(&bridged.app, bridged.app_at, &bridged.db, bridged.db_at);
    check(
        &bridged.third,
        bridged.third_at,
        &bridged.app,
        bridged.app_at,
    );
}

#[test]
fn an_overlay_carries_everything() {
    let vxlan = Vxlan::new(lab()).unwrap();
    check(&vxlan.app, vxlan.app_at, &vxlan.db, vxlan.db_at);
}

#[test]
fn vlans_carry_everything() {
    let Some(vlan) = Vlan::where_known(lab()).unwrap() else {
        println!("this kernel has no VLAN devices");
        return;
    };
    check(&vlan.app, vlan.app_at, &vlan.db, vlan.db_at);
}

#[test]
fn a_wire_carries_everything() {
    let wired = Wired::new(lab(), WireSpec::delay(Duration::from_millis(2))).unwrap();
    check(&wired.app, wired.app_at, &wired.db, wired.db_at);
}

#[test]
fn a_host_reaches_itself() {
    let loopback = Loopback::new(lab()).unwrap();
    check(&loopback.host, loopback.at, &loopback.host, loopback.at);
}

#[test]
fn both_roads_of_the_story_carry_everything_and_the_old_one_is_slow() {
    let delay = Duration::from_millis(5);
    let story = Story::new(lab(), delay).unwrap();
    for (requests, answers, slow) in [
        (Road::Fast, Road::Fast, 0),
        (Road::Old, Road::Fast, 1),
        (Road::Old, Road::Old, 2),
        (Road::Fast, Road::Fast, 0),
    ] {
        story.move_requests(requests).unwrap();
        story.move_answers(answers).unwrap();
        check(&story.app, story.app_at, &story.db, story.db_at);
        check(&story.web, story.web_at, &story.db, story.db_at);
        let latency = median_latency(&story);
        assert!(latency >= delay * slow, "{latency:?} over {slow} slow ways");
        assert!(
            latency < delay * (slow + 1),
            "{latency:?} over {slow} slow ways"
        );
    }
}

fn median_latency(story: &Story) -> Duration {
    let from = (&story.app, story.app_at.v4.into());
    let server = TcpServer::start(&story.db, (story.db_at.v4, 7002).into()).unwrap();
    let pairs = pairs(from, &server);
    let mut latencies: Vec<_> = pairs.iter().map(lab::Pair::latency).collect();
    latencies.sort();
    latencies[latencies.len() / 2]
}

#[test]
fn nat_translates_both_addresses() {
    let nat = Nat::new(lab()).unwrap();
    let from = (&nat.app, nat.app_at.v4.into());
    let server = TcpServer::start(&nat.db, nat.behind.into()).unwrap();
    let pairs = TcpPairs::new(from, nat.service.into()).run().unwrap();
    assert_eq!((pairs.len(), server.requests()), (100, 100));
}

fn pairs(from: (&Ns, IpAddr), server: &TcpServer) -> Vec<lab::Pair> {
    TcpPairs {
        count: 20,
        ..TcpPairs::new(from, server.address())
    }
    .run()
    .unwrap()
}
