//! A container network's configuration (cni.dev, specification 1.1): the routes of its `ipam`.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Found, Text, words};

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    plugins: Vec<Plugin>,
    /// Of a file with one plugin.
    ipam: Option<Ipam>,
}

#[derive(Deserialize)]
struct Plugin {
    ipam: Option<Ipam>,
}

#[derive(Deserialize)]
struct Ipam {
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    dst: Spanned<String>,
    gw: Option<String>,
}

/// JSON is YAML, whose reader tells lines.
pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let list: List = match serde_saphyr::from_str(text.content) {
        Ok(list) => list,
        Err(error) => {
            let line = error.location().map(|it| it.line() as usize);
            let because = error.to_string();
            found.problem(text, line, because.lines().next().unwrap_or_default());
            return found;
        }
    };
    let ipams = list
        .plugins
        .into_iter()
        .filter_map(|it| it.ipam)
        .chain(list.ipam);
    for route in ipams.flat_map(|ipam| ipam.routes) {
        let line = route.dst.referenced.line() as usize;
        let Some(prefix) = words::prefix(&route.dst.value, false) else {
            found.problem(
                text,
                Some(line),
                format!("{:?} is no prefix", route.dst.value),
            );
            continue;
        };
        let mut declared = words::route(text, line, prefix);
        let gateway = route.gw.as_deref().map(str::parse::<std::net::IpAddr>);
        let Ok(gateway) = gateway.transpose() else {
            found.problem(text, Some(line), "its gateway is no address");
            continue;
        };
        declared.gateways.extend(gateway);
        found.routes.push(declared);
    }
    found
}
