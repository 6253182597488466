//! Every metric: one row each.

use std::sync::{MutexGuard, PoisonError};

use super::Page;
use super::family::{Family, Kind, Samples, Take, Value, Values};
use super::health::Process;
use super::ledger::{AllSeries, Ledger, Series};
use super::sparse::Sparse;
use crate::model::coverage::Direction;

/// The labels of what is told of sockets, with one of its own at the end.
const fn of_sockets(own: &'static str) -> [&'static str; 8] {
    [
        "source",
        "destination",
        "port",
        "port_of",
        "namespace",
        "device",
        "next_hop",
        own,
    ]
}

const SOCKETS_BASIS: [&str; 8] = of_sockets("basis");
const SOCKETS_PHASE: [&str; 8] = of_sockets("phase");
const SOCKETS_STATE: [&str; 8] = of_sockets("state");
const SOCKETS_EVENT: [&str; 8] = of_sockets("event");

/// The labels of what is told of packets on their way, with one of its own at the end.
const fn of_passing(own: &'static str) -> [&'static str; 7] {
    [
        "source",
        "destination",
        "port",
        "port_of",
        "namespace",
        "device",
        own,
    ]
}

const PASSING_BASIS: [&str; 7] = of_passing("basis");
const PASSING_EVENT: [&str; 7] = of_passing("event");

const ROUTE: [&str; 7] = [
    "component",
    "next_hop",
    "namespace",
    "device",
    "table",
    "prefix",
    "protocol",
];

/// Every metric, in the page's order.
pub const FAMILIES: [Family; 60] = [
    Family {
        stem: "tracer_segment_latency",
        unit: "seconds",
        kind: Kind::Histogram,
        labels: &[
            "source",
            "destination",
            "protocol",
            "port",
            "port_of",
            "namespace",
            "device",
            "segment",
            "next_hop",
        ],
        help: "Time that packets took from one hop to the next, which namespace and device name",
        samples: Samples::Each(|page, take| histograms(page, |series| &series.segments, take)),
    },
    Family {
        stem: "tracer_route_latency",
        unit: "seconds",
        kind: Kind::Histogram,
        labels: &[
            "source",
            "destination",
            "protocol",
            "port",
            "port_of",
            "namespace",
            "device",
            "way",
            "next_hop",
        ],
        help: "Time that packets that ended well took from their first hop to their last, which \
               namespace and device name",
        samples: Samples::Each(|page, take| histograms(page, |series| &series.routes, take)),
    },
    Family {
        stem: "tracer_packets",
        unit: "",
        kind: Kind::Counter,
        labels: &[
            "source",
            "destination",
            "protocol",
            "port",
            "port_of",
            "namespace",
            "device",
            "stage",
            "next_hop",
        ],
        help: "Packets that came to a hop or were born there",
        samples: Samples::Each(|page, take| counts(page, |series| &series.packets, take)),
    },
    Family {
        stem: "tracer_drops",
        unit: "",
        kind: Kind::Counter,
        labels: &[
            "source",
            "destination",
            "protocol",
            "port",
            "port_of",
            "namespace",
            "device",
            "stage",
            "reason",
        ],
        help: "Packets that the kernel dropped after a hop, by its reason",
        samples: Samples::Each(|page, take| counts(page, |series| &series.drops, take)),
    },
    Family {
        stem: "tracer_route",
        unit: "",
        kind: Kind::Info,
        labels: &ROUTE,
        help: "By which next hop and FIB entry packets to a component leave now",
        samples: Samples::Each(|page, take| {
            for labels in ledger(page).infos.routes.keys() {
                take(Values::Interned(labels), Value::Count(1));
            }
        }),
    },
    Family {
        stem: "tracer_route_age",
        unit: "seconds",
        kind: Kind::Gauge,
        labels: &ROUTE,
        help: "How long that FIB entry has been as it is, or at least, where nobody saw how it was made",
        samples: Samples::Each(|page, take| {
            for (labels, age) in &ledger(page).infos.routes {
                if let Some(age) = age {
                    take(Values::Interned(labels), Value::Number(age.seconds as f64));
                }
            }
        }),
    },
    Family {
        stem: "tracer_rtt",
        unit: "seconds",
        kind: Kind::Histogram,
        labels: &SOCKETS_BASIS,
        help: "Round trips of TCP sockets of this host, by what told them: an acknowledgement alone, \
               data that came with one (the peer may have thought meanwhile), or a handshake",
        samples: Samples::Each(|page, take| histograms(page, |series| &series.round_trips, take)),
    },
    Family {
        stem: "tracer_service",
        unit: "seconds",
        kind: Kind::Histogram,
        labels: &SOCKETS_PHASE,
        help: "Times of exchanges over TCP sockets of this host, by phase",
        samples: Samples::Each(|page, take| {
            histograms(page, |series| &series.exchange_times, take);
        }),
    },
    Family {
        stem: "tracer_exchanges",
        unit: "",
        kind: Kind::Counter,
        labels: &SOCKETS_STATE,
        help: "Exchanges over TCP sockets of this host, by what disturbed them",
        samples: Samples::Each(|page, take| counts(page, |series| &series.exchanges, take)),
    },
    Family {
        stem: "tracer_tcp_events",
        unit: "",
        kind: Kind::Counter,
        labels: &SOCKETS_EVENT,
        help: "What happened to TCP sockets of this host besides",
        samples: Samples::Each(|page, take| counts(page, |series| &series.tcp_events, take)),
    },
    Family {
        stem: "tracer_passing_rtt",
        unit: "seconds",
        kind: Kind::Histogram,
        labels: &PASSING_BASIS,
        help: "Round trips of forwarded TCP flows between this host and the class's source, by what \
               told them",
        samples: Samples::Each(|page, take| {
            histograms(page, |series| &series.passing_round_trips, take);
        }),
    },
    Family {
        stem: "tracer_passing_events",
        unit: "",
        kind: Kind::Counter,
        labels: &PASSING_EVENT,
        help: "What happened to packets on their way: losses of forwarded TCP flows, ICMP errors, loops",
        samples: Samples::Each(|page, take| counts(page, |series| &series.passing_events, take)),
    },
    Family {
        stem: "tracer_coverage",
        unit: "ratio",
        kind: Kind::Gauge,
        labels: &["namespace", "device", "direction"],
        help: "Share of a device's packets that was seen at its hops",
        samples: Samples::Each(|page, take| {
            for coverage in &ledger(page).coverage {
                if let Some(ratio) = coverage.ratio() {
                    let direction = coverage.direction.name();
                    let labels = [&*coverage.namespace.name, &coverage.device, direction];
                    take(Values::Plain(&labels), Value::Number(ratio));
                }
            }
        }),
    },
    Family {
        stem: "tracer_host_processor",
        unit: "seconds",
        kind: Kind::Counter,
        labels: &["state"],
        help: "Time of all processors together by what they did, and time that tasks waited for one",
        samples: Samples::Each(|page, take| {
            for (state, &ns) in &ledger(page).host.processors {
                take(Values::Plain(&[state]), Value::Number(ns as f64 / 1e9));
            }
        }),
    },
    Family {
        stem: "tracer_host_softnet",
        unit: "",
        kind: Kind::Counter,
        labels: &["event"],
        help: "Packets on their way from cards to protocols, and times that the budget was used up",
        samples: Samples::Each(|page, take| {
            for (event, &n) in &ledger(page).host.softnet {
                take(Values::Plain(&[event]), Value::Count(n));
            }
        }),
    },
    Family {
        stem: "tracer_host_link_speed",
        unit: "bytes",
        kind: Kind::Gauge,
        labels: &["namespace", "device"],
        help: "What a link carries in a second, where its driver tells",
        samples: Samples::Each(|page, take| {
            for ([namespace, device], (bps, _)) in &ledger(page).host.links {
                take(
                    Values::Plain(&[namespace, device]),
                    Value::Number(*bps as f64 / 8.0),
                );
            }
        }),
    },
    Family {
        stem: "tracer_host_link_use",
        unit: "ratio",
        kind: Kind::Gauge,
        labels: &["namespace", "device", "direction"],
        help: "Share of a link's speed that was used in the last seconds",
        samples: Samples::Each(|page, take| {
            for ([namespace, device], (_, used)) in &ledger(page).host.links {
                for (direction, used) in [Direction::Receive, Direction::Transmit].iter().zip(used)
                {
                    if let Some(used) = used {
                        let labels = [&**namespace, &**device, direction.name()];
                        take(Values::Plain(&labels), Value::Number(*used));
                    }
                }
            }
        }),
    },
    Family {
        stem: "tracer_host_device_trouble",
        unit: "",
        kind: Kind::Counter,
        labels: &["namespace", "device", "counter"],
        help: "What went wrong at a device, by the kernel's counter or its driver's",
        samples: Samples::Each(|page, take| {
            for ([namespace, device, counter], &n) in &ledger(page).host.devices {
                take(
                    Values::Plain(&[namespace, device, counter]),
                    Value::Count(n),
                );
            }
        }),
    },
    Family {
        stem: "tracer_host_socket_trouble",
        unit: "",
        kind: Kind::Counter,
        labels: &["namespace", "counter"],
        help: "What sockets, or their queues, had no room for, by the kernel's counter",
        samples: Samples::Each(|page, take| {
            for ([namespace, counter], &n) in &ledger(page).host.sockets {
                take(Values::Plain(&[namespace, counter]), Value::Count(n));
            }
        }),
    },
    Family {
        stem: "tracer_lost",
        unit: "",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "What the tracer could not measure, by its reason",
        samples: Samples::Each(|page, take| {
            for (reason, &n) in &ledger(page).lost {
                take(Values::Plain(&[reason]), Value::Count(n));
            }
        }),
    },
    number(
        "tracer_series",
        "",
        Kind::Gauge,
        "Sets of labels of the metrics above",
        |page| ledger(page).series() as f64,
    ),
    number(
        "tracer_series_limit",
        "",
        Kind::Gauge,
        "Sets of labels that there is room for",
        |page| ledger(page).series.max as f64,
    ),
    count(
        "tracer_series_overflow",
        "Sets of labels that found no room and count in the series overflow=\"true\"",
        |page| ledger(page).series.overflows,
    ),
    Family {
        stem: "tracer_forgotten",
        unit: "",
        kind: Kind::Counter,
        labels: &["what"],
        help: "Hops and classes that made room for others in the kernel's tables",
        samples: Samples::Each(|page, take| {
            let [hops, classes] = ledger(page).forgotten;
            take(Values::Plain(&["hop"]), Value::Count(hops));
            take(Values::Plain(&["class"]), Value::Count(classes));
        }),
    },
    Family {
        stem: "tracer_mirror_changes",
        unit: "",
        kind: Kind::Counter,
        labels: &["how"],
        help: "Changes of the networks that are mirrored, by how they were known",
        samples: Samples::Each(|page, take| {
            let mirrored = ledger(page).mirrored;
            take(Values::Plain(&["told"]), Value::Count(mirrored.told));
            take(Values::Plain(&["implied"]), Value::Count(mirrored.implied));
            take(Values::Plain(&["found"]), Value::Count(mirrored.found));
        }),
    },
    Family {
        stem: "tracer_mirror_failures",
        unit: "",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Times that the networks could not be followed",
        samples: Samples::Each(|page, take| {
            let mirrored = ledger(page).mirrored;
            take(Values::Plain(&["overrun"]), Value::Count(mirrored.overruns));
            take(
                Values::Plain(&["malformed"]),
                Value::Count(mirrored.malformed),
            );
            take(Values::Plain(&["closed"]), Value::Count(mirrored.closed));
        }),
    },
    number(
        "tracer_sampling",
        "ratio",
        Kind::Gauge,
        "Share of packets that are followed now, by which counts are scaled",
        |page| page.health.governor.sampling,
    ),
    number(
        "tracer_attached",
        "",
        Kind::Gauge,
        "Whether packets are followed at all, and the governor has not detached the programs",
        |page| f64::from(u8::from(page.health.governor.sampling > 0.0)),
    ),
    Family {
        stem: "tracer_probe_runs",
        unit: "",
        kind: Kind::Counter,
        labels: &["program"],
        help: "How often a program in the kernel ran",
        samples: Samples::Each(|page, take| {
            for (program, work) in &ledger(page).work {
                take(Values::Plain(&[program]), Value::Count(work.runs));
            }
        }),
    },
    Family {
        stem: "tracer_probe",
        unit: "seconds",
        kind: Kind::Counter,
        labels: &["program"],
        help: "Processor time that a program in the kernel took, from one run in 1024 that is timed",
        samples: Samples::Each(|page, take| {
            for (program, work) in &ledger(page).work {
                let seconds = work.busy_ns as f64 / 1e9;
                take(Values::Plain(&[program]), Value::Number(seconds));
            }
        }),
    },
    Family {
        stem: "tracer_governor_budget",
        unit: "ratio",
        kind: Kind::Gauge,
        labels: &[],
        help: "Share of the host's processor time that the programs may take",
        samples: Samples::Each(|page, take| {
            if let Some(budget) = page.health.governor.budget {
                take(Values::Plain(&[]), Value::Number(budget));
            }
        }),
    },
    number(
        "tracer_governor_used",
        "ratio",
        Kind::Gauge,
        "Share of the host's processor time that the programs took in the last interval",
        |page| page.health.governor.used,
    ),
    Family {
        stem: "tracer_governor_steps",
        unit: "",
        kind: Kind::Counter,
        labels: &["direction"],
        help: "Steps of the governor, to fewer packets or hops or to more",
        samples: Samples::Each(|page, take| {
            for (direction, n) in &page.health.governor.steps {
                take(Values::Plain(&[direction]), Value::Count(*n));
            }
        }),
    },
    Family {
        stem: "tracer_route_changes",
        unit: "",
        kind: Kind::Counter,
        labels: &["kind", "protocol"],
        help: "Changes of links, addresses, neighbours, next hops, rules and routes, by the protocol \
               that set them",
        samples: Samples::Each(|page, take| {
            for (kind, protocol, n) in &page.health.changes {
                take(Values::Plain(&[kind, protocol]), Value::Count(*n));
            }
        }),
    },
    number(
        "tracer_journal_on_disk",
        "",
        Kind::Gauge,
        "Whether the journal of changes is written to disk, and not kept in memory alone",
        |page| f64::from(u8::from(page.health.journal_on_disk)),
    ),
    count(
        "tracer_journal_write_failures",
        "Times that the journal could not be written",
        |page| page.health.journal_failures,
    ),
    Family {
        stem: "tracer_incident_active",
        unit: "",
        kind: Kind::Gauge,
        labels: &["verdict", "severity"],
        help: "Incidents that are not over, by first word and severity",
        samples: Samples::Each(|page, take| {
            for (verdict, severity, n) in &page.health.judged.active {
                take(
                    Values::Plain(&[verdict, severity]),
                    Value::Number(*n as f64),
                );
            }
        }),
    },
    count(
        "tracer_findings",
        "Changes for the worse that were found",
        |page| page.health.judged.findings,
    ),
    number(
        "tracer_heartbeat_timestamp",
        "seconds",
        Kind::Gauge,
        "When it was judged last whether anything is wrong, since 1970",
        |page| page.health.judged.at_s,
    ),
    number(
        "tracer_streams",
        "",
        Kind::Gauge,
        "Streams of latencies that are watched for changes",
        |page| page.health.judged.streams as f64,
    ),
    count(
        "tracer_streams_refused",
        "Times that a stream, or an incident, found no room",
        |page| page.health.judged.refused,
    ),
    number(
        "tracer_incidents_on_disk",
        "",
        Kind::Gauge,
        "Whether incidents are written to disk, and not kept in memory alone",
        |page| f64::from(u8::from(page.health.judged.on_disk)),
    ),
    count(
        "tracer_incidents_write_failures",
        "Times that incidents could not be written",
        |page| page.health.judged.write_failures,
    ),
    Family {
        stem: "tracer_alerts_sent",
        unit: "",
        kind: Kind::Counter,
        labels: &["receiver"],
        help: "Alerts that a receiver took",
        samples: Samples::Each(|page, take| {
            for (receiver, sent, _) in &page.health.judged.alerts {
                take(Values::Plain(&[receiver]), Value::Count(*sent));
            }
        }),
    },
    Family {
        stem: "tracer_alert_failures",
        unit: "",
        kind: Kind::Counter,
        labels: &["receiver"],
        help: "Tries to send an alert that failed",
        samples: Samples::Each(|page, take| {
            for (receiver, _, failed) in &page.health.judged.alerts {
                take(Values::Plain(&[receiver]), Value::Count(*failed));
            }
        }),
    },
    Family {
        stem: "tracer_build",
        unit: "",
        kind: Kind::Info,
        labels: &["version", "kernel"],
        help: "The agent's version and the kernel's release",
        samples: Samples::Each(|page, take| {
            let health = &page.health;
            take(
                Values::Plain(&[health.version, &health.kernel]),
                Value::Count(1),
            );
        }),
    },
    Family {
        stem: "tracer_hop_available",
        unit: "",
        kind: Kind::Gauge,
        labels: &["name"],
        help: "Whether a hop or a feature works here",
        samples: Samples::Each(|page, take| {
            for (name, works) in &page.health.availability {
                take(
                    Values::Plain(&[name]),
                    Value::Number(f64::from(u8::from(*works))),
                );
            }
        }),
    },
    count(
        "tracer_attachments",
        "How often the programs were attached",
        |page| page.health.attachments,
    ),
    count("tracer_readings", "Readings that were taken", |page| {
        page.health.readings
    }),
    count(
        "tracer_reading_failures",
        "Readings that could not be taken",
        |page| page.health.reading_failures,
    ),
    number(
        "tracer_reading_duration",
        "seconds",
        Kind::Gauge,
        "How long the last reading took",
        |page| page.health.reading_s,
    ),
    number(
        "tracer_last_reading_timestamp",
        "seconds",
        Kind::Gauge,
        "When the last reading was taken, since 1970",
        |page| page.health.read_at_s,
    ),
    number(
        "tracer_config_last_reload_successful",
        "",
        Kind::Gauge,
        "Whether the configuration that was read last is followed",
        |page| f64::from(u8::from(page.health.reload_successful)),
    ),
    number(
        "tracer_config_last_reload_success_timestamp",
        "seconds",
        Kind::Gauge,
        "Since when the configuration is followed, since 1970",
        |page| page.health.reloaded_at_s,
    ),
    number(
        "tracer_http_connections",
        "",
        Kind::Gauge,
        "Connections that are open",
        |page| page.health.connections as f64,
    ),
    Family {
        stem: "tracer_http_refused",
        unit: "",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Connections and requests that were refused or given up",
        samples: Samples::Each(|page, take| {
            for (reason, n) in &page.health.refused {
                take(Values::Plain(&[reason]), Value::Count(*n));
            }
        }),
    },
    process(
        "process_cpu",
        "seconds",
        Kind::Counter,
        "Processor time that the agent took",
        |it| it.cpu_s,
    ),
    process(
        "process_resident_memory",
        "bytes",
        Kind::Gauge,
        "Memory that the agent holds",
        |it| it.resident_bytes as f64,
    ),
    process(
        "process_open_fds",
        "",
        Kind::Gauge,
        "Files that the agent has open",
        |it| it.open_fds as f64,
    ),
    process(
        "process_start_time",
        "seconds",
        Kind::Gauge,
        "When the agent was started, since 1970",
        |it| it.started_at_s,
    ),
];

const fn count(stem: &'static str, help: &'static str, count: fn(&Page) -> u64) -> Family {
    Family {
        stem,
        unit: "",
        kind: Kind::Counter,
        labels: &[],
        help,
        samples: Samples::Count(count),
    }
}

const fn number(
    stem: &'static str,
    unit: &'static str,
    kind: Kind,
    help: &'static str,
    number: fn(&Page) -> f64,
) -> Family {
    Family {
        stem,
        unit,
        kind,
        labels: &[],
        help,
        samples: Samples::Number(number),
    }
}

const fn process(
    stem: &'static str,
    unit: &'static str,
    kind: Kind,
    help: &'static str,
    number: fn(&Process) -> f64,
) -> Family {
    Family {
        stem,
        unit,
        kind,
        labels: &[],
        help,
        samples: Samples::Process(number),
    }
}

fn histograms(page: &Page, pick: fn(&AllSeries) -> &Series<Sparse>, take: Take<'_>) {
    for (labels, value) in pick(&ledger(page).series) {
        take(values(labels), Value::Histogram(value));
    }
}

fn counts(page: &Page, pick: fn(&AllSeries) -> &Series<u64>, take: Take<'_>) {
    for (labels, &value) in pick(&ledger(page).series) {
        take(values(labels), Value::Count(value));
    }
}

fn values(labels: &super::ledger::Labels) -> Values<'_> {
    if labels.is_empty() {
        Values::Overflow
    } else {
        Values::Interned(labels)
    }
}

/// Whoever panicked with the ledger left numbers in it that are good enough to show.
fn ledger(page: &Page) -> MutexGuard<'_, Ledger> {
    page.ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
