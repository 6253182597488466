//! The page of documentation and the real page name the same metrics.

use std::collections::BTreeSet;

use tracer::sink::prometheus::{FAMILIES, Kind, OVERFLOW};

use super::running::Agent;

const PAGE: &str = include_str!("../../docs/metrics.md");

/// A recording has no programs, and this one no FIB entries, no sockets, no counts of devices and no host: what
/// a page says of them stands in the sink's own tests. Nobody is told of incidents here: alerts have
/// tests of their own.
const NOT_RECORDED: [&str; 11] = [
    "tracer_alert",
    "tracer_probe_",
    "tracer_route_age_",
    "tracer_route_info",
    "tracer_rtt_",
    "tracer_service_",
    "tracer_exchanges_",
    "tracer_tcp_events_",
    "tracer_coverage_",
    "tracer_host_",
    "tracer_passing_",
];

/// The rows of the page's tables that name a metric: name, kind, labels, meaning.
fn rows() -> Vec<[String; 4]> {
    let rows = PAGE.lines().filter(|line| {
        let row = line.strip_prefix("| `");
        row.is_some_and(|row| row.starts_with("tracer_") || row.starts_with("process_"))
    });
    let cells = |row: &str| {
        let mut cells = row.split('|').skip(1).map(|it| it.trim().to_owned());
        std::array::from_fn(|_| {
            cells
                .next()
                .unwrap_or_else(|| panic!("{row}: cells are missing"))
        })
    };
    rows.map(cells).collect()
}

#[test]
fn the_documentation_and_the_table_name_the_same_metrics() {
    let documented: BTreeSet<_> = rows()
        .into_iter()
        .map(|[name, kind, labels, _]| (name, kind, labels))
        .collect();
    let table: BTreeSet<_> = FAMILIES
        .iter()
        .map(|family| {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            let labels: Vec<_> = family.labels.iter().map(|it| format!("`{it}`")).collect();
            (
                format!("`{}`", family.name()),
                kind.to_owned(),
                labels.join(", "),
            )
        })
        .collect();
    assert_eq!(documented, table);
}

#[test]
fn the_documentation_and_the_agent_name_the_same_metrics() {
    let agent = Agent::start(&[]);
    let page = agent.get_as("/metrics", "text/plain;version=0.0.4").text();
    let served: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(|name| format!("`{name}`"))
        .collect();
    let documented: BTreeSet<_> = rows().into_iter().map(|[name, ..]| name).collect();
    assert_eq!(documented, served);

    // Every metric has a sample, and no label that the documentation lacks.
    for [name, kind, labels, _] in rows() {
        let name = name.trim_matches('`');
        let samples: Vec<_> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| kind == "histogram" || rest.starts_with(['{', ' ']))
            })
            .collect();
        let is_there = !samples.is_empty() || NOT_RECORDED.iter().any(|it| name.starts_with(it));
        assert!(is_there, "{name} has no sample");
        for sample in samples {
            let known = |label: &str| {
                labels.contains(&format!("`{label}`")) || label == "le" || label == OVERFLOW
            };
            for label in sample
                .split("=\"")
                .filter_map(|it| it.rsplit(['{', ',']).next())
            {
                let is_name = !label.contains(' ') && !label.contains('"') && !label.is_empty();
                assert!(!is_name || known(label), "{name}: {label} in {sample}");
            }
        }
    }
}
