//! Finer hops: ten thousand at each, an account that closes, and nothing else changed where the
//! kernel has none.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::topology::{Address, Bridged, Cabled, Line, Loopback, Nat, Vxlan};
use lab::{Hook, Lab, Ns, NumberedUdp, Pace, Protocol as FirewallProtocol, TcpPairs, TcpServer};
use tracer::model::hop::Stage::{self, *};
use tracer::model::{Node, Report, State};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

use super::exact::{PORT, check, send_as};
use super::seen::{answers, check_balance, losses, port, requests, tell, trace_all};

/// Set where the kernel has to have fentry, as in the guests of `cargo xtask vm`.
const NEEDED: &str = "LAB_NEEDS_FENTRY";

/// The programs of finer hops.
const FINER: usize = 13;

fn lab() -> Lab {
    Lab::new("fine").unwrap()
}

fn fine(port: Settings) -> Settings {
    Settings { fine: true, ..port }
}

/// Whether this kernel gave all finer hops; where it gave none, each says why.
fn has_finer(report: &Report) -> bool {
    let works = |name: &str| {
        let row = report.availability.iter().find(|row| row.name == name);
        match &row.expect("it was asked for").state {
            State::Works => true,
            State::Unavailable { because, advice } => {
                assert!(because.contains("fentry"), "{name}: {because}");
                assert!(advice.contains("without --fine"), "{name}: {advice}");
                false
            }
            State::Missing { because, .. } => panic!("{name}: {because}"),
        }
    };
    let names = tracer_common::hop::FINER.map(|probe| probe.program);
    let working = names.into_iter().filter(|name| works(name)).count();
    let is_needed = std::env::var_os(NEEDED).is_some();
    assert!(
        working == FINER || working == 0 && !is_needed,
        "{working} of {FINER}: {:?}",
        report.availability
    );
    working == FINER
}

/// Each hop has all packets: the finer ones too, where the kernel has them.
fn check_fine(report: &Report, service: u16, hops: &[(&str, Stage)]) {
    let has_finer = has_finer(report);
    let hops = hops.iter().copied();
    let expected: Vec<_> = hops
        .filter(|(_, stage)| has_finer || !stage.is_finer())
        .collect();
    check(report, service, &expected);
}

/// Whether `AppArmor` is there, which has a hook at POSTROUTING in each namespace
/// (security/apparmor/lsm.c).
fn has_apparmor() -> bool {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|enabled| enabled.trim() == "Y")
}

/// Where nobody but a security module has a hook.
fn check_both(from: (&Ns, Address), to: (&Ns, Address), hops: &[(&str, Stage)]) {
    let hops = hops.iter().copied();
    let hops: Vec<_> = hops
        .filter(|(_, stage)| *stage != NfPostrouting || has_apparmor())
        .collect();
    for ip in from.1.both() {
        let to = (to.0, to.1.facing(ip, PORT));
        check_fine(&send((from.0, ip), to), PORT, &hops);
    }
}

fn send(from: (&Ns, IpAddr), to: (&Ns, SocketAddr)) -> Report {
    send_as(&fine(port(PORT)), from, to, None)
}

#[test]
fn through_a_router_by_both_families() {
    let line = Line::new(lab()).unwrap();
    let hops = [
        ("app0", Queue),
        ("app0", Xmit),
        ("r-app", Rx),
        ("r-app", Receive),
        ("r-app", IpRcv),
        ("r-app", IpForward),
        ("r-app", IpOutput),
        ("r-app", NfPostrouting),
        ("r-db", Queue),
        ("r-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", IpRcv),
        ("db0", IpLocalDeliver),
        ("db0", UdpRcv),
        ("db0", Deliver),
    ];
    check_both((&line.app, line.app_at), (&line.db, line.db_at), &hops);
}

#[test]
fn through_nat_of_both_addresses_with_netfilters_hooks() {
    let nat = Nat::new(lab()).unwrap();
    let from = (&nat.app, nat.app_at.v4.into());
    let service = nat.service.port();
    let report = send_as(
        &fine(port(service)),
        from,
        (&nat.db, nat.behind.into()),
        Some(nat.service.into()),
    );
    // Conntrack and NAT have nothing at FORWARD.
    let hops = [
        ("app0", Queue),
        ("app0", Xmit),
        ("r-app", Rx),
        ("r-app", Receive),
        ("r-app", IpRcv),
        ("r-app", NfPrerouting),
        ("r-app", IpForward),
        ("r-app", IpOutput),
        ("r-app", NfPostrouting),
        ("r-db", Queue),
        ("r-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", IpRcv),
        ("db0", IpLocalDeliver),
        ("db0", UdpRcv),
        ("db0", Deliver),
    ];
    check_fine(&report, service, &hops);
    if has_finer(&report) {
        let route = requests(&report, service)[0];
        let addresses = |at: usize| route.steps[at].translated;
        assert_eq!(addresses(5), None, "{}", tell(route));
        let forwarded = addresses(6).expect("the destination is translated at PREROUTING");
        assert_eq!(forwarded.destination, IpAddr::from(*nat.behind.ip()));
        assert_eq!(forwarded.source, IpAddr::from(nat.app_at.v4));
        let sent = addresses(9).expect("the source is translated at POSTROUTING");
        assert_eq!(sent.source, IpAddr::from(nat.mask));
    }
}

#[test]
fn through_a_bridge() {
    let bridged = Bridged::new(lab()).unwrap();
    let hops = [
        ("app0", Queue),
        ("app0", Xmit),
        ("b-app", Rx),
        ("b-app", Receive),
        ("b-db", Queue),
        ("b-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", IpRcv),
        ("db0", IpLocalDeliver),
        ("db0", UdpRcv),
        ("db0", Deliver),
    ];
    let (from, to) = ((&bridged.app, bridged.app_at), (&bridged.db, bridged.db_at));
    check_both(from, to, &hops);
}

#[test]
fn through_an_overlay() {
    let vxlan = Vxlan::new(lab()).unwrap();
    let hops = [
        ("vx-app", Queue),
        ("vx-app", Xmit),
        ("app0", Queue),
        ("app0", Xmit),
        ("r-app", Rx),
        ("r-app", Receive),
        ("r-app", IpRcv),
        ("r-app", IpForward),
        ("r-app", IpOutput),
        ("r-app", NfPostrouting),
        ("r-db", Queue),
        ("r-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", IpRcv),
        ("db0", IpLocalDeliver),
        ("db0", UdpRcv),
        ("vx-db", Rx),
        ("vx-db", Receive),
        ("vx-db", IpRcv),
        ("vx-db", IpLocalDeliver),
        ("vx-db", UdpRcv),
        ("vx-db", Deliver),
    ];
    let (from, to) = ((&vxlan.app, vxlan.app_at), (&vxlan.db, vxlan.db_at));
    check_both(from, to, &hops);
}

#[test]
fn through_loopback() {
    let loopback = Loopback::new(lab()).unwrap();
    let host = (&loopback.host, loopback.at);
    let hops = [
        ("lo", Queue),
        ("lo", Xmit),
        ("lo", Rx),
        ("lo", Receive),
        ("lo", IpRcv),
        ("lo", IpLocalDeliver),
        ("lo", UdpRcv),
        ("lo", Deliver),
    ];
    check_both(host, host, &hops);
}

/// Cards hand up lists: all packets of one are received before the first one goes on.
#[test]
fn over_a_cable_between_two_cards() {
    let Some(cabled) = Cabled::where_laid(lab()).unwrap() else {
        return;
    };
    let settings = Settings {
        through_hardware: true,
        ..fine(port(PORT))
    };
    let hops = [
        ("app0", Queue),
        ("app0", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", IpRcv),
        ("db0", IpLocalDeliver),
        ("db0", UdpRcv),
        ("db0", Deliver),
    ];
    for ip in cabled.app_at.both() {
        let to = cabled.db_at.facing(ip, PORT);
        let mut report = send_as(&settings, (&cabled.app, ip), (&cabled.db, to), None);
        // The cards' interrupts come while our programs see other packets end.
        report.losses.remove("recursion");
        check_fine(&report, PORT, &hops);
    }
}

#[test]
fn requests_and_answers_over_tcp_close_their_account() {
    let line = Line::new(lab()).unwrap();
    for from in line.app_at.both() {
        let server = TcpServer::start(&line.db, line.db_at.facing(from, PORT)).unwrap();
        let pairs = TcpPairs {
            count: 3_000,
            ..TcpPairs::new((&line.app, from), server.address())
        };
        let (done, reading, report) = trace_all(&fine(port(PORT)), || pairs.run().unwrap());
        assert_eq!(done.len(), 3_000);
        check_balance(&reading);
        let has_finer = has_finer(&report);
        for routes in [requests(&report, PORT), answers(&report, PORT)] {
            let busiest = routes[0];
            assert!(busiest.ends.delivered >= 3_000, "{}", tell(busiest));
            let finer = |stage| busiest.steps.iter().any(|step| step.hop.stage == stage);
            for stage in [IpRcv, IpForward, IpOutput, IpLocalDeliver, TcpRcv] {
                assert_eq!(finer(stage), has_finer, "{stage:?}: {}", tell(busiest));
            }
        }
    }
}

/// What netfilter drops is dropped where its hook took it.
#[test]
fn a_drop_stands_at_the_hook_that_dropped() {
    let line = Line::new(lab()).unwrap();
    let router = &line.router;
    router
        .drop_port(Hook::Forward, FirewallProtocol::Udp, PORT)
        .unwrap();
    let to = line.db_at.facing(line.app_at.v4.into(), PORT);
    let udp = NumberedUdp {
        count: 1_000,
        pace: Pace::Constant { per_second: 2000.0 },
        ..NumberedUdp::new((&line.app, line.app_at.v4.into()), (&line.db, to))
    };
    let (_, reading, report) = trace_all(&fine(port(PORT)), || udp.run().unwrap());
    check_balance(&reading);
    assert_eq!(losses(&report), "");
    let last = requests(&report, PORT)[0].steps.last().unwrap();
    let stage = if has_finer(&report) {
        NfForward
    } else {
        Receive
    };
    assert_eq!(
        last.hop.stage,
        stage,
        "{}",
        tell(requests(&report, PORT)[0])
    );
    assert_eq!(last.ends.dropped.values().sum::<u64>(), 1_000);
}

/// As the governor does where there is too much. The others count each packet all the while.
#[test]
fn left_out_and_taken_in_again_while_packets_come() {
    const EACH: u64 = 1_000;
    let line = Line::new(lab()).unwrap();
    let to = line.db_at.facing(line.app_at.v4.into(), PORT);
    let send = || {
        let udp = NumberedUdp {
            count: EACH,
            pace: Pace::Constant { per_second: 4000.0 },
            ..NumberedUdp::new((&line.app, line.app_at.v4.into()), (&line.db, to))
        };
        assert_eq!(udp.run().unwrap().received, EACH);
        // Who is told that one has come may be told before its last hop is counted.
        std::thread::sleep(Duration::from_millis(50));
    };
    send();
    let mut tracer = Live::open(&fine(port(PORT))).unwrap();
    send();
    tracer.watch_finer(false).unwrap();
    send();
    tracer.watch_finer(true).unwrap();
    send();
    let reading = Box::new(tracer).finish().unwrap();
    check_balance(&reading);
    let report = Report::from_reading(&reading);
    assert_eq!(losses(&report), "");
    let count = |device: &str, stage| {
        let is_it = |node: &&Node| node.hop.device == device && node.hop.stage == stage;
        let nodes = reading.nodes.iter().filter(is_it);
        nodes.map(|node| node.packets).sum::<u64>()
    };
    let finer = if has_finer(&report) { 2 * EACH } else { 0 };
    for (device, stage, packets) in [
        ("r-app", Receive, 3 * EACH),
        ("r-app", IpRcv, finer),
        ("r-app", IpForward, finer),
        ("r-app", IpOutput, finer),
        ("r-db", Queue, 3 * EACH),
        ("db0", IpLocalDeliver, finer),
        ("db0", UdpRcv, finer),
        ("db0", Deliver, 3 * EACH),
    ] {
        assert_eq!(count(device, stage), packets, "{device} {stage:?}");
    }
}
