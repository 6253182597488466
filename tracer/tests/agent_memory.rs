//! How much memory the page of metrics takes: alone in its process, so that it can be measured.

#[path = "agent/host.rs"]
mod host;

use std::sync::{Arc, Mutex};

use tracer::sink::prometheus::{Form, Health, Ledger, Page, Settings, to_bytes};

use self::host::{A_CLASS, reading};

/// What this process holds, in MB: now, and at most.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse::<u64>().unwrap() / 1024
    };
    (kb("VmRSS:"), kb("VmHWM:"))
}

/// The readings come in parts here: how much room one takes is no matter of the ledger's.
#[test]
fn the_ledger_of_a_hundred_thousand_series_and_its_page_take_little_memory() {
    let (before, _) = resident();
    let mut ledger = Ledger::new(Settings {
        max_series: 1_000_000,
    });
    for first in 0..100 {
        ledger.add(&reading(first * 100..(first + 1) * 100));
    }
    assert_eq!(ledger.series(), 1_000 * A_CLASS * 10);
    let (held, _) = resident();
    let page = Page {
        ledger: Arc::new(Mutex::new(ledger)),
        health: Health::default(),
    };
    let bytes = to_bytes(&page, Form::Protobuf).len();
    let (_, highest) = resident();
    println!(
        "the ledger holds {} MB; with a page of {bytes} bytes {} MB",
        held - before,
        highest - before
    );
    assert!(highest - before < 150, "{before} {held} {highest}");
}
