//! The agent under a service manager: what it tells, and when.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::running::{Start, folder, write};

/// Reads until a message says this.
#[track_caller]
fn hear(socket: &UnixDatagram, expected: &str) -> String {
    let mut bytes = [0; 512];
    let mut heard = Vec::new();
    for _ in 0..100 {
        let length = socket.recv(&mut bytes).unwrap_or_else(|cause| {
            panic!("{expected}: {cause}; heard {heard:?}");
        });
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if message.lines().any(|line| line == expected) {
            return message;
        }
        heard.push(message);
    }
    panic!("{expected} never came; heard {heard:?}");
}

#[test]
fn a_service_manager_hears_of_every_change() {
    let folder = folder();
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let config = write(&folder, "tracer.toml", "");
    let mut start = Start::new(&["--config", &config]);
    start
        .command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "10000000")
        .env_remove("WATCHDOG_PID");
    let agent = start.run();
    hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");
    agent.signal(Signal::SIGHUP);
    let message = hear(&socket, "RELOADING=1");
    assert!(message.contains("MONOTONIC_USEC="), "{message}");
    hear(&socket, "READY=1");
    assert_eq!(agent.end(Signal::SIGTERM).0, Some(0));
    hear(&socket, "STOPPING=1");
}

/// In tenths of systemd's measure, of 100.
#[test]
fn the_unit_exposes_the_host_to_no_more_than_30() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/tracer.service");
    let judged = Command::new("systemd-analyze")
        .args([
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold=30",
            unit,
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout);
    let verdict = said.lines().rfind(|line| line.contains("exposure level"));
    println!("{verdict:?}");
    assert!(verdict.is_some() && judged.status.success(), "{judged:?}");
}
