//! `--json` on real packets has the keys that its documentation lists, and no others.

use std::collections::BTreeSet;

use lab::topology::Nat;
use lab::{Lab, NumberedUdp};
use serde_json::Value;

use super::command::Running;

const DOCUMENTATION: &str = include_str!("../../docs/routes-json.md");

/// What a hop has where the mirror of its namespace knows it.
const OPTIONAL: [(&str, &str); 3] = [
    ("next_hop", "A peer"),
    ("previous_hop", "A peer"),
    ("fib", "A FIB entry"),
];

/// The keys that a section of the documentation lists.
fn documented(section: &str) -> BTreeSet<String> {
    let (_, text) = DOCUMENTATION
        .split_once(&format!("## {section}\n"))
        .unwrap();
    let text = text.split("\n#").next().unwrap();
    // A row's first column, or a line of keys alone.
    let lists = text
        .lines()
        .map(|line| line.strip_prefix("| ").unwrap_or(line));
    let lists = lists
        .filter(|line| line.starts_with('`'))
        .map(|line| line.split('|').next().unwrap());
    let keys = lists.flat_map(|list| list.split('`').skip(1).step_by(2));
    keys.map(str::to_owned).collect()
}

#[track_caller]
fn check(value: &Value, expected: &BTreeSet<String>) {
    let keys: BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(&keys, expected);
}

#[test]
fn each_object_has_the_documented_keys() {
    let nat = Nat::new(Lab::new("schema").unwrap()).unwrap();
    let running = Running::start(&["--json", "--port", "8000"]);
    let from = (&nat.app, nat.app_at.v4.into());
    let udp = NumberedUdp {
        target: Some(nat.service.into()),
        ..NumberedUdp::new(from, (&nat.db, nat.behind.into()))
    };
    assert_eq!(udp.run().unwrap().received, 1000);
    let said = running.interrupt();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out.trim_end().lines().count(), 1);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["schema"], "tracer.routes/1");
    let (latency, ends) = (documented("A latency"), documented("Ends"));
    let mut segment = latency.clone();
    segment.extend(["name".to_owned(), "share".to_owned()]);
    check(&report, &documented("The report"));
    assert!(
        report["losses"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_u64)
    );
    let routes = report["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 1);
    for route in routes {
        check(route, &documented("A route"));
        check(&route["total"], &latency);
        check(&route["ends"], &ends);
        check(
            &route["balance"],
            &["came", "ended", "difference"].map(str::to_owned).into(),
        );
        for (index, hop) in route["hops"].as_array().unwrap().iter().enumerate() {
            check(hop, &documented("A hop"));
            check(&hop["ends"], &ends);
            for (key, section) in OPTIONAL {
                if !hop[key].is_null() {
                    check(&hop[key], &documented(section));
                }
            }
            assert_eq!(hop["packets"], 1000, "{report}");
            match index {
                0 => assert!(hop["segment"].is_null()),
                _ => check(&hop["segment"], &segment),
            }
        }
    }
    let translated = &routes[0]["hops"][4]["translated"];
    let keys = ["source", "source_port", "destination", "destination_port"];
    check(translated, &keys.map(str::to_owned).into());
}
