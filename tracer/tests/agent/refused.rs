//! What the agent can't start with, it says in one line.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::running::{Agent, Start, folder, write};

#[track_caller]
fn check(start: Start, code: i32, message: &str) {
    let (ended, said) = start.fail();
    assert_eq!(ended, Some(code), "{said}");
    let errors: Vec<_> = said
        .lines()
        .filter(|it| it.starts_with("tracer: "))
        .collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(errors[0].contains(message), "{said}");
    assert!(errors[0].contains("; try ") || code == 2, "{said}");
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = format!(
        "tracer: serve on {address}: Address already in use (os error 98); try --listen with \
         another port"
    );
    check(Start::new(&["--listen", &address]), 1, &message);
}

#[test]
fn a_second_agent_on_the_same_socket() {
    let agent = Agent::start(&[]);
    let socket = agent.socket();
    let second = Start::new(&["--socket", socket.to_str().unwrap()]);
    check(
        second,
        1,
        "another agent answers on it; try to end that one (tracer off)",
    );
    assert_eq!(agent.get("/healthz").code, 200);
    assert!(socket.exists(), "the first one keeps its socket");
}

#[test]
fn a_socket_that_was_left_behind_is_taken_over() {
    let folder = folder();
    let path = folder.join("left");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let agent = Agent::start(&["--socket", path.to_str().unwrap()]);
    assert_eq!(agent.get("/healthz").code, 200);
}

#[test]
fn a_socket_in_a_place_that_can_t_be_written_to() {
    // Not even root makes folders there.
    let start = Start::new(&["--socket", "/proc/tracer/tracer.sock"]);
    check(start, 1, "serve on the socket /proc/tracer/tracer.sock: ");
}

#[test]
fn an_address_for_everyone_without_tls_and_password() {
    let start = Start::new(&["--listen", "0.0.0.0:0"]);
    let message = "tracer: serve on 0.0.0.0:0: others than this host could ask, without TLS and \
                   without a password; try --web-config with either";
    check(start, 1, message);
    let agent = Start::new(&["--listen", "0.0.0.0:0", "--insecure-listen"]).run();
    agent.wait_until_ready();
}

#[test]
fn a_web_configuration_that_is_wrong() {
    let folder = folder();
    let check = |text: &str, code, message: &str| {
        let file = write(&folder, "web.yml", text);
        check(Start::new(&["--web-config", &file]), code, message);
    };
    check("tls: {}", 2, "unknown field `tls`");
    check(
        "tls_server_config: {cert_file: none.crt, key_file: none.key}",
        1,
        "none.key",
    );
    write(&folder, "empty.pem", "");
    check(
        "tls_server_config: {cert_file: empty.pem, key_file: empty.pem}",
        1,
        "read the TLS key",
    );
    let missing = Start::new(&["--web-config", "/nowhere/web.yml"]);
    self::check(
        missing,
        2,
        "read web configuration /nowhere/web.yml: No such file",
    );
}

#[test]
fn a_recording_that_is_none() {
    let folder = folder();
    let file = write(&folder, "reading.json", "{}");
    check(
        Start::of(&file, &[]),
        1,
        "reading.json: it is no recording: missing field `schema`",
    );
}

#[test]
fn a_configuration_that_is_wrong() {
    let folder = folder();
    let file = write(&folder, "tracer.toml", "[agent]\nlisten = 1\n");
    check(Start::new(&["--config", &file]), 2, "line 2: agent.listen");
}
