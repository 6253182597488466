//! The command as a user runs it, on recordings.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;

fn tracer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(arguments).env_remove("COLUMNS");
    command
}

fn recording() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/lab.json").to_owned()
}

/// A file for one test alone.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the target folder can be written to");
    path
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

fn check_failure(arguments: &[&str], code: i32, message: &str) {
    let output = tracer(arguments).output().expect("the command runs");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(message), "{said}");
}

#[test]
fn a_recording_is_shown_as_text() {
    insta::assert_snapshot!(stdout(&mut tracer(&["routes", "--replay", &recording()])));
}

#[test]
fn a_recording_is_shown_as_wide_as_columns_says() {
    let mut command = tracer(&["routes", "--replay", &recording()]);
    let wide = stdout(command.env("COLUMNS", "120"));
    assert!(
        wide.lines().any(|line| line.chars().count() > 100),
        "{wide}"
    );
}

#[test]
fn a_recording_is_shown_as_json() {
    let text = stdout(&mut tracer(&["routes", "--json", "--replay", &recording()]));
    let routes: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(routes["schema"], "tracer.routes/1");
    assert_eq!(routes["duration_s"], 10.0);
    assert_eq!(routes["routes"][0]["source"], "app");
    assert_eq!(routes["routes"][0]["port"], 9000);
    assert_eq!(
        routes["routes"][0]["hops"][0]["segment"],
        serde_json::Value::Null
    );
    assert_eq!(
        routes["routes"][0]["hops"][1]["segment"]["name"],
        "queue→xmit"
    );
    assert_eq!(routes["routes"][0]["ends"]["dropped"]["NO_SOCKET"], 2);
}

#[test]
fn a_broken_recording_fails_with_one_line() {
    let path = file("broken.json", "{\"schema\":\"tracer.reading/1\"}");
    let path = path.to_str().expect("the path is UTF-8");
    let message = "broken.json: missing field `kernel`";
    check_failure(&["routes", "--replay", path], 1, message);
}

#[test]
fn a_wrong_configuration_is_a_wrong_usage() {
    let path = file("wrong.toml", "[limits]\npackets = 3\n");
    let path = path.to_str().expect("the path is UTF-8");
    let message = "wrong.toml, line 2: limits.packets: 3 is no power of two; allowed: a power of \
                   two from 16 to 16777216\n";
    check_failure(&["routes", "--config", path], 2, message);
}

#[test]
fn a_wrong_argument_is_a_wrong_usage() {
    check_failure(
        &["routes", "--duration", "soon"],
        2,
        "\"soon\" is no duration",
    );
    check_failure(&["roots"], 2, "routes");
}

#[test]
fn the_doctor_gives_its_verdict_in_both_forms() {
    let text = tracer(&["doctor"]).output().expect("the command runs");
    let json = tracer(&["doctor", "--json"])
        .output()
        .expect("the command runs");
    let verdict: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    let works = verdict["works"].as_bool().expect("a verdict");
    assert_eq!(text.status.success(), works);
    assert_eq!(json.status.success(), works);
    assert_eq!(verdict["schema"], "tracer.doctor/1");
}
