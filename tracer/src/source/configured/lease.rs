//! What DHCP clients wrote down of their leases: networkd's and `NetworkManager`'s keys
//! (systemd's `sd_dhcp_lease_save`), and dhclient.leases(5).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Found, Text, words};
use crate::model::blame::Declared;

/// `ROUTER=`, and `ROUTES=` of option 121 (RFC 3442), which the former gives way to.
pub(super) fn keys(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let device = device(text);
    let rows = || {
        let lines = text.content.lines().enumerate();
        lines.filter_map(|(index, line)| Some((index + 1, line.split_once('=')?)))
    };
    let value = |key: &str| {
        let mut rows = rows().filter(|(_, row)| row.0 == key && !row.1.is_empty());
        rows.next().map(|(line, row)| (line, row.1))
    };
    let classless = value("ROUTES").or_else(|| value("CLASSLESS_ROUTES"));
    if let Some((line, routes)) = classless {
        for one in routes.split_whitespace() {
            match pair(text, line, one) {
                Ok(route) => found.routes.push(route),
                Err(because) => found.problem(text, Some(line), because),
            }
        }
    } else if let Some((line, routers)) = value("ROUTER") {
        // The first one is used.
        let router = routers.split_whitespace().next().unwrap_or_default();
        default(text, line, router, &mut found);
    }
    for route in &mut found.routes {
        route.device.clone_from(&device);
    }
    found
}

/// The device: networkd's file is named by its number, `NetworkManager`'s by its name at the end.
fn device(text: &Text<'_>) -> Option<String> {
    let name = text.file.rsplit('/').next().unwrap_or_default();
    if let Ok(index) = name.parse::<u32>() {
        return text.devices.get(&index).cloned();
    }
    // `internal-<UUID>-<device>.lease`
    let stem = name.strip_suffix(".lease")?;
    let uuid_length = 36;
    let rest = stem.split_once('-')?.1;
    rest.get(uuid_length..)?
        .strip_prefix('-')
        .map(str::to_owned)
}

/// `10.2.0.0/16,10.0.9.1`
fn pair(text: &Text<'_>, line: usize, one: &str) -> Result<Declared, String> {
    let (to, via) = one
        .split_once(',')
        .ok_or_else(|| format!("{one:?} is no route"))?;
    let prefix = words::prefix(to, false).ok_or_else(|| format!("{to:?} is no prefix"))?;
    let gateway: IpAddr = via.parse().map_err(|_| format!("{via:?} is no address"))?;
    let mut route = words::route(text, line, prefix);
    route
        .gateways
        .extend(Some(gateway).filter(|it| !it.is_unspecified()));
    Ok(route)
}

fn default(text: &Text<'_>, line: usize, router: &str, found: &mut Found) {
    match router.parse::<Ipv4Addr>() {
        Ok(gateway) => {
            let mut route = words::route(text, line, words::everything(false));
            route.gateways.push(gateway.into());
            found.routes.push(route);
        }
        Err(_) => found.problem(text, Some(line), format!("{router:?} is no address")),
    }
}

/// The last lease of each device counts.
pub(super) fn dhclient(text: &Text<'_>) -> Found {
    let mut leases: Vec<Lease<'_>> = Vec::new();
    let mut lease = None;
    for (index, line) in text.content.lines().enumerate() {
        let line = line.trim().trim_end_matches(';');
        let number = index + 1;
        if line.starts_with("lease ") || line.starts_with("lease{") {
            lease = Some(Lease::default());
        } else if line == "}" {
            let Some(ended) = lease.take() else {
                continue;
            };
            leases.retain(|it| it.device != ended.device);
            leases.push(ended);
        } else if let Some(lease) = &mut lease {
            lease.take(line, number);
        }
    }
    let mut found = Found::default();
    for lease in leases {
        let from = found.routes.len();
        lease.routes(text, &mut found);
        for route in &mut found.routes[from..] {
            route.device = lease.device.map(str::to_owned);
        }
    }
    found
}

#[derive(Default)]
struct Lease<'a> {
    device: Option<&'a str>,
    routers: Option<(usize, &'a str)>,
    classless: Option<(usize, &'a str)>,
}

impl<'a> Lease<'a> {
    fn take(&mut self, line: &'a str, number: usize) {
        let rest = |stem| line.strip_prefix(stem).map(str::trim);
        if let Some(name) = rest("interface ") {
            self.device = Some(name.trim_matches('"'));
        } else if let Some(routers) = rest("option routers ") {
            self.routers = Some((number, routers));
        } else if let Some(routes) = rest("option rfc3442-classless-static-routes ")
            .or_else(|| rest("option classless-static-routes "))
        {
            self.classless = Some((number, routes));
        }
    }

    fn routes(&self, text: &Text<'_>, found: &mut Found) {
        if let Some((line, bytes)) = self.classless {
            match classless(text, line, bytes) {
                Some(routes) => found.routes.extend(routes),
                None => found.problem(text, Some(line), format!("{bytes:?} are no routes")),
            }
        } else if let Some((line, routers)) = self.routers {
            let router = routers.split(',').next().unwrap_or_default().trim();
            default(text, line, router, found);
        }
    }
}

/// RFC 3442: the prefix's length, as many bytes of it as count, and the gateway, all as numbers.
fn classless(text: &Text<'_>, line: usize, bytes: &str) -> Option<Vec<Declared>> {
    let numbers = bytes.split([',', ' ']).filter(|it| !it.is_empty());
    let bytes: Vec<u8> = numbers.map(|it| it.parse().ok()).collect::<Option<_>>()?;
    let mut rest = bytes.as_slice();
    let mut routes = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let (significant, after) = after.split_at_checked(usize::from(length).div_ceil(8))?;
        let (gateway, after) = after.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets
            .get_mut(..significant.len())?
            .copy_from_slice(significant);
        let net = Ipv4Net::new(octets.into(), length).ok()?.trunc();
        let mut route = words::route(text, line, IpNet::V4(net));
        let gateway = IpAddr::from(*gateway);
        route
            .gateways
            .extend(Some(gateway).filter(|it| !it.is_unspecified()));
        routes.push(route);
        rest = after;
    }
    Some(routes)
}
