//! SIGHUP: the configuration is followed anew, and no count is lost.

use nix::sys::signal::Signal;

use super::asked::ask;
use super::running::{Agent, Start, folder, metric, wait_until, write};

const SUCCESSFUL: &str = "tracer_config_last_reload_successful";
const SINCE: &str = "tracer_config_last_reload_success_timestamp_seconds";
const ATTACHED: &str = "tracer_attachments_total";

/// All counts of packets.
fn packets(page: &str) -> Vec<String> {
    let lines = page.lines();
    let packets = lines.filter(|it| {
        it.starts_with("tracer_packets_total{")
            || it.starts_with("tracer_segment_latency_seconds_count{")
    });
    packets.map(str::to_owned).collect()
}

#[test]
fn a_filter_that_changes_attaches_anew_and_keeps_every_count() {
    let folder = folder();
    let config = write(&folder, "tracer.toml", "");
    let agent = Agent::start(&["--config", &config]);
    let before = agent.get("/metrics").text();
    assert_eq!(metric(&before, ATTACHED), Some(1.0));

    write(&folder, "tracer.toml", "[filter]\nport = 5432\n");
    agent.signal(Signal::SIGHUP);
    wait_until("it attaches anew", || agent.metric(ATTACHED) == Some(2.0));
    wait_until("it says so", || {
        agent.metric(SINCE) > metric(&before, SINCE)
    });
    let after = agent.get("/metrics").text();
    assert_eq!(packets(&after), packets(&before));
    assert_eq!(metric(&after, SUCCESSFUL), Some(1.0));
}

#[test]
fn a_broken_configuration_leaves_the_one_before_and_says_so() {
    let folder = folder();
    let config = write(&folder, "tracer.toml", "");
    let agent = Agent::start(&["--config", &config]);
    let before = agent.get("/metrics").text();
    assert_eq!(metric(&before, SUCCESSFUL), Some(1.0));

    write(&folder, "tracer.toml", "[agent]\nconnections = 0\n");
    agent.signal(Signal::SIGHUP);
    wait_until("it says so", || agent.metric(SUCCESSFUL) == Some(0.0));
    assert!(
        agent
            .log()
            .contains("line 2: agent.connections: 0 is too few"),
        "{}",
        agent.log()
    );
    let after = agent.get("/metrics").text();
    assert_eq!(metric(&after, SINCE), metric(&before, SINCE));
    assert_eq!(packets(&after), packets(&before));

    write(&folder, "tracer.toml", "[agent]\nconnections = 9\n");
    agent.signal(Signal::SIGHUP);
    wait_until("it is well again", || agent.metric(SUCCESSFUL) == Some(1.0));
    assert_eq!(agent.metric(ATTACHED), Some(1.0));
}

#[test]
fn the_address_moves_and_a_taken_one_is_refused() {
    let folder = folder();
    let config = write(
        &folder,
        "tracer.toml",
        "[agent]\nlisten = \"127.0.0.1:0\"\n",
    );
    let mut start = Start::new(&["--listen", "127.0.0.1:0", "--config", &config]);
    // The file's address counts only where the arguments name none.
    let arguments: Vec<_> = start.command.get_args().map(ToOwned::to_owned).collect();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tracer"));
    let listen = arguments.iter().position(|it| it == "--listen").unwrap();
    command
        .args(&arguments[..listen])
        .args(&arguments[listen + 2..]);
    start.command = command;
    let agent = start.run();
    agent.wait_until_ready();

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("[agent]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    write(&folder, "tracer.toml", &text);
    agent.signal(Signal::SIGHUP);
    wait_until("it says so", || agent.metric(SUCCESSFUL) == Some(0.0));
    assert!(
        agent.log().contains("Address already in use"),
        "{}",
        agent.log()
    );

    drop(taken);
    agent.signal(Signal::SIGHUP);
    let moved = agent.wait_for_address(1);
    assert!(text.contains(&moved.to_string()));
    wait_until("it answers there", || {
        ask(moved, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").code == 200
    });
    // Its task ends when it runs next.
    wait_until("the old one is closed", || {
        std::net::TcpStream::connect(agent.address).is_err()
    });
}

#[test]
fn room_for_series_grows() {
    let folder = folder();
    let config = write(&folder, "tracer.toml", "[metrics]\nmax_series = 10\n");
    let agent = Agent::start(&["--config", &config]);
    assert_eq!(agent.metric("tracer_series"), Some(10.0));
    assert!(agent.metric("tracer_series_overflow_total") > Some(0.0));
    assert!(agent.metric("tracer_packets_total{overflow=\"true\"}") > Some(0.0));
    write(&folder, "tracer.toml", "[metrics]\nmax_series = 1000\n");
    agent.signal(Signal::SIGHUP);
    wait_until("there is room", || {
        agent.metric("tracer_series") > Some(10.0)
    });
    assert_eq!(agent.metric("tracer_series_limit"), Some(1000.0));
}
