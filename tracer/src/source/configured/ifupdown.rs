//! interfaces(5): `gateway`, and `ip route` or `route` in `up` and its kin.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Found, Text, words};
use crate::model::blame::Declared;

/// When commands are run.
const UP: [&str; 3] = ["up", "post-up", "pre-up"];

pub(super) fn read(text: &Text<'_>) -> Found {
    let mut found = Found::default();
    let (mut device, mut metric): (Option<String>, Option<u32>) = (None, None);
    for (line, joined) in lines(text.content) {
        let words: Vec<&str> = joined.split_whitespace().collect();
        let result = match words.as_slice() {
            ["iface", name, ..] => {
                device = Some((*name).to_owned());
                metric = None;
                Ok(None)
            }
            ["mapping" | "auto", ..] => {
                device = None;
                Ok(None)
            }
            ["source" | "source-directory", pattern] => {
                found.more.push((*pattern).to_owned());
                Ok(None)
            }
            ["metric", number] => {
                // It stands before or behind its gateway.
                metric = number.parse().ok();
                let last = found.routes.last_mut();
                if let Some(route) = last.filter(|it| it.prefix.prefix_len() == 0) {
                    route.metric = route.metric.or(metric);
                }
                Ok(None)
            }
            ["gateway", via] => gateway(text, line, via, device.as_ref())
                .map(|route| Some(Declared { metric, ..route })),
            [when, command @ ..] if UP.contains(when) => {
                commands(text, line, command, device.as_ref(), &mut found);
                Ok(None)
            }
            _ => Ok(None),
        };
        match result {
            Ok(route) => found.routes.extend(route),
            Err(because) => found.problem(text, Some(line), because),
        }
    }
    found
}

/// Lines with their numbers; one that ends in a backslash goes on in the next.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !goes_on && line.starts_with('#') {
            continue;
        }
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part);
            }
            None => lines.push((index + 1, part.to_owned())),
        }
        goes_on = more;
    }
    lines
}

fn gateway(
    text: &Text<'_>,
    line: usize,
    via: &str,
    device: Option<&String>,
) -> Result<Declared, String> {
    let gateway: IpAddr = via.parse().map_err(|_| format!("{via:?} is no address"))?;
    let mut route = words::route(text, line, words::everything(gateway.is_ipv6()));
    route.gateways.push(gateway);
    route.device = device.cloned();
    Ok(route)
}

/// The routes in a shell's commands, as far as they are plain words.
fn commands(
    text: &Text<'_>,
    line: usize,
    command: &[&str],
    device: Option<&String>,
    found: &mut Found,
) {
    let joined = command.join(" ");
    for one in joined.split(['&', '|', ';']) {
        let one = one.replace("$IFACE", device.map_or("$IFACE", String::as_str));
        let mut words: Vec<&str> = one.split_whitespace().collect();
        // What the shell makes of its output is not the route's.
        words.retain(|word| !word.contains('>'));
        let Some((program, rest)) = words.split_first() else {
            continue;
        };
        let route = match program.rsplit('/').next() {
            Some("ip") => ip(text, line, rest),
            Some("route") => route(text, line, rest),
            _ => continue,
        };
        match route {
            Ok(route) => found.routes.extend(route),
            Err(because) => found.problem(text, Some(line), because),
        }
    }
}

/// `ip [-6] route add …`
fn ip(text: &Text<'_>, line: usize, words: &[&str]) -> Result<Option<Declared>, String> {
    let plain = words.iter().position(|word| !word.starts_with('-'));
    let is_v6 = words.contains(&"-6") || words.contains(&"-family");
    let words = &words[plain.unwrap_or(words.len())..];
    match words {
        [
            object,
            "add" | "a" | "replace" | "append" | "change",
            rest @ ..,
        ] if !object.is_empty() && "route".starts_with(object) => {
            let mut route = words::ip_route(text, line, rest)?;
            if is_v6 && rest.contains(&"default") {
                route.prefix = words::everything(true);
            }
            Ok(Some(route))
        }
        _ => Ok(None),
    }
}

/// `route add -net 10.2.0.0 netmask 255.255.0.0 gw 10.0.9.1 [metric 5] [dev] eth0` (net-tools)
fn route(text: &Text<'_>, line: usize, words: &[&str]) -> Result<Option<Declared>, String> {
    let ["add", rest @ ..] = words else {
        return Ok(None);
    };
    let mut rest = rest.iter().copied();
    let mut to = rest.next().unwrap_or_default();
    if ["-net", "-host"].contains(&to) {
        to = rest.next().unwrap_or_default();
    }
    let wrong = |what: &str, word: &str| format!("{word:?} is no {what}");
    let mut net = words::prefix(to, false).ok_or_else(|| wrong("prefix", to))?;
    let mut found = words::route(text, line, net);
    while let Some(word) = rest.next() {
        match word {
            "netmask" => {
                let mask = rest.next().unwrap_or_default();
                net = masked(net, mask).ok_or_else(|| wrong("netmask", mask))?;
            }
            "gw" => {
                let via = rest.next().unwrap_or_default();
                found
                    .gateways
                    .push(via.parse().map_err(|_| wrong("address", via))?);
            }
            "metric" => {
                let metric = rest.next().unwrap_or_default();
                let number = metric.parse().map_err(|_| wrong("metric", metric))?;
                found.metric = Some(number);
            }
            "dev" => found.device = rest.next().map(str::to_owned),
            name => found.device = Some(name.to_owned()),
        }
    }
    found.prefix = net;
    Ok(Some(found))
}

fn masked(net: IpNet, mask: &str) -> Option<IpNet> {
    let (IpAddr::V4(address), Ok(mask)) = (net.addr(), mask.parse::<Ipv4Addr>()) else {
        return None;
    };
    Ipv4Net::with_netmask(address, mask)
        .ok()
        .map(|net| IpNet::V4(net.trunc()))
}
