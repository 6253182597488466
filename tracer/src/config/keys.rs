//! Every key of the file, with what it may hold.

use super::value::{
    CONNECTIONS, DIRECTORY, DURATION, ENTRIES, JOURNAL_SIZE, LISTEN, MAX_CPU, NAME, ONE_IN, PATH,
    PERCENT, PORT, PORT_RANGE, PREFIX, PROTOCOL, SERIES, SOCKET, TRUTH, URL,
};

/// The sections and keys.
const KEYS: &[(&str, &str)] = &[
    ("routes", "a section: [routes]"),
    ("routes.duration", DURATION),
    ("routes.through_hardware", TRUTH),
    ("routes.fine", TRUTH),
    ("agent", "a section: [agent]"),
    ("agent.listen", LISTEN),
    ("agent.insecure_listen", TRUTH),
    ("agent.web_config", PATH),
    ("agent.socket", SOCKET),
    ("agent.connections", CONNECTIONS),
    ("agent.max_cpu", MAX_CPU),
    ("metrics", "a section: [metrics]"),
    ("metrics.max_series", SERIES),
    ("journal", "a section: [journal]"),
    ("journal.directory", DIRECTORY),
    ("journal.max_size", JOURNAL_SIZE),
    ("journal.makers", TRUTH),
    ("incidents", "a section: [incidents]"),
    ("incidents.page_share", PERCENT),
    ("incidents.page_connections", CONNECTIONS),
    ("incidents.page_after", DURATION),
    ("alerts", "a section: [alerts]"),
    ("alerts.webhook", URL),
    ("alerts.webhook_key", PATH),
    ("alerts.alertmanagers", URL),
    ("alerts.ca_file", PATH),
    ("filter", "a section: [filter]"),
    ("filter.namespace", NAME),
    ("filter.device", NAME),
    ("filter.prefix", PREFIX),
    ("filter.protocol", PROTOCOL),
    ("filter.port", PORT),
    ("classes", "a section: [classes]"),
    ("classes.service_ports", PORT_RANGE),
    ("classes.ephemeral_from", PORT),
    ("timing", "a section: [timing]"),
    ("timing.one_in", ONE_IN),
    ("limits", "a section: [limits]"),
    ("limits.packets", ENTRIES),
    ("limits.nodes", ENTRIES),
    ("limits.classes", ENTRIES),
    ("limits.cells", ENTRIES),
    ("limits.handover", ENTRIES),
    (
        "component",
        "[[component]] with a name and at least one of prefixes, ports, namespace",
    ),
    (
        "component.name",
        "a name that no other component has, beside prefixes, ports or a namespace",
    ),
    ("component.prefixes", PREFIX),
    ("component.ports", PORT),
    ("component.namespace", NAME),
];

/// What a key may hold; none for a key that there is not.
pub(super) fn allowed(key: &str) -> Option<&'static str> {
    let row = KEYS.iter().find(|&&(known, _)| known == key);
    row.map(|&(_, allowed)| allowed)
}

/// The keys that stand beside this one.
pub(super) fn beside(key: &str) -> String {
    let section = key.rsplit_once('.').map(|(section, _)| section);
    let names = KEYS.iter().filter_map(|&(known, _)| match section {
        Some(section) => known.strip_prefix(section)?.strip_prefix('.'),
        None => Some(known).filter(|known| !known.contains('.')),
    });
    names.collect::<Vec<_>>().join(", ")
}
