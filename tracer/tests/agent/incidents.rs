//! Incidents as whoever is called at night asks for them; and what is said where there is no agent.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::Value;
use tracer::model::incident::{Found, Incident, Severity, State};
use tracer::model::verdict::Word;
use tracer::store::Settings;
use tracer::store::incidents::{IncidentNews, Incidents};

use super::asked::{Answer, ask};
use super::running::{Agent, Folder, folder, wait_until};

fn tracer(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let both = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8(both).unwrap()
}

/// An incident that lasted when the agent before was killed; its stream was lost with it.
pub(crate) fn written(folder: &Folder) {
    let settings = Settings {
        directory: folder.to_path_buf(),
        ..Settings::default()
    };
    let incident = Incident {
        number: 7,
        revision: 3,
        state: State::Open,
        severity: Severity::Critical,
        verdict: Word::Path,
        place: "next hop 10.1.0.1".to_owned(),
        change: 1_763_899_200_000_000_000,
        last_bad: 1_763_899_260_000_000_000,
        findings: vec![Found {
            measure: "latency",
            kind: "shift",
            ..Found::default()
        }],
        found: 1,
        lasting: 1,
        episodes: 1,
        ..Incident::default()
    };
    let (mut store, ..) = Incidents::open(&settings).unwrap();
    let news = IncidentNews {
        incidents: vec![(7, Some(incident))],
        next: 8,
        ..IncidentNews::default()
    };
    store.write(&news).unwrap();
}

pub(crate) fn post(socket: &Path, path: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    Answer::read(stream)
}

fn json(agent: &Agent) -> Value {
    serde_json::from_str(&agent.get("/api/incidents").text()).unwrap()
}

#[test]
fn what_lasted_is_there_after_a_restart_and_is_accepted_over_the_socket_alone() {
    let state = folder();
    written(&state);
    let arguments = ["--state-directory", state.to_str().unwrap()];
    let agent = Agent::start(&arguments);
    wait_until("it judges", || {
        agent.metric("tracer_heartbeat_timestamp_seconds") > Some(1e9)
    });
    let page = json(&agent);
    assert_eq!(page["schema"], "tracer.incidents/1");
    assert_eq!(page["not_on_disk"], Value::Null);
    assert_eq!(page["incidents"][0]["id"], "INC-7");
    // Whose stream is not there any more can't last, and is not over either.
    assert_eq!(page["incidents"][0]["state"], "recovering");
    let active = "tracer_incident_active{verdict=\"path\",severity=\"critical\"}";
    assert_eq!(agent.metric(active), Some(1.0));

    let head = "POST /api/incidents/INC-7/accept HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(ask(agent.address, head).code, 404, "not over TCP");
    assert_eq!(
        post(&agent.socket(), "/api/incidents/INC-9/accept").code,
        409
    );
    assert_eq!(post(&agent.socket(), "/api/incidents/x/accept").code, 400);

    let socket = agent.socket();
    let socket = socket.to_str().unwrap();
    let listed = said(&tracer(&["incidents", "--socket", socket]));
    assert!(listed.contains("INC-7  PATH  critical"), "{listed}");
    let report = state.join("INC-7.md");
    let done = tracer(&[
        "incidents",
        "7",
        "--report",
        report.to_str().unwrap(),
        "--socket",
        socket,
    ]);
    assert!(done.status.success(), "{}", said(&done));
    let draft = std::fs::read_to_string(&report).unwrap();
    assert!(
        draft.starts_with("# INC-7: PATH at next hop 10.1.0.1\n"),
        "{draft}"
    );

    let done = tracer(&["incidents", "accept", "INC-7", "--socket", socket]);
    assert!(said(&done).contains("INC-7 is accepted"), "{}", said(&done));
    let again = tracer(&["incidents", "accept", "INC-7", "--socket", socket]);
    assert!(
        said(&again).contains("INC-7 is over already"),
        "{}",
        said(&again)
    );
    assert!(!again.status.success());
    // A page is made from the last reading.
    wait_until("it counts no more", || agent.metric(active) == Some(0.0));
    // Killed at once: what was accepted is on disk.
    wait_until("it is on disk", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        true
    });
    agent.end(Signal::SIGKILL);
    let agent = Agent::start(&arguments);
    wait_until("it is there", || {
        json(&agent)["incidents"][0]["state"] == "closed"
    });
    assert_eq!(json(&agent)["incidents"][0]["ended_by"], "accepted");
}

#[test]
fn without_an_agent_the_last_one_s_incidents_are_read_and_the_rest_is_refused() {
    let state = folder();
    let directory = state.to_str().unwrap();
    let socket = state.join("nobody.sock");
    let socket = socket.to_str().unwrap();
    let with = |arguments: &[&str]| {
        let places = ["--socket", socket, "--state-directory", directory];
        tracer(&[&["incidents"], arguments, &places].concat())
    };
    let none = with(&[]);
    assert!(!none.status.success());
    assert!(
        said(&none).contains("incidents.redb: there is none; try"),
        "{}",
        said(&none)
    );
    written(&state);
    let listed = with(&[]);
    assert!(listed.status.success());
    assert!(said(&listed).contains("no agent runs"), "{}", said(&listed));
    assert!(
        said(&listed).contains("INC-7  PATH  critical  open"),
        "{}",
        said(&listed)
    );
    assert!(said(&with(&["8"])).contains("find INC-8: there is none; try"));
    for refused in [&["accept", "INC-7"][..], &["--follow"]] {
        let output = with(refused);
        assert!(!output.status.success());
        let text = said(&output);
        assert!(
            text.contains("no agent listens on") && text.contains("; try to start it"),
            "{text}"
        );
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_the_agent_judges_on() {
    let state = folder();
    std::fs::write(state.join("incidents.redb"), "not a database, however long").unwrap();
    let agent = Agent::start(&["--state-directory", state.to_str().unwrap()]);
    wait_until("it judges", || {
        agent.metric("tracer_heartbeat_timestamp_seconds") > Some(1e9)
    });
    assert_eq!(agent.metric("tracer_incidents_on_disk"), Some(1.0));
    assert!(state.join("incidents.damaged").exists());
    assert!(
        agent.log().contains("it was set aside as"),
        "{}",
        agent.log()
    );
}
