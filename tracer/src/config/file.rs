//! The file as it is written, in TOML.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::{Config, value};
use crate::app::agent::alerts::settings as alerts;
use crate::app::agent::settings as agent;
use crate::judge::settings as incidents;
use crate::model::Protocol;
use crate::sink::prometheus::settings as metrics;
use crate::source::settings::{self, Prefix, Settings};
use crate::store::settings as journal;

/// What is wrong, and which bytes of the text are.
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) span: Option<Range<usize>>,
}

/// The configuration in a text.
pub(super) fn parse(text: &str) -> Result<Config, Wrong> {
    let file: File = toml::from_str(text).map_err(|error| Wrong {
        problem: error.message().replace('\n', ", "),
        span: error.span(),
    })?;
    check(&file.component)?;
    file.into_config()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    routes: Routes,
    agent: Agent,
    metrics: Metrics,
    journal: Journal,
    incidents: Incidents,
    alerts: Alerts,
    filter: Filter,
    classes: Classes,
    timing: Timing,
    limits: Limits,
    component: Vec<Component>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Routes {
    duration: Option<Duration>,
    through_hardware: bool,
    fine: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Agent {
    listen: Option<Listen>,
    insecure_listen: bool,
    web_config: Option<FilePath>,
    socket: Option<SocketPath>,
    connections: Option<Connections>,
    max_cpu: Option<MaxCpu>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metrics {
    max_series: Option<SeriesCount>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Journal {
    directory: Option<SocketPath>,
    max_size: Option<JournalSize>,
    makers: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "they are the keys of the file")]
struct Incidents {
    page_share: Option<Percent>,
    page_connections: Option<Connections>,
    page_after: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Alerts {
    webhook: Option<Url>,
    webhook_key: Option<FilePath>,
    alertmanagers: Vec<Spanned<String>>,
    ca_file: Option<FilePath>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    namespace: Option<Name>,
    device: Option<Name>,
    prefix: Option<PrefixText>,
    protocol: Option<ProtocolName>,
    port: Option<Port>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Classes {
    service_ports: Vec<Spanned<PortOrRange>>,
    ephemeral_from: Option<Port>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Timing {
    one_in: Option<OneIn>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    packets: Option<Entries>,
    nodes: Option<Entries>,
    classes: Option<Entries>,
    cells: Option<Entries>,
    handover: Option<Entries>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    name: Spanned<Name>,
    #[serde(default)]
    prefixes: Vec<Spanned<String>>,
    #[serde(default)]
    ports: Vec<Spanned<i64>>,
    namespace: Option<Name>,
}

/// A port or a range of ports.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it is neither a port nor a range")]
enum PortOrRange {
    Port(i64),
    Range(String),
}

/// A type that is read as [`value`] says.
macro_rules! value {
    ($name:ident($inner:ty), from $raw:literal, $from:ty, by $read:expr) => {
        #[derive(Deserialize)]
        #[serde(try_from = $raw)]
        struct $name($inner);

        impl TryFrom<$from> for $name {
            type Error = String;

            fn try_from(raw: $from) -> Result<Self, String> {
                $read(raw).map(Self)
            }
        }
    };
}

value!(Name(String), from "String", String, by |text: String| value::name(&text));
value!(Duration(std::time::Duration), from "String", String, by |text: String| value::duration(&text));
value!(PrefixText(Prefix), from "String", String, by |text: String| value::prefix(&text));
value!(ProtocolName(Protocol), from "String", String, by |text: String| value::protocol(&text));
value!(Port(u16), from "i64", i64, by value::port);
value!(Listen(SocketAddr), from "String", String, by |text: String| value::listen(&text));
value!(FilePath(PathBuf), from "String", String, by |text: String| value::path(&text));
value!(SocketPath(Option<PathBuf>), from "String", String, by |text: String| value::socket(&text));
value!(Connections(usize), from "i64", i64, by value::connections);
value!(MaxCpu(value::MaxCpu), from "String", String, by |text: String| value::max_cpu(&text));
value!(SeriesCount(usize), from "i64", i64, by value::series);
value!(OneIn(std::num::NonZeroU8), from "i64", i64, by value::one_in);
value!(JournalSize(u64), from "String", String, by |text: String| value::journal_size(&text));
value!(Url(axum::http::Uri), from "String", String, by |text: String| value::url(&text));
value!(Percent(u8), from "String", String, by |text: String| value::percent(&text));
value!(Entries(u32), from "i64", i64, by value::entries);
impl PortOrRange {
    fn ports(self) -> Result<RangeInclusive<u16>, String> {
        match self {
            Self::Port(number) => value::port(number).map(|port| port..=port),
            Self::Range(text) => value::port_range(&text),
        }
    }
}

/// A list's values; a wrong one is known by its place, so that its own line is named.
fn all<Raw, T>(
    list: Vec<Spanned<Raw>>,
    read: impl Fn(Raw) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    list.into_iter()
        .map(|raw| {
            let span = Some(raw.span());
            read(raw.into_inner()).map_err(|problem| Wrong { problem, span })
        })
        .collect()
}

/// What no single value shows.
fn check(components: &[Component]) -> Result<(), Wrong> {
    for (index, component) in components.iter().enumerate() {
        let name = &component.name.get_ref().0;
        let wrong = |problem| {
            Err(Wrong {
                problem,
                span: Some(component.name.span()),
            })
        };
        let same = |other: &&Component| other.name.get_ref().0 == *name;
        if components[..index].iter().any(|other| same(&other)) {
            return wrong(format!("a component named {name:?} stands above"));
        }
        let fits_all = component.prefixes.is_empty()
            && component.ports.is_empty()
            && component.namespace.is_none();
        if fits_all {
            return wrong(format!(
                "{name:?} has no prefix, no port and no namespace, so every packet would be its own"
            ));
        }
    }
    Ok(())
}

impl File {
    fn into_config(self) -> Result<Config, Wrong> {
        let defaults = Config::default();
        let (from, makers) = (defaults.settings, self.journal.makers);
        let components = self.component.into_iter();
        Ok(Config {
            duration: self.routes.duration.map_or(defaults.duration, |it| it.0),
            agent: self.agent.into_settings(defaults.agent),
            metrics: self.metrics.into_settings(defaults.metrics),
            journal: self.journal.settings(),
            incidents: self.incidents.settings(),
            alerts: self.alerts.into_settings()?,
            settings: Settings {
                filter: self.filter.into_settings(),
                components: components
                    .map(Component::into_settings)
                    .collect::<Result<_, _>>()?,
                service_ports: all(self.classes.service_ports, PortOrRange::ports)?,
                ephemeral_from: self
                    .classes
                    .ephemeral_from
                    .map_or(from.ephemeral_from, |it| it.0),
                through_hardware: self.routes.through_hardware,
                timed_one_in: self.timing.one_in.map_or(from.timed_one_in, |it| it.0),
                fine: self.routes.fine,
                makers: makers.unwrap_or(from.makers),
                limits: self.limits.into_settings(from.limits),
                ..from
            },
        })
    }
}

impl Agent {
    fn into_settings(self, from: agent::Settings) -> agent::Settings {
        agent::Settings {
            listen: self.listen.map_or(from.listen, |it| it.0),
            insecure_listen: self.insecure_listen,
            web_config: self.web_config.map(|it| it.0),
            socket: self.socket.map_or(from.socket, |it| it.0),
            connections: self.connections.map_or(from.connections, |it| it.0),
            max_cpu: self.max_cpu.map_or(from.max_cpu, |it| it.0),
        }
    }
}

impl Metrics {
    fn into_settings(self, from: metrics::Settings) -> metrics::Settings {
        metrics::Settings {
            max_series: self.max_series.map_or(from.max_series, |it| it.0),
        }
    }
}

impl Journal {
    fn settings(self) -> Option<journal::Settings> {
        let from = journal::Settings::default();
        let directory = self.directory.map_or(Some(from.directory), |it| it.0);
        directory.map(|directory| journal::Settings {
            directory,
            max_size: self.max_size.map_or(from.max_size, |it| it.0),
        })
    }
}

impl Incidents {
    fn settings(self) -> incidents::Settings {
        let from = incidents::Settings::default();
        incidents::Settings {
            percent: self.page_share.map_or(from.percent, |it| it.0),
            connections: self.page_connections.map_or(from.connections, |it| {
                u32::try_from(it.0).unwrap_or(u32::MAX)
            }),
            lasting: self.page_after.map_or(from.lasting, |it| it.0),
            ..from
        }
    }
}

impl Alerts {
    fn into_settings(self) -> Result<alerts::Settings, Wrong> {
        let from = alerts::Settings::default();
        Ok(alerts::Settings {
            webhook: self.webhook.map(|it| it.0),
            webhook_key: self.webhook_key.map(|it| it.0),
            alertmanagers: all(self.alertmanagers, |text| value::url(&text))?,
            ca_file: self.ca_file.map_or(from.ca_file, |it| it.0),
            ..from
        })
    }
}

impl Filter {
    fn into_settings(self) -> settings::Filter {
        settings::Filter {
            namespace: self.namespace.map(|it| it.0),
            device: self.device.map(|it| it.0),
            prefix: self.prefix.map(|it| it.0),
            protocol: self.protocol.map(|it| it.0),
            port: self.port.map(|it| it.0),
        }
    }
}

impl Component {
    fn into_settings(self) -> Result<settings::Component, Wrong> {
        Ok(settings::Component {
            name: self.name.into_inner().0,
            prefixes: all(self.prefixes, |text| value::prefix(&text))?,
            ports: all(self.ports, value::port)?,
            namespace: self.namespace.map(|it| it.0),
        })
    }
}

impl Limits {
    fn into_settings(self, from: settings::Limits) -> settings::Limits {
        let or = |entries: Option<Entries>, default| entries.map_or(default, |it| it.0);
        settings::Limits {
            packets: or(self.packets, from.packets),
            nodes: or(self.nodes, from.nodes),
            classes: or(self.classes, from.classes),
            cells: or(self.cells, from.cells),
            handover: or(self.handover, from.handover),
        }
    }
}
