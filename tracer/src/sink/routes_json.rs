//! Routes as JSON, in the schema `tracer.routes/1` that `docs/routes-json.md` describes.

mod coverage;
mod dependents;
mod host;
mod name;
mod passing;
mod sockets;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use self::coverage::Coverage;
use self::dependents::Dependents;
use self::host::Host;
use self::passing::Passing;
use self::sockets::{Sockets, Totals};
use super::json;
use crate::model::forwarding::{self, Role};
use crate::model::network::names;
use crate::model::{self, Availability, Report, State, hop::mac_text};
use name::Name;

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.routes/1";

/// A report as one line of JSON.
pub fn to_text(report: &Report) -> String {
    json::line(&Frame::of(report))
}

#[derive(Serialize)]
struct Frame<'a> {
    schema: &'static str,
    kernel: &'a str,
    duration_s: f64,
    followed: f64,
    routes: Vec<Route<'a>>,
    sockets: Vec<Sockets<'a>>,
    passing: Vec<Passing<'a>>,
    coverage: Vec<Coverage<'a>>,
    dependents: Vec<Dependents>,
    host: Host<'a>,
    losses: &'a BTreeMap<String, u64>,
    forgotten: Forgotten,
    unavailable: Vec<Unavailable<'a>>,
}

#[derive(Serialize)]
struct Forgotten {
    hops: u64,
    classes: u64,
    packets: u64,
}

#[derive(Serialize)]
struct Route<'a> {
    id: String,
    source: String,
    destination: String,
    source_name: Option<Name<'a>>,
    destination_name: Option<Name<'a>>,
    protocol: &'static str,
    port: Option<u16>,
    port_of: Option<&'static str>,
    way_back: Option<String>,
    packets: u64,
    total: Latency,
    hops: Vec<Hop<'a>>,
    #[serde(flatten)]
    connections: Totals,
    ends: Ends<'a>,
    balance: Balance,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the keys of the schema")]
struct Hop<'a> {
    netns: &'a str,
    netns_cookie: u64,
    netns_inode: u32,
    device: &'a str,
    ifindex: u32,
    kind: &'a str,
    stage: &'static str,
    next_hop_mac: Option<String>,
    previous_hop_mac: Option<String>,
    translated: Option<Translated>,
    next_hop: Option<Peer<'a>>,
    previous_hop: Option<Peer<'a>>,
    fib: Option<FibEntry>,
    packets: u64,
    born: u64,
    bytes: u64,
    ways: usize,
    segment: Option<Segment<'a>>,
    ends: Ends<'a>,
}

#[derive(Serialize)]
struct Translated {
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    destination_port: u16,
}

#[derive(Serialize)]
struct Peer<'a> {
    addresses: &'a [IpAddr],
    role: Option<&'static str>,
    group: Option<u16>,
}

#[derive(Serialize)]
struct FibEntry {
    table: u32,
    table_name: String,
    rule: Option<u32>,
    mark: Option<u32>,
    prefix: String,
    #[serde(rename = "type")]
    kind: String,
    protocol: String,
    scope: String,
    metric: u32,
    mtu: Option<u32>,
    path_mtu: Option<u32>,
    redirect: Option<IpAddr>,
    gateway: Option<IpAddr>,
    leg: usize,
    legs: usize,
    leg_share: Option<f64>,
    age_s: Option<u64>,
    age_exact: Option<bool>,
    set_by: Option<String>,
}

#[derive(Serialize)]
struct Segment<'a> {
    name: &'a str,
    #[serde(flatten)]
    latency: Latency,
    share: f64,
}

#[derive(Serialize)]
pub(super) struct Latency {
    count: u64,
    sum_ns: u64,
    min_ns: Option<u64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: Option<u64>,
}

#[derive(Serialize)]
struct Ends<'a> {
    delivered: u64,
    merged: u64,
    split: u64,
    in_flight: u64,
    dropped: &'a BTreeMap<String, u64>,
    lost: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Balance {
    came: u64,
    ended: u64,
    difference: i64,
}

#[derive(Serialize)]
struct Unavailable<'a> {
    name: &'a str,
    because: &'a str,
    advice: &'a str,
}

impl<'a> Frame<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            schema: SCHEMA,
            kernel: &report.kernel,
            duration_s: report.duration_ns as f64 / 1e9,
            followed: report.followed,
            routes: report.routes.iter().map(Route::of).collect(),
            sockets: report.sockets.iter().map(Sockets::of).collect(),
            passing: report.passing.iter().map(Passing::of).collect(),
            coverage: report.coverage.iter().map(Coverage::of).collect(),
            dependents: report
                .dependents()
                .into_iter()
                .map(Dependents::of)
                .collect(),
            host: Host::of(&report.host),
            losses: &report.losses,
            forgotten: Forgotten {
                hops: report.forgotten.nodes,
                classes: report.forgotten.classes,
                packets: report.forgotten.whole.packets,
            },
            unavailable: report
                .availability
                .iter()
                .filter_map(Unavailable::of)
                .collect(),
        }
    }
}

impl<'a> Route<'a> {
    fn of(route: &'a model::Route) -> Self {
        let class = &route.class;
        Self {
            id: route.id.to_string(),
            source: class.source.to_string(),
            destination: class.destination.to_string(),
            source_name: name::of(&route.names.source),
            destination_name: name::of(&route.names.destination),
            protocol: class.protocol.name(),
            port: class.service.map(model::Service::port),
            port_of: class.service.map(|service| match service {
                model::Service::Destination(_) => "destination",
                model::Service::Source(_) => "source",
            }),
            way_back: route.way_back.map(|id| id.to_string()),
            packets: route.packets,
            total: Latency::of(&route.total),
            hops: route.steps.iter().map(Hop::of).collect(),
            connections: Totals::of(&route.connections),
            ends: Ends::of(&route.ends),
            balance: Balance {
                came: route.balance.came,
                ended: route.balance.ended,
                difference: route.balance.difference,
            },
        }
    }
}

impl<'a> Hop<'a> {
    fn of(step: &'a model::Step) -> Self {
        let hop = &step.hop;
        let forwarding = step.forwarding.as_ref();
        Self {
            netns: &hop.namespace.name,
            netns_cookie: hop.namespace.cookie,
            netns_inode: hop.namespace.inode,
            device: &hop.device,
            ifindex: hop.ifindex,
            kind: &hop.kind,
            stage: hop.stage.name(),
            next_hop_mac: hop.next_hop_mac.map(mac_text),
            previous_hop_mac: hop.previous_hop_mac.map(mac_text),
            translated: step.translated.map(|tuple| Translated {
                source: tuple.source,
                source_port: tuple.source_port,
                destination: tuple.destination,
                destination_port: tuple.destination_port,
            }),
            next_hop: forwarding.and_then(|it| it.next_hop.as_ref()).map(Peer::of),
            previous_hop: forwarding
                .and_then(|it| it.previous_hop.as_ref())
                .map(Peer::of),
            fib: forwarding
                .and_then(|it| it.entry.as_ref())
                .map(|entry| FibEntry::of(entry, step.leg_share)),
            packets: step.packets,
            born: step.born,
            bytes: step.bytes,
            ways: step.ways,
            segment: step.segment.as_ref().map(|segment| Segment {
                name: &segment.name,
                latency: Latency::of(&segment.latency),
                share: segment.share,
            }),
            ends: Ends::of(&step.ends),
        }
    }
}

impl<'a> Peer<'a> {
    fn of(peer: &'a forwarding::Peer) -> Self {
        let (role, group) = match peer.role {
            None => (None, None),
            Some(Role::Vrrp(id)) => (Some("vrrp"), Some(id.into())),
            Some(Role::Hsrp(group)) => (Some("hsrp"), Some(group)),
            Some(Role::CalicoHost) => (Some("calico_host"), None),
        };
        Self {
            addresses: &peer.addresses,
            role,
            group,
        }
    }
}

impl FibEntry {
    fn of(entry: &forwarding::FibEntry, leg_share: Option<f64>) -> Self {
        Self {
            table: entry.table,
            table_name: names::table(entry.table),
            rule: entry.rule,
            mark: Some(entry.mark).filter(|&mark| mark != 0),
            prefix: entry.prefix.to_string(),
            kind: names::route_type(entry.kind),
            protocol: names::protocol(entry.protocol),
            scope: names::scope(entry.scope),
            metric: entry.metric,
            mtu: entry.mtu,
            path_mtu: entry.path_mtu,
            redirect: entry.redirect,
            gateway: entry.gateway,
            leg: entry.leg,
            legs: entry.legs,
            leg_share,
            age_s: entry.age.map(|age| age.seconds),
            age_exact: entry.age.map(|age| age.exact),
            set_by: entry.set_by.as_ref().map(ToString::to_string),
        }
    }
}

impl Latency {
    pub(super) fn of(histogram: &model::Histogram) -> Self {
        Self {
            count: histogram.count(),
            sum_ns: histogram.sum_ns(),
            min_ns: histogram.min_ns(),
            p50_ns: histogram.quantile_ns(0.5),
            p90_ns: histogram.quantile_ns(0.9),
            p99_ns: histogram.quantile_ns(0.99),
            max_ns: histogram.max_ns(),
        }
    }
}

impl<'a> Ends<'a> {
    fn of(ends: &'a model::Ends) -> Self {
        Self {
            delivered: ends.delivered,
            merged: ends.merged,
            split: ends.split,
            in_flight: ends.in_flight,
            dropped: &ends.dropped,
            lost: &ends.lost,
        }
    }
}

impl<'a> Unavailable<'a> {
    fn of(row: &'a Availability) -> Option<Self> {
        match &row.state {
            State::Works => None,
            State::Unavailable { because, advice } | State::Missing { because, advice } => {
                Some(Self {
                    name: &row.name,
                    because,
                    advice,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn the_lab_as_json() {
        let report = Report::from_reading(&example::lab());
        let value: serde_json::Value = serde_json::from_str(&to_text(&report)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn next_hops_and_entries_of_the_fib_as_json() {
        let report = Report::from_reading(&example::lab_with_forwarding());
        let value: serde_json::Value = serde_json::from_str(&to_text(&report)).unwrap();
        let hops = value["routes"].as_array().unwrap().iter();
        let hops = hops.flat_map(|route| route["hops"].as_array().unwrap());
        let told: Vec<_> = hops
            .filter(|hop| !hop["fib"].is_null())
            .map(|hop| serde_json::json!({"next_hop": hop["next_hop"], "fib": hop["fib"]}))
            .collect();
        insta::assert_snapshot!(serde_json::to_string_pretty(&told).unwrap());
    }

    #[test]
    fn sockets_coverage_and_the_host_as_json() {
        let report = Report::from_reading(&crate::model::connection::example::lab());
        let value: serde_json::Value = serde_json::from_str(&to_text(&report)).unwrap();
        let told = serde_json::json!({
            "sockets": value["sockets"],
            "coverage": value["coverage"],
            "host": value["host"],
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&told).unwrap());
    }

    #[test]
    fn what_passes_as_json() {
        let report = Report::from_reading(&crate::model::connection::example::lab_on_the_way());
        let value: serde_json::Value = serde_json::from_str(&to_text(&report)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value["passing"]).unwrap());
    }

    #[test]
    fn an_empty_report_as_json() {
        insta::assert_snapshot!(to_text(&Report::default()), @r#"{"schema":"tracer.routes/1","kernel":"","duration_s":0.0,"followed":0.0,"routes":[],"sockets":[],"passing":[],"coverage":[],"dependents":[],"host":{"watched_s":0.0,"troubles":[],"processors":{"count":0,"busy_share":null,"softirq_share":null,"steal_share":null,"busy_ns":0,"softirq_ns":0,"steal_ns":0,"waiting_ns":null,"busiest":null},"softnet":{"dropped":0,"flow_limit":0,"processed":0,"time_squeeze":0},"devices":[],"sockets":[]},"losses":{},"forgotten":{"hops":0,"classes":0,"packets":0},"unavailable":[]}"#);
    }
}
