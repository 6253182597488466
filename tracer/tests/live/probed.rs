//! `tracer why DEST --probe`: the agent looks, and the command itself probes, in the connection's own
//! network namespace.

use std::time::Duration;

use lab::topology::Line;
use lab::{Lab, TcpServer, Users};
use serde_json::{Value, json};

use super::command::{Said, tracer};
use super::running::{Start, folder, write};

const PORT: u16 = 9390;

#[test]
fn the_way_beyond_the_next_hop_is_told_with_the_answer() {
    let line = Line::new(Lab::new("probed").unwrap()).unwrap();
    let folder = folder();
    let config = write(
        &folder,
        "tracer.toml",
        &format!("[filter]\nport = {PORT}\n"),
    );
    let agent = Start::live(&["--config", &config, "--max-cpu", "off"]).run();
    agent.wait_until_ready();
    let server = TcpServer::start(&line.db, (line.db_at.v4, PORT).into()).unwrap();
    let between = Duration::from_millis(50);
    let users = Users::start(
        (&line.app, line.app_at.v4.into()),
        server.address(),
        4,
        between,
    );

    let destination = line.db_at.v4.to_string();
    let socket = agent.socket();
    let arguments = [
        "why",
        &destination,
        "--probe",
        "--json",
        "--duration",
        "3s",
        "--socket",
        socket.to_str().unwrap(),
    ];
    let before = users.answers();
    let said = Said::from(tracer(&arguments).output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answer["schema"], "tracer.verdict/1");
    let probe = &answer["probe"];
    println!("{probe:#}");
    assert_eq!(probe["netns"], line.app.name());
    assert_eq!(
        (&probe["destination"], &probe["port"]),
        (&json!(destination), &json!(PORT))
    );
    let hops = probe["hops"].as_array().unwrap();
    let who: Vec<&Value> = hops.iter().map(|it| &it["address"]).collect();
    assert_eq!(who, [&json!("10.1.0.1"), &json!(destination)]);
    assert_eq!(hops[1]["says"], "accepts");
    assert_eq!(probe["bad_ports"], json!([]));
    // Whoever uses the service noticed nothing.
    assert!(users.answers() > before);
}

#[test]
fn without_a_connection_there_is_nothing_to_probe() {
    let folder = folder();
    let config = write(
        &folder,
        "tracer.toml",
        &format!("[filter]\nport = {PORT}\n"),
    );
    let arguments = ["why", "192.0.2.1", "--probe", "--duration", "100ms"];
    let more = ["--socket", "", "--config", &config];
    let said = Said::from(tracer(&[&arguments[..], &more].concat()).output().unwrap());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out
            .starts_with("CAN'T TELL: no TCP connection of 192.0.2.1"),
        "{said:?}"
    );
    let because = "send probes: no connection is known whose other end they could go to; try again";
    assert!(said.err.contains(because), "{said:?}");
}
