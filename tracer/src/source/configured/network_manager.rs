//! nm-settings-keyfile(5): `route1=`, `gateway=`, and the gateway behind `address1=`.

use std::net::IpAddr;

use super::{Found, Text, ini, words};
use crate::model::blame::Declared;

pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let (sections, wrong) = ini::sections(text.content);
    for line in wrong {
        found.problem(text, Some(line), "it is no section and no key");
    }
    let connection = sections.iter().find(|it| it.name == "connection");
    let device = connection.and_then(|it| it.get("interface-name"));
    let device = device.map(|(name, _)| name.to_owned());
    for section in sections
        .iter()
        .filter(|it| ["ipv4", "ipv6"].contains(&it.name))
    {
        let is_v6 = section.name == "ipv6";
        let metric = section.get("route-metric").and_then(|it| it.0.parse().ok());
        for &(key, value, line) in &section.keys {
            let route = match kind(key) {
                Some(Kind::Route) => route(text, section, (key, value, line), is_v6).map(Some),
                Some(Kind::Gateway) => gateway(text, value, line, is_v6),
                Some(Kind::Address) => match value.split_once([',', ';']) {
                    Some((_, via)) => gateway(text, via.trim_end_matches([',', ';']), line, is_v6),
                    None => Ok(None),
                },
                None => Ok(None),
            };
            match route {
                Ok(route) => found.routes.extend(route.map(|route| Declared {
                    device: device.clone(),
                    metric: route.metric.or(metric),
                    ..route
                })),
                Err(because) => found.problem(text, Some(line), because),
            }
        }
    }
    found
}

enum Kind {
    Route,
    Gateway,
    Address,
}

fn kind(key: &str) -> Option<Kind> {
    let numbered = |stem| {
        let number = key.strip_prefix(stem)?;
        number.bytes().all(|it| it.is_ascii_digit()).then_some(())
    };
    if key == "gateway" {
        return Some(Kind::Gateway);
    }
    let route = numbered("routes").or_else(|| numbered("route"));
    let address = || numbered("addresses").or_else(|| numbered("address"));
    route
        .map(|()| Kind::Route)
        .or_else(|| address().map(|()| Kind::Address))
}

/// `destination,gateway,metric`, of which the last two may be left out.
fn route(
    text: &Text<'_>,
    section: &ini::Section<'_>,
    (key, value, line): (&str, &str, usize),
    is_v6: bool,
) -> Result<Declared, String> {
    let mut parts = value.split([',', ';']).map(str::trim);
    let to = parts.next().unwrap_or_default();
    let prefix = words::prefix(to, is_v6).ok_or_else(|| format!("{to:?} is no prefix"))?;
    let mut route = words::route(text, line, prefix);
    if let Some(via) = parts.next().filter(|it| !it.is_empty()) {
        let gateway: IpAddr = via.parse().map_err(|_| format!("{via:?} is no address"))?;
        route
            .gateways
            .extend(Some(gateway).filter(|it| !it.is_unspecified()));
    }
    if let Some(metric) = parts.next().filter(|it| !it.is_empty()) {
        let number = metric.parse();
        route.metric = Some(number.map_err(|_| format!("{metric:?} is no metric"))?);
    }
    if let Some((options, _)) = section.get(&format!("{key}_options")) {
        let mut options = options.split(',').filter_map(|it| it.split_once('='));
        if let Some((_, name)) = options.find(|it| it.0.trim() == "table") {
            let table = words::table(name.trim());
            route.table = table.ok_or_else(|| format!("{name:?} is no table's number"))?;
        }
    } else if let Some((name, _)) = section.get("route-table").filter(|it| it.0 != "0") {
        let table = words::table(name);
        route.table = table.ok_or_else(|| format!("{name:?} is no table's number"))?;
    }
    Ok(route)
}

fn gateway(
    text: &Text<'_>,
    via: &str,
    line: usize,
    is_v6: bool,
) -> Result<Option<Declared>, String> {
    let gateway: IpAddr = via.parse().map_err(|_| format!("{via:?} is no address"))?;
    if gateway.is_unspecified() {
        return Ok(None);
    }
    let mut route = words::route(text, line, words::everything(is_v6));
    route.gateways.push(gateway);
    Ok(Some(route))
}
