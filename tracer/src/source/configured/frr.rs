//! FRR's `ip route` and `ipv6 route` (docs.frrouting.org/en/latest/static.html), and its protocols.

use super::{Found, Text, words};
use crate::model::blame::{Daemon, Declared};

/// `router …` lines, with the kernel's numbers of their routes
/// (`zebra/rt_netlink.h`, `RTPROT_…` of include/uapi/linux/rtnetlink.h).
const PROTOCOLS: [(&str, u8); 8] = [
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("ospf6", 188),
    ("rip", 189),
    ("ripng", 190),
    ("eigrp", 192),
    ("babel", 42),
];

pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let mut vrf: Option<String> = None;
    for (index, line) in text.content.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = index + 1;
        match words.as_slice() {
            ["vrf", name] => vrf = Some((*name).to_owned()),
            ["exit-vrf"] => vrf = None,
            ["ip" | "ipv6", "route", rest @ ..] => {
                let route = route(text, number, rest, words[0] == "ipv6", vrf.is_some());
                match route {
                    Ok(route) => found.routes.extend(route),
                    Err(because) => found.problem(text, Some(number), because),
                }
            }
            ["router", protocol, ..] => {
                let known = PROTOCOLS.iter().find(|row| row.0 == *protocol);
                found.daemons.extend(known.map(|&(_, protocol)| Daemon {
                    place: text.place(number),
                    protocol,
                }));
            }
            _ => {}
        }
    }
    together(&mut found.routes);
    found
}

/// `PREFIX [from …] GATEWAY|DEVICE|blackhole [DEVICE] [distance] [tag …] [table …] [vrf …]`; none for
/// one of a VRF, whose table only the kernel knows.
fn route(
    text: &Text<'_>,
    line: usize,
    rest: &[&str],
    is_v6: bool,
    in_vrf: bool,
) -> Result<Option<Declared>, String> {
    let (to, rest) = rest.split_first().ok_or("it names no destination")?;
    let prefix = words::prefix(to, is_v6).ok_or_else(|| format!("{to:?} is no prefix"))?;
    let mut route = words::route(text, line, prefix);
    if in_vrf || rest.contains(&"vrf") {
        return Err("the table of a VRF is not known here".to_owned());
    }
    let mut rest = rest.iter();
    while let Some(&word) = rest.next() {
        let mut value = || {
            rest.next()
                .copied()
                .ok_or_else(|| format!("{word} has no value"))
        };
        match word {
            "table" => {
                let name = value()?;
                route.table = words::table(name).ok_or_else(|| format!("{name:?} is no table"))?;
            }
            "from" | "tag" | "label" | "nexthop-vrf" | "segments" | "color" => {
                value()?;
            }
            "onlink" | "bfd" | "blackhole" | "Null0" | "null0" | "reject" => {}
            word => match word.parse() {
                Ok(gateway) => route.gateways.push(gateway),
                // The administrative distance, which the kernel is not told.
                Err(_) if word.bytes().all(|it| it.is_ascii_digit()) => {}
                Err(_) => route.device = Some(word.to_owned()),
            },
        }
    }
    Ok(Some(route))
}

/// Lines of the same prefix are legs of one route.
fn together(routes: &mut Vec<Declared>) {
    let mut joined: Vec<Declared> = Vec::new();
    for route in routes.drain(..) {
        let same = |it: &&mut Declared| {
            it.prefix == route.prefix && it.table == route.table && !route.gateways.is_empty()
        };
        match joined.iter_mut().find(same) {
            Some(first) => {
                first.gateways.extend(route.gateways);
                first.device = None;
            }
            None => joined.push(route),
        }
    }
    *routes = joined;
}
