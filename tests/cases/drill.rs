//! A part of the drill, short enough for every change: faults and innocents one after another before
//! the real agent, and not one wrong word.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// One fault of each word, and three innocents. No two of the faults are at one place, since the one
/// before may not be over yet; so its incidents are not held against the next one, and the screen
/// alone is judged.
const FAULTS: [&str; 4] = [
    "old-road-slow",
    "firewall-drops",
    "database-10x",
    "reads-late",
];
const INNOCENTS: [&str; 3] = ["innocent-nothing", "innocent-route", "innocent-traffic-10x"];

/// Drills, and returns what was measured.
fn drill(arguments: &[&str]) -> Value {
    let name = format!("drill-{}.json", std::process::id());
    let file = std::env::temp_dir().join(name);
    let done = Command::new(env!("CARGO_BIN_EXE_lab-bench"))
        .args(["drill", "--recovery", "0", "--json"])
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap();
    let [said, errors] = [&done.stdout, &done.stderr].map(|it| String::from_utf8_lossy(it));
    println!("{said}\n{errors}");
    assert!(done.status.success(), "the drill is not passed");
    measured(&file)
}

fn measured(file: &Path) -> Value {
    let measured = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    std::fs::remove_file(file).unwrap();
    measured
}

fn trials(measured: &Value) -> &Vec<Value> {
    measured["trials"].as_array().unwrap()
}

#[test]
fn faults_are_named_and_innocents_left_alone() {
    let mut arguments = vec!["--warm", "80", "--lasts", "18"];
    arguments.extend(FAULTS.iter().chain(&INNOCENTS));
    let measured = drill(&arguments);
    for trial in trials(&measured) {
        assert_eq!(trial["by_screen"], "hit", "{trial:#}");
        let is_guilty = FAULTS.iter().any(|it| trial["fault"] == *it);
        assert!(!is_guilty || trial["detected_s"].is_number(), "{trial:#}");
    }
    assert_eq!(trials(&measured).len(), FAULTS.len() + INNOCENTS.len());
}

#[test]
fn an_agent_that_starts_when_nobody_changes_anything_any_more_names_the_outdated_route() {
    // The drill fails where the screen does not say that there is no baseline.
    let arguments = ["--cold", "--view", "all,app", "route-outdated"];
    let measured = drill(&arguments);
    for trial in trials(&measured) {
        assert_eq!(trial["by_screen"], "hit", "{trial:#}");
        let place = trial["where"].as_str().unwrap();
        assert!(place.contains("10.12.0.1"), "{trial:#}");
        // How long that takes from the agent's start on is the bench's to tell.
        assert!(trial["detected_s"].is_number(), "{trial:#}");
    }
    assert_eq!(trials(&measured).len(), 2);
}

#[test]
fn whoever_sees_one_host_sees_nothing_of_another() {
    // The drill fails where a view shows a hop or a socket of another namespace.
    let arguments = ["--warm", "30", "--lasts", "12", "--view", "app,db"];
    let measured = drill(&[&arguments[..], &["innocent-nothing"]].concat());
    let views: Vec<&Value> = trials(&measured).iter().map(|it| &it["view"]).collect();
    assert_eq!(views, ["app", "db"]);
}
