//! systemd.network(5): `[Route]` sections, and `Gateway=` of `[Network]`.

use super::{Found, Text, ini, words};

pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let (sections, wrong) = ini::sections(text.content);
    for line in wrong {
        found.problem(text, Some(line), "it is no section and no key");
    }
    let device = device(&sections);
    for section in &sections {
        let result = match section.name {
            "Network" => gateways(text, section, &mut found),
            "Route" => route(text, section).map(|route| found.routes.extend(route)),
            _ => Ok(()),
        };
        if let Err((line, because)) = result {
            found.problem(text, Some(line), because);
        }
    }
    for route in &mut found.routes {
        route.device.clone_from(&device);
    }
    found
}

/// The one device that a file is for.
pub(super) fn device(sections: &[ini::Section<'_>]) -> Option<String> {
    let matched = sections.iter().filter(|it| it.name == "Match");
    let (name, _) = matched.filter_map(|it| it.get("Name")).next_back()?;
    // A pattern, or several names, is nobody's name.
    let is_one = !name.contains(['*', '?', '[', ' ', '!']);
    is_one.then(|| name.to_owned())
}

type Wrong = (usize, String);

fn gateways(text: &Text<'_>, section: &ini::Section<'_>, found: &mut Found) -> Result<(), Wrong> {
    for &(_, value, line) in section.keys.iter().filter(|key| key.0 == "Gateway") {
        let Some(gateway) = address(value, line)? else {
            continue;
        };
        let mut route = words::route(text, line, words::everything(gateway.is_ipv6()));
        route.gateways.push(gateway);
        found.routes.push(route);
    }
    Ok(())
}

fn route(
    text: &Text<'_>,
    section: &ini::Section<'_>,
) -> Result<Option<crate::model::blame::Declared>, Wrong> {
    let gateway = match section.get("Gateway") {
        Some((value, line)) => address(value, line)?.map(|gateway| (gateway, line)),
        None => None,
    };
    let (prefix, line) = match (section.get("Destination"), gateway) {
        (Some((to, line)), _) => (
            words::prefix(to, false).ok_or_else(|| (line, format!("{to:?} is no prefix")))?,
            line,
        ),
        (None, Some((gateway, line))) => (words::everything(gateway.is_ipv6()), line),
        // `_dhcp4` and the like: leases tell what became of it.
        (None, None) => return Ok(None),
    };
    let mut route = words::route(text, line, prefix);
    route.gateways.extend(gateway.map(|(gateway, _)| gateway));
    for &(_, value, line) in section.keys.iter().filter(|key| key.0 == "MultiPathRoute") {
        // address[@device] [weight]
        let leg = value.split([' ', '@']).next().unwrap_or_default();
        route.gateways.extend(address(leg, line)?);
    }
    if let Some((metric, line)) = section.get("Metric") {
        let number = metric.parse();
        route.metric = Some(number.map_err(|_| (line, format!("{metric:?} is no metric")))?);
    }
    if let Some((name, line)) = section.get("Table") {
        let table = words::table(name);
        route.table = table.ok_or_else(|| (line, format!("{name:?} is no table's number")))?;
    }
    Ok(Some(route))
}

/// An address; none for those that DHCP or an advertisement gives.
fn address(text: &str, line: usize) -> Result<Option<std::net::IpAddr>, Wrong> {
    if text.is_empty() || text.starts_with('_') || ["dhcp", "ipv6ra"].contains(&text) {
        return Ok(None);
    }
    let address = text.parse().map(Some);
    address.map_err(|_| (line, format!("{text:?} is no address")))
}
