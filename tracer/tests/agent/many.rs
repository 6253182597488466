//! A host with very many routes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracer::sink::prometheus::{Form, Health, Ledger, Page, Settings, to_bytes};
use tracer::source::replay;

use super::host::{A_CLASS, reading};
use super::running::{Agent, Start, folder, metric, write};

/// An agent of a host that makes so many sets of labels.
pub(crate) fn agent(series: usize) -> Agent {
    let folder = folder();
    let path = folder.join("many.json");
    replay::record(&reading(0..series / A_CLASS), &path).unwrap();
    let config = write(&folder, "tracer.toml", "[metrics]\nmax_series = 1000000\n");
    let agent = Start::of(path.to_str().unwrap(), &["--config", &config]).run();
    agent.wait_until_ready();
    agent
}

/// The best of some, since other work runs beside it.
fn made_in(series: usize, form: Form) -> (Duration, usize) {
    let mut ledger = Ledger::new(Settings {
        max_series: 1_000_000,
    });
    ledger.add(&reading(0..series / A_CLASS));
    assert_eq!(ledger.series(), series);
    let page = Page {
        ledger: Arc::new(Mutex::new(ledger)),
        health: Health::default(),
    };
    let timed = (0..5).map(|_| {
        let start = Instant::now();
        let bytes = to_bytes(&page, form).len();
        (start.elapsed(), bytes)
    });
    timed.min().unwrap()
}

/// Ten times as many series take ten times as long, and somewhat more where they outgrow a cache;
/// a page that looked at all series for each one would take a hundred times as long.
#[test]
fn a_page_takes_as_long_as_it_has_series() {
    for (form, few) in [(Form::Protobuf, 10_000), (Form::OpenMetrics, 1_000)] {
        let (once, length) = made_in(few, form);
        let (ten_times, ten_lengths) = made_in(10 * few, form);
        let ratio = ten_times.as_secs_f64() / once.as_secs_f64();
        println!(
            "{form:?}: {few} in {once:.1?} ({length} bytes), {} in {ten_times:.1?} \
             ({ten_lengths} bytes): {ratio:.1} times",
            10 * few
        );
        assert!(ratio < 40.0, "{form:?}: {ratio}");
    }
}

#[test]
fn a_hundred_thousand_series_are_served() {
    let agent = agent(100_000);
    let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited";
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
        let line = |name| {
            status
                .lines()
                .find(|it| it.starts_with(name))
                .unwrap()
                .to_owned()
        };
        (line("VmRSS"), line("VmHWM"))
    };
    println!("before: {:?}", resident());
    let start = Instant::now();
    let page = agent.get_as("/metrics", prometheus);
    let took = start.elapsed();
    println!("{} bytes in {took:.2?}: {:?}", page.body.len(), resident());
    assert_eq!(page.code, 200);
    assert!(page.body.len() > 10_000_000, "{}", page.body.len());
    assert!(took.as_secs() < 5, "{took:?}");
    let (now, _) = resident();
    let kilobytes = now.split_whitespace().nth(1).unwrap().parse::<u64>();
    assert!(kilobytes.unwrap() < 150_000, "{now}");
}

#[test]
fn a_page_of_text_has_all_its_lines() {
    let agent = agent(1_000);
    let page = agent.get("/metrics").text();
    assert_eq!(metric(&page, "tracer_series"), Some(1_000.0));
    let samples = page.lines().filter(|line| line.contains("source=")).count();
    assert_eq!(samples, 500 + 500 * 32);
}
