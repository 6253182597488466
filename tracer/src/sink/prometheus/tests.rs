//! The page of the lab in each form, and what a ledger makes of readings that behave badly.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::model::journal::Age;
use crate::model::{Histogram, Parent, ProgramWork, Reading, example};

fn page(readings: &[Reading]) -> Page {
    page_of(ledger(readings, Settings::default()))
}

fn page_of(ledger: Ledger) -> Page {
    Page {
        ledger: Arc::new(Mutex::new(ledger)),
        health: Health {
            changes: vec![("route", "static".to_owned(), 3)],
            journal_failures: 0,
            journal_on_disk: true,
            version: "0.0.0",
            kernel: "6.18.0-lab".to_owned(),
            refused: vec![("connections", 3)],
            governor: Governed {
                budget: Some(0.01),
                used: 0.0025,
                sampling: 0.125,
                steps: vec![("down", 2), ("up", 1)],
            },
            process: Some(Process::default()),
            ..Health::default()
        },
    }
}

fn ledger(readings: &[Reading], settings: Settings) -> Ledger {
    let mut ledger = Ledger::new(settings);
    for reading in readings {
        ledger.add(reading);
    }
    ledger
}

fn text(page: &Page) -> String {
    String::from_utf8(to_bytes(page, Form::OpenMetrics)).unwrap()
}

/// The samples of a page of text: name and labels, and value.
fn samples(text: &str) -> Vec<(String, f64)> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn sockets_coverage_and_the_host_are_told() {
    let text = text(&page(&[crate::model::connection::example::lab()]));
    let told = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        [
            "rtt_seconds_",
            "service_seconds_",
            "exchanges_",
            "tcp_events_",
            "coverage_",
            "host_",
        ]
        .iter()
        .any(|it| {
            name.strip_prefix("tracer_")
                .is_some_and(|rest| rest.starts_with(it))
        }) && !name.ends_with("_bucket")
    };
    let lines: Vec<&str> = text.lines().filter(told).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_passes_is_told() {
    let text = text(&page(
        &[crate::model::connection::example::lab_on_the_way()],
    ));
    let told = |line: &&str| line.starts_with("tracer_passing_") && !line.contains("_bucket{");
    let lines: Vec<&str> = text.lines().filter(told).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// The sum of the series whose names start so.
fn sum(ledger: &Ledger) -> (u64, u64, u64, u64) {
    let histograms = |series: &super::ledger::Series<sparse::Sparse>| {
        series.values().map(sparse::Sparse::count).sum::<u64>()
    };
    let all = &ledger.series;
    (
        all.packets.values().sum(),
        all.drops.values().sum(),
        histograms(&all.segments),
        histograms(&all.routes),
    )
}

#[test]
fn the_lab_as_open_metrics() {
    let page = text(&page(&[example::lab()]));
    // All buckets look like those of the first series.
    let mut buckets = 0;
    let shown = page.lines().filter(|line| {
        buckets += usize::from(line.contains("_bucket{"));
        buckets <= 30 || !line.contains("_bucket{")
    });
    insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_classic_page_describes_metrics_by_their_whole_names() {
    let page = page(&[example::lab()]);
    let classic = String::from_utf8(to_bytes(&page, Form::Classic)).unwrap();
    let comments: Vec<_> = classic
        .lines()
        .filter(|line| line.starts_with('#'))
        .collect();
    assert!(
        comments.contains(&"# TYPE tracer_packets_total counter"),
        "{comments:#?}"
    );
    assert!(comments.contains(&"# TYPE tracer_build_info gauge"));
    assert!(comments.contains(&"# TYPE tracer_segment_latency_seconds histogram"));
    assert_eq!(comments.len(), 2 * FAMILIES.len());
    assert_eq!(samples(&classic), samples(&text(&page)));
}

/// `io.prometheus.client.MetricFamily` as a scraper reads it.
#[derive(Message)]
struct ReadFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<ReadMetric>,
}

#[derive(Message)]
struct ReadMetric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<ReadLabel>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<protobuf::Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<protobuf::Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<protobuf::NativeHistogram>,
}

#[derive(Message)]
struct ReadLabel {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn families(page: &Page) -> Vec<ReadFamily> {
    let bytes = to_bytes(page, Form::Protobuf);
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        found.push(ReadFamily::decode_length_delimited(&mut rest).unwrap());
    }
    found
}

#[test]
fn protobuf_says_what_the_text_says() {
    let page = page(&[example::lab()]);
    let families = families(&page);
    let names: Vec<_> = families.iter().map(|family| family.name.clone()).collect();
    assert_eq!(names, FAMILIES.iter().map(Family::name).collect::<Vec<_>>());

    let mut from_text = samples(&text(&page));
    from_text.retain(|(series, _)| !series.contains("_bucket{") && !series.contains("_sum"));
    let mut from_messages = Vec::new();
    for family in &families {
        for metric in &family.metric {
            let labels = metric.label.iter();
            let labels: Vec<_> = labels
                .map(|label| format!("{}={:?}", label.name, label.value))
                .collect();
            let count = if family.kind == 4 { "_count" } else { "" };
            let labels = match labels.len() {
                0 => String::new(),
                _ => format!("{{{}}}", labels.join(",")),
            };
            let number = metric.counter.as_ref().or(metric.gauge.as_ref());
            let histogram = metric.histogram.as_ref();
            let value = number.map(|it| it.value);
            let value = value.or(histogram.map(|it| it.sample_count as f64));
            from_messages.push((format!("{}{count}{labels}", family.name), value.unwrap()));
        }
    }
    for (message, text) in from_messages.iter().zip(&from_text) {
        assert_eq!(message, text);
    }
    assert_eq!(from_messages.len(), from_text.len());
}

#[test]
fn a_native_histogram_counts_each_latency_once() {
    for family in families(&page(&[example::lab()])) {
        for histogram in family.metric.iter().filter_map(|it| it.histogram.as_ref()) {
            assert_eq!(histogram.schema, 3);
            let (mut count, mut sum) = (0, histogram.zero_count.cast_signed());
            for delta in &histogram.positive_delta {
                count += delta;
                sum += count;
            }
            assert_eq!(sum, histogram.sample_count.cast_signed());
        }
    }
}

#[test]
fn no_series_stands_there_twice() {
    // The namespaces lab-r1 and lab-r2 under one name, and every device too.
    let mut reading = example::lab_with_a_detour();
    for node in &mut reading.nodes {
        "r".clone_into(&mut node.hop_mut().namespace.name);
        "eth0".clone_into(&mut node.hop_mut().device);
    }
    let merged = ledger(&[reading], Settings::default());
    let apart = ledger(&[example::lab_with_a_detour()], Settings::default());
    assert_eq!(sum(&merged), sum(&apart));
    assert!(merged.series() < apart.series());

    let text = text(&page_of(merged));
    let mut series: Vec<_> = samples(&text)
        .into_iter()
        .map(|(series, _)| series)
        .collect();
    let all = series.len();
    series.sort();
    series.dedup();
    assert_eq!(series.len(), all);
}

#[test]
fn the_same_reading_again_adds_nothing() {
    let once = ledger(&[example::lab()], Settings::default());
    let twice = ledger(&[example::lab(), example::lab()], Settings::default());
    assert_eq!(sum(&once), sum(&twice));
    assert_eq!(once.lost, twice.lost);
}

#[test]
fn what_vanishes_or_begins_anew_leaves_what_it_counted() {
    let lab = example::lab();
    let all = sum(&ledger(std::slice::from_ref(&lab), Settings::default()));
    let gone = Reading::default();
    let mut half = lab.clone();
    for node in &mut half.nodes {
        node.packets /= 2;
        node.latency = Histogram::default();
        node.total = Histogram::default();
        node.ends.dropped.clear();
    }
    let halves = half
        .nodes
        .iter()
        .map(|node| node.packets + node.born)
        .sum::<u64>();

    let settings = Settings::default();
    assert_eq!(sum(&ledger(&[lab.clone(), gone.clone()], settings)), all);
    assert_eq!(
        sum(&ledger(&[lab.clone(), gone, lab.clone()], settings)),
        all
    );
    let anew = sum(&ledger(&[lab, half], settings));
    assert_eq!(anew, (all.0 + halves, all.1, all.2, all.3));
}

#[test]
fn a_node_that_was_long_away_is_new() {
    let lab = example::lab();
    let mut readings = vec![lab.clone()];
    readings.extend(vec![Reading::default(); 130]);
    readings.push(lab.clone());
    let once = sum(&ledger(&[lab], Settings::default()));
    assert_eq!(sum(&ledger(&readings, Settings::default())).0, 2 * once.0);
}

#[test]
fn a_source_that_takes_over_counts_what_comes_after() {
    let lab = example::lab();
    let mut ledger = ledger(std::slice::from_ref(&lab), Settings::default());
    let before = sum(&ledger);
    ledger.go_on_from(&lab);
    ledger.add(&lab);
    assert_eq!(sum(&ledger), before);
    ledger.go_on_from(&Reading::default());
    ledger.add(&lab);
    assert_eq!(sum(&ledger).0, 2 * before.0);
}

#[test]
fn a_packet_stands_for_those_that_were_not_followed_in_its_time() {
    let lab = example::lab();
    let mut more = lab.clone();
    for node in &mut more.nodes {
        node.packets += 10;
        node.latency.record_n(1_000, 10);
        *node.ends.dropped.entry("NO_SOCKET".to_owned()).or_default() += 1;
        *node.ends.lost.entry("displaced".to_owned()).or_default() += 1;
    }
    *more.losses.entry("recursion".to_owned()).or_default() += 5;
    let nodes = lab.nodes.len() as u64;
    let segments = lab.nodes.iter();
    let segments = segments
        .filter(|it| matches!(it.parent, Parent::Node(_)))
        .count() as u64;

    let mut ledger = ledger(std::slice::from_ref(&lab), Settings::default());
    let (before, lost) = (sum(&ledger), ledger.lost.clone());
    ledger.add_sampled(&more, 8, &BTreeMap::new());
    let after = sum(&ledger);
    assert_eq!(after.0, before.0 + 80 * nodes);
    assert_eq!(after.1, before.1 + 8 * nodes);
    assert_eq!(after.2, before.2 + 80 * segments);
    let rise = |reason: &str| ledger.lost[reason] - lost.get(reason).copied().unwrap_or(0);
    assert_eq!(rise("displaced"), 8 * nodes);
    assert_eq!(rise("recursion"), 5);
    ledger.add(&more);
    assert_eq!(sum(&ledger), after);
}

#[test]
fn what_programs_did_goes_on_after_they_were_attached_anew() {
    let did = |runs, busy_ns| Reading {
        programs: vec![ProgramWork {
            program: "queue".to_owned(),
            runs,
            busy_ns,
        }],
        ..Reading::default()
    };
    let mut ledger = ledger(&[did(10, 1_000), did(20, 1_900)], Settings::default());
    // The estimate fell, and the run is counted.
    ledger.add(&did(21, 1_890));
    ledger.go_on_from(&did(4, 300));
    ledger.add(&did(5, 400));
    let text = text(&page_of(ledger));
    let runs = "tracer_probe_runs_total{program=\"queue\"} 22\n";
    let seconds = "tracer_probe_seconds_total{program=\"queue\"} 0.000002\n";
    assert!(text.contains(runs) && text.contains(seconds), "{text}");
}

#[test]
fn a_new_name_is_a_new_series_that_counts_what_comes_after() {
    let mut lab = example::lab();
    let mut ledger = ledger(std::slice::from_ref(&lab), Settings::default());
    let (before, series) = (sum(&ledger), ledger.series());
    for node in &mut lab.nodes {
        node.hop_mut().namespace.name += "-renamed";
        node.packets += 1;
    }
    ledger.add(&lab);
    assert_eq!(sum(&ledger).0, before.0 + lab.nodes.len() as u64);
    assert!(ledger.series() > series);
}

#[test]
fn what_finds_no_room_counts_in_one_series_a_metric() {
    let settings = Settings { max_series: 20 };
    let all = sum(&ledger(&[example::lab()], Settings::default()));
    let mut full = ledger(&[example::lab()], settings);
    assert_eq!(sum(&full), all);
    assert_eq!(full.series(), 20);
    assert!(full.series.overflows > 10);
    let text = text(&page_of(ledger(&[example::lab()], settings)));
    assert!(
        text.contains("tracer_packets_total{overflow=\"true\"} "),
        "{text}"
    );

    // With room again, what comes from now on has its own series.
    full.set(Settings::default());
    let mut more = example::lab();
    for node in &mut more.nodes {
        node.packets += 10;
    }
    full.add(&more);
    assert!(full.series() > 20);
    assert_eq!(sum(&full).0, all.0 + 10 * more.nodes.len() as u64);
}

#[test]
fn names_that_find_no_room_are_forgotten() {
    let mut ledger = ledger(&[example::lab()], Settings { max_series: 5 });
    let held = format!("{ledger:?}").len();
    for round in 0..200 {
        let mut lab = example::lab();
        for node in &mut lab.nodes {
            node.hop_mut().namespace.name = format!("container-{round}");
            node.hop_mut().namespace.cookie += 100 * round;
        }
        ledger.add(&lab);
    }
    for _ in 0..120 {
        ledger.add(&example::lab());
    }
    assert_eq!(ledger.series(), 5);
    let now = format!("{ledger:?}").len();
    assert!(now < held + held / 10, "{held} {now}");
}

#[test]
fn label_values_are_escaped() {
    let mut lab = example::lab();
    for node in &mut lab.nodes {
        "a\"b\\c\nd".clone_into(&mut node.hop_mut().device);
    }
    let text = text(&page(&[lab]));
    assert!(text.contains(r#"device="a\"b\\c\nd""#), "{text}");
}

proptest! {
    #[test]
    fn no_count_ever_falls(readings in prop::collection::vec(example::any_nodes(), 1..6)) {
        let mut ledger = Ledger::new(Settings { max_series: 30 });
        let mut last: std::collections::BTreeMap<String, f64> = std::collections::BTreeMap::new();
        for nodes in readings {
            ledger.add(&Reading { nodes, ..example::lab() });
            let page = page_of(ledger);
            for (series, value) in samples(&text(&page)) {
                let counts = ["_total", "_bucket", "_count", "_sum"].iter().any(|it| series.contains(it));
                let before = last.insert(series.clone(), value).unwrap_or(0.0);
                prop_assert!(!counts || value >= before, "{series}: {before} {value}");
            }
            ledger = Arc::into_inner(page.ledger).unwrap().into_inner().unwrap();
        }
    }
}

#[test]
fn routes_stand_there_as_they_are_taken_now() {
    let info = |readings: &[Reading]| {
        let text = text(&page(readings));
        let lines = text
            .lines()
            .filter(|line| line.starts_with("tracer_route_info{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let told = info(&[example::lab_with_forwarding()]);
    insta::assert_snapshot!(told.join("\n"));
    let gone = info(&[example::lab_with_forwarding(), example::lab()]);
    assert_eq!(gone, [] as [&str; 0]);
}

#[test]
fn a_route_is_as_old_as_its_entry() {
    let reading = example::lab_with_forwarding();
    let index = reading.forwarding.iter().find(|(_, it)| it.entry.is_some());
    let age = Age {
        seconds: 143 * 86_400,
        exact: false,
    };
    let mut ledger = Ledger::new(Settings::default());
    ledger.add_sampled(&reading, 1, &[(*index.unwrap().0, age)].into());
    let text = text(&page_of(ledger));
    let of = |name: &str| {
        let lines = text.lines().filter_map(move |line| line.strip_prefix(name));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let ages = of("tracer_route_age_seconds");
    assert_eq!(ages.len(), 1, "{text}");
    let (labels, value) = ages[0].rsplit_once(' ').unwrap();
    assert_eq!(value.parse(), Ok(143.0 * 86_400.0));
    assert!(of("tracer_route_info").contains(&format!("{labels} 1")));
}

#[test]
fn routes_that_find_no_room_are_counted_once() {
    let settings = Settings { max_series: 1 };
    let reading = example::lab_with_forwarding();
    let once = ledger(std::slice::from_ref(&reading), settings);
    let twice = ledger(&[reading.clone(), reading], settings);
    assert_eq!(once.infos.routes.len(), 0);
    assert_eq!(once.series.overflows, twice.series.overflows);
}
