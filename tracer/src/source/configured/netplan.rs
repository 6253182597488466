//! netplan-yaml: `routes`, `gateway4` and `gateway6` of every device.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::{Found, Text, words};
use crate::model::blame::Declared;

#[derive(Deserialize)]
struct File {
    network: Option<Network>,
}

type Devices = BTreeMap<String, Option<Device>>;

/// All kinds of devices.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Network {
    ethernets: Devices,
    wifis: Devices,
    modems: Devices,
    bonds: Devices,
    bridges: Devices,
    vlans: Devices,
    tunnels: Devices,
    vrfs: Devices,
    dummy_devices: Devices,
    virtual_ethernets: Devices,
    nm_devices: Devices,
}

#[derive(Deserialize)]
struct Device {
    #[serde(default)]
    routes: Vec<Route>,
    gateway4: Option<Spanned<String>>,
    gateway6: Option<Spanned<String>>,
    #[serde(rename = "match")]
    matched: Option<IgnoredAny>,
    #[serde(rename = "set-name")]
    set_name: Option<String>,
    /// Of a VRF.
    table: Option<u32>,
}

#[derive(Deserialize)]
struct Route {
    to: Option<Spanned<String>>,
    via: Option<Spanned<String>>,
    metric: Option<u32>,
    table: Option<u32>,
}

pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let file: File = match serde_saphyr::from_str(text.content) {
        Ok(file) => file,
        Err(error) => {
            let line = error.location().map(|it| it.line() as usize);
            let because = error.to_string();
            let because = because.lines().next().unwrap_or_default();
            found.problem(text, line, because);
            return found;
        }
    };
    let network = file.network.unwrap_or_default();
    let kinds = [
        network.ethernets,
        network.wifis,
        network.modems,
        network.bonds,
        network.bridges,
        network.vlans,
        network.tunnels,
        network.vrfs,
        network.dummy_devices,
        network.virtual_ethernets,
        network.nm_devices,
    ];
    for (name, device) in kinds.into_iter().flatten() {
        if let Some(device) = device {
            take(text, &name, &device, &mut found);
        }
    }
    found
}

fn take(text: &Text<'_>, name: &str, device: &Device, found: &mut Found) {
    // What is matched has its own name, unless it is given one.
    let name = match (&device.set_name, &device.matched) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(name.to_owned()),
    };
    let gateways = [&device.gateway4, &device.gateway6].into_iter().flatten();
    let gateways = gateways.map(|via| route(text, None, Some(via)));
    let routes = device.routes.iter().map(|it| {
        let mut route = route(text, it.to.as_ref(), it.via.as_ref())?;
        route.metric = it.metric;
        route.table = it.table.or(device.table).unwrap_or(route.table);
        Ok(route)
    });
    for route in gateways.chain(routes) {
        match route {
            Ok(route) => found.routes.push(Declared {
                device: name.clone(),
                ..route
            }),
            Err((line, because)) => found.problem(text, line, because),
        }
    }
}

fn route(
    text: &Text<'_>,
    to: Option<&Spanned<String>>,
    via: Option<&Spanned<String>>,
) -> Result<Declared, (Option<usize>, String)> {
    let line = |it: &Spanned<String>| it.referenced.line() as usize;
    let at = to.or(via).map(line);
    let gateway = via.map(|via| {
        let address = via.value.parse::<std::net::IpAddr>();
        address.map_err(|_| (Some(line(via)), format!("{:?} is no address", via.value)))
    });
    let gateway = gateway.transpose()?;
    let is_v6 = gateway.is_some_and(|it| it.is_ipv6());
    let prefix = match to {
        Some(to) => words::prefix(&to.value, is_v6)
            .ok_or_else(|| (at, format!("{:?} is no prefix", to.value)))?,
        None => words::everything(is_v6),
    };
    let at_line = at.ok_or((None, "a route has neither \"to\" nor \"via\"".to_owned()))?;
    let mut route = words::route(text, at_line, prefix);
    route.gateways.extend(gateway);
    Ok(route)
}
