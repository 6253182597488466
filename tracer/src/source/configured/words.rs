//! What owners' files write alike: prefixes, tables, `ip route` as words, patterns of files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Text;
use crate::model::blame::{Declared, MAIN};

/// A prefix, or an address alone; `default` where the family is known.
pub(super) fn prefix(text: &str, is_v6: bool) -> Option<IpNet> {
    if ["default", "any"].contains(&text) {
        return Some(everything(is_v6));
    }
    let net = text.parse::<IpNet>().ok();
    net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .map(|net| net.trunc())
}

/// All addresses of a family.
pub(super) fn everything(is_v6: bool) -> IpNet {
    if is_v6 {
        IpNet::V6(Ipv6Net::default())
    } else {
        IpNet::V4(Ipv4Net::default())
    }
}

/// A table by its number, or by a name that it has everywhere.
pub(super) fn table(text: &str) -> Option<u32> {
    match text {
        "main" => Some(MAIN),
        "default" => Some(253),
        "local" => Some(255),
        number => number.parse().ok(),
    }
}

/// A route of a text, in the main table, of which nothing else is known.
pub(super) fn route(text: &Text<'_>, line: usize, prefix: IpNet) -> Declared {
    Declared {
        place: text.place(line),
        prefix,
        gateways: Vec::new(),
        device: None,
        metric: None,
        table: MAIN,
    }
}

/// The route in the words of `ip route add`, behind `add`; none where there is none, and what is
/// wrong with it where there is.
pub(super) fn ip_route(text: &Text<'_>, line: usize, words: &[&str]) -> Result<Declared, String> {
    let kinds = [
        "unicast",
        "local",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
    ];
    let words = match words.first() {
        Some(kind) if kinds.contains(kind) => &words[1..],
        _ => words,
    };
    let (to, rest) = words.split_first().ok_or("it names no destination")?;
    let (to, rest) = match (*to, rest.split_first()) {
        ("to", Some((to, rest))) => (*to, rest),
        _ => (*to, rest),
    };
    let via_v6 = rest.iter().any(|word| word.contains(':'));
    let prefix = prefix(to, via_v6).ok_or_else(|| format!("{to:?} is no prefix"))?;
    let mut found = route(text, line, prefix);
    let mut words = rest.iter();
    while let Some(&word) = words.next() {
        let mut value = || {
            words
                .next()
                .copied()
                .ok_or_else(|| format!("{word} has no value"))
        };
        match word {
            "via" => {
                let mut via = value()?;
                if ["inet", "inet6"].contains(&via) {
                    via = value()?;
                }
                let gateway = via.parse().map_err(|_| format!("{via:?} is no address"))?;
                found.gateways.push(gateway);
            }
            "dev" => found.device = Some(value()?.to_owned()),
            "metric" | "preference" => {
                let metric = value()?;
                let number = metric.parse();
                found.metric = Some(number.map_err(|_| format!("{metric:?} is no metric"))?);
            }
            "table" => {
                let name = value()?;
                found.table =
                    table(name).ok_or_else(|| format!("{name:?} is no table's number"))?;
            }
            "proto" | "scope" | "src" | "mtu" | "tos" | "weight" | "advmss" | "initcwnd"
            | "initrwnd" | "pref" | "realm" | "window" | "rtt" => {
                value()?;
            }
            // `nexthop via … dev …`, one after another.
            "nexthop" | "onlink" | "lock" => {}
            other => return Err(format!("{other:?} is not understood")),
        }
    }
    if found.gateways.len() > 1 {
        // Each leg has its own.
        found.device = None;
    }
    Ok(found)
}

/// The files that a pattern names: absolute below the root, else beside the file that names it. A `*`
/// stands for any part of the last name.
pub(super) fn matching(root: &Path, file: &Path, pattern: &str) -> Vec<PathBuf> {
    let full = match pattern.strip_prefix('/') {
        Some(below) => root.join(below),
        None => file.parent().unwrap_or(root).join(pattern),
    };
    // Nothing outside of the root is read.
    if pattern.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let name = full
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Some((before, after)) = name.split_once('*') else {
        if full.is_dir() {
            return matching(root, file, &format!("{}/*", pattern.trim_end_matches('/')));
        }
        return full.is_file().then_some(full).into_iter().collect();
    };
    let folder = full.parent().unwrap_or(root);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let long = name.len() >= before.len() + after.len();
        long && name.starts_with(before)
            && name.ends_with(after)
            && !name.starts_with('.')
            && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    files.sort();
    files
}
