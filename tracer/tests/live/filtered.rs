//! Each filter shows what was asked for, all of it, and nothing else.

use lab::topology::Line;
use lab::{Lab, NumberedUdp, Pace, TcpPairs, TcpServer, ping};
use serde_json::Value;

use super::command::Running;

const WANTED: u16 = 9370;
const OTHER: u16 = 9371;
const COUNT: u64 = 1_000;

/// UDP of both families to two ports, TCP, and echoes, with the neighbours known.
fn traffic(line: &Line) {
    for from in line.app_at.both() {
        for port in [WANTED, OTHER] {
            let to = line.db_at.facing(from, port);
            let udp = NumberedUdp {
                count: COUNT,
                ..NumberedUdp::new((&line.app, from), (&line.db, to))
            };
            assert_eq!(udp.run().unwrap().received, COUNT);
        }
        let server = TcpServer::start(&line.db, line.db_at.facing(from, OTHER)).unwrap();
        TcpPairs::new((&line.app, from), server.address())
            .run()
            .unwrap();
    }
    let answers = ping(
        (&line.app, line.app_at.v4.into()),
        line.db_at.v4.into(),
        100,
        Pace::BackToBack,
    );
    assert!(answers.unwrap().iter().all(Option::is_some));
}

/// The routes that are seen of all the traffic with a filter.
fn routes(line: &Line, filter: &[&str]) -> Vec<Value> {
    let running = Running::start(&[&["--json"], filter].concat());
    traffic(line);
    let said = running.interrupt();
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut report: Value = serde_json::from_str(&said.out).unwrap();
    for route in report["routes"].as_array().unwrap() {
        assert_eq!(route["balance"]["difference"], 0, "{route}");
    }
    match report["routes"].take() {
        Value::Array(routes) => routes,
        other => panic!("{other} are no routes"),
    }
}

/// The hops of a route by namespace, device and stage.
fn hops(route: &Value) -> Vec<(&str, &str, &str)> {
    let hops = route["hops"].as_array().unwrap();
    hops.iter()
        .map(|hop| {
            let text = |key: &str| hop[key].as_str().unwrap();
            (text("netns"), text("device"), text("stage"))
        })
        .collect()
}

/// How many packets there are at each hop, where all hops have the same number.
fn packets(route: &Value) -> u64 {
    let hops = route["hops"].as_array().unwrap();
    assert!(
        hops.iter().all(|hop| hop["packets"] == route["packets"]),
        "{route}"
    );
    route["packets"].as_u64().unwrap()
}

fn line() -> Line {
    Line::new(Lab::new("filtered").unwrap()).unwrap()
}

fn is_udp(route: &Value) -> bool {
    route["protocol"] == "udp"
}

#[test]
fn a_port_is_all_that_is_seen() {
    let found = routes(&line(), &["--port", &WANTED.to_string()]);
    assert_eq!(found.len(), 2, "{found:#?}");
    for route in &found {
        assert_eq!(
            (&route["protocol"], &route["port"]),
            (&"udp".into(), &WANTED.into())
        );
        assert_eq!((packets(route), hops(route).len()), (COUNT, 9), "{route}");
    }
}

#[test]
fn a_prefix_is_all_that_is_seen() {
    let line = line();
    for prefix in ["10.2.0.2/32", "fd00:2::/64"] {
        let family = if prefix.contains(':') { "fd00:" } else { "10." };
        // The namespace keeps out what else the machine does.
        let found = routes(&line, &["--prefix", prefix, "--netns", line.router.name()]);
        for route in &found {
            let ends = [&route["source"], &route["destination"]];
            assert!(
                ends.iter()
                    .all(|end| end.as_str().unwrap().starts_with(family)),
                "{route}"
            );
        }
        let mut udp: Vec<_> = found
            .iter()
            .filter(|route| is_udp(route))
            .map(|route| (route["port"].as_u64(), packets(route)))
            .collect();
        udp.sort_unstable();
        assert_eq!(
            udp,
            [(Some(WANTED.into()), COUNT), (Some(OTHER.into()), COUNT)],
            "{found:#?}"
        );
        assert!(found.iter().any(|route| route["protocol"] == "tcp"));
    }
}

#[test]
fn a_protocol_is_all_that_is_seen() {
    let line = line();
    for protocol in ["tcp", "udp", "icmp"] {
        // The namespace keeps out what else the machine does.
        let found = routes(
            &line,
            &["--protocol", protocol, "--netns", line.router.name()],
        );
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|route| route["protocol"] == protocol),
            "{found:#?}"
        );
        let sum: u64 = found
            .iter()
            .map(|route| route["packets"].as_u64().unwrap())
            .sum();
        match protocol {
            "udp" => assert_eq!(sum, 4 * COUNT, "{found:#?}"),
            "icmp" => assert_eq!(sum, 200, "{found:#?}"),
            _ => assert!(sum >= 200, "{found:#?}"),
        }
    }
}

#[test]
fn a_namespace_is_all_that_is_seen() {
    let line = line();
    let cases = [
        (&line.app, vec![("app0", "queue"), ("app0", "xmit")]),
        (
            &line.router,
            vec![
                ("r-app", "rx"),
                ("r-app", "receive"),
                ("r-db", "queue"),
                ("r-db", "xmit"),
            ],
        ),
        (
            &line.db,
            vec![("db0", "rx"), ("db0", "receive"), ("db0", "deliver")],
        ),
    ];
    for (ns, expected) in cases {
        let found = routes(&line, &["--netns", ns.name()]);
        assert!(
            found.iter().flat_map(hops).all(|hop| hop.0 == ns.name()),
            "{found:#?}"
        );
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(device, stage)| (ns.name(), device, stage))
            .collect();
        let udp: Vec<_> = found.iter().filter(|route| is_udp(route)).collect();
        assert_eq!(udp.len(), 4, "{udp:#?}");
        for route in udp {
            assert_eq!(
                (packets(route), hops(route)),
                (COUNT, expected.clone()),
                "{route}"
            );
            assert_eq!(route["ends"]["delivered"], COUNT, "{route}");
        }
    }
}

#[test]
fn a_device_is_all_that_is_seen() {
    let line = line();
    // A name that no other lab of the machine has.
    line.router.rename("r-db", "only-here").unwrap();
    let found = routes(&line, &["--device", "only-here"]);
    assert!(
        found.iter().flat_map(hops).all(|hop| hop.1 == "only-here"),
        "{found:#?}"
    );
    let udp: Vec<_> = found.iter().filter(|route| is_udp(route)).collect();
    assert_eq!(udp.len(), 4, "{udp:#?}");
    for route in udp {
        let expected = ["queue", "xmit"].map(|stage| (line.router.name(), "only-here", stage));
        assert_eq!(
            (packets(route), hops(route)),
            (COUNT, expected.to_vec()),
            "{route}"
        );
    }
}
