//! What `tracer export` prints is what Prometheus understands, and says what it should.

use std::process::Command;

use super::running::{folder, write};
use super::scraped::program;

fn exported(what: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    let output = command.args(["export", what]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A host whose agent finds something after two minutes and stops after ten, and one that is not
/// scraped.
const TESTS: &str = r#"
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'tracer_incident_active{instance="a",job="tracer",verdict="path",severity="critical"}'
        values: '0 0 1 1 1 0 0 0 0 0'
      - series: 'tracer_heartbeat_timestamp_seconds{instance="a",job="tracer"}'
        values: '0+60x10 600x20'
      - series: 'up{instance="a",job="tracer"}'
        values: '1x30'
      - series: 'up{instance="b",job="tracer"}'
        values: '0x30'
    alert_rule_test:
      - {eval_time: 1m, alertname: TracerIncident, exp_alerts: []}
      - eval_time: 3m
        alertname: TracerIncident
        exp_alerts:
          - exp_labels: {severity: critical, instance: a, verdict: path}
            exp_annotations:
              summary: "path: something is wrong on a"
              description: "On that host `tracer incidents` says what, where and since when."
      - {eval_time: 6m, alertname: TracerIncident, exp_alerts: []}
      - {eval_time: 10m, alertname: TracerSilent, exp_alerts: []}
      - eval_time: 15m
        alertname: TracerSilent
        exp_alerts:
          - exp_labels: {severity: warning, instance: a, job: tracer}
            exp_annotations:
              summary: "tracer on a has judged nothing for two minutes"
              description: "No incident of that host would be seen. `tracer doctor` and its log say why."
      - eval_time: 5m
        alertname: TracerAbsent
        exp_alerts:
          - exp_labels: {severity: warning, instance: b, job: tracer}
            exp_annotations:
              summary: "tracer is not scraped: b"
              description: "Whether anything is wrong there is not known."
"#;

#[test]
fn the_rules_are_understood_and_say_what_they_should() {
    let folder = folder();
    write(&folder, "rules.yml", &exported("rules"));
    let tests = write(&folder, "tests.yml", TESTS);
    let rules = folder.join("rules.yml");
    let rules = rules.to_str().unwrap();
    for arguments in [&["check", "rules", rules][..], &["test", "rules", &tests]] {
        let output = Command::new(program("prometheus", "promtool"))
            .args(arguments)
            .output()
            .unwrap();
        let said = [&*output.stdout, &*output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
