//! What was asked for, in the kernel half's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tracer_common::layout::{HANDED_WAYS, RULES, Rule, Rules};
use tracer_common::settings::Settings as KernelSettings;

use crate::model::Protocol;
use crate::source::netns;
use crate::source::settings::{Component, Limits};
use crate::source::{Error, Settings};

/// The constants that the kernel half is loaded with.
///
/// # Errors
/// When a namespace to filter by does not exist.
pub(super) fn compile(settings: &Settings) -> Result<KernelSettings, Error> {
    let filter = &settings.filter;
    let limits = settings.limits;
    let mut compiled = KernelSettings {
        packets_mask: packet_sets(limits) - 1,
        handover_mask: handover_sets(limits) - 1,
        nodes: limits.nodes,
        classes: limits.classes.min(65_535),
        cells: limits.cells,
        exchanges: u32::from(settings.exchanges),
        ephemeral_from: u32::from(settings.ephemeral_from),
        components: u32::from(!settings.components.is_empty()),
        timing_shift: settings.timed_one_in.get().ilog2(),
        passages: u32::from(settings.passages),
        handover_physical: u32::from(settings.through_hardware),
        ..KernelSettings::ZERO
    };
    if let Some(name) = &filter.namespace {
        compiled.filter_cookie =
            netns::cookie_of_name(name).map_err(|cause| no_namespace(name, &cause))?;
    }
    if let Some(name) = &filter.device {
        compiled.filter_device = device_words(name);
    }
    if let Some(prefix) = filter.prefix {
        compiled.filter_family = if prefix.addr().is_ipv4() { 4 } else { 6 };
        compiled.filter_address = words(prefix.network());
        compiled.filter_mask = words(prefix.netmask());
    }
    if let Some(protocol) = filter.protocol {
        compiled.filter_protocols = 1;
        compiled.filter_protocol = match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmp => 1,
            Protocol::Other => 0,
        };
    }
    compiled.filter_port = filter.port.map_or(0, u32::from);
    Ok(compiled)
}

/// How many sets the packet table has: a power of two.
pub(super) fn packet_sets(limits: Limits) -> u32 {
    (limits.packets / 2).max(1).next_power_of_two()
}

/// How many sets the handover table has: a power of two.
pub(super) fn handover_sets(limits: Limits) -> u32 {
    (limits.handover / HANDED_WAYS as u32)
        .max(1)
        .next_power_of_two()
}

fn no_namespace(name: &str, cause: &std::io::Error) -> Error {
    let doing = format!("find the network namespace {name}");
    if cause.kind() == std::io::ErrorKind::PermissionDenied {
        return Error::Kernel {
            doing,
            because: format!("{cause}: entering it takes CAP_SYS_ADMIN"),
            advice: "sudo tracer, or `tracer doctor` to see what is missing".to_owned(),
        };
    }
    Error::Kernel {
        doing,
        because: cause.to_string(),
        advice: "a name that `ip netns` lists, \"host\", or a path like /proc/PID/ns/net"
            .to_owned(),
    }
}

/// A device's name as the kernel compares it: sixteen bytes, zeros behind the name.
fn device_words(name: &str) -> [u64; 2] {
    let mut bytes = [0u8; 16];
    for (byte, of_name) in bytes[..15].iter_mut().zip(name.bytes()) {
        *byte = of_name;
    }
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| half.try_into().map_or(0, u64::from_ne_bytes))
}

/// An address in network order, as the kernel half reads it.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [u32::from_ne_bytes(address.octets()), 0, 0, 0],
        IpAddr::V6(address) => {
            let octets = address.octets();
            let mut words = [0; 4];
            for (word, bytes) in words.iter_mut().zip(octets.chunks_exact(4)) {
                *word = bytes.try_into().map_or(0, u32::from_ne_bytes);
            }
            words
        }
    }
}

/// A prefix as the kernel's trie takes it: length and address, IPv4 mapped into IPv6.
pub(super) type TrieKey = (u32, [u8; 16]);

/// The rules of each prefix that a component names, those of shorter prefixes behind its own.
///
/// The trie answers with the longest prefix only, so each has to know all that apply.
///
/// # Errors
/// When a component's namespace does not exist, or a prefix has more rules than there is room.
pub(super) fn by_prefix(settings: &Settings) -> Result<BTreeMap<TrieKey, Rules>, Error> {
    let mut all: Vec<(IpNet, Rule, usize)> = Vec::new();
    for (index, component) in settings.components.iter().enumerate() {
        let rules = rules_of(index, component)?;
        for prefix in prefixes_of(component) {
            all.extend(rules.iter().map(|&rule| (prefix, rule, index)));
        }
    }
    let mut found = BTreeMap::new();
    for (prefix, ..) in &all {
        let mut fitting: Vec<_> = all.iter().filter(|(of, ..)| of.contains(prefix)).collect();
        // The narrower claim comes first: longer prefix, then a port, then a namespace.
        fitting.sort_by_key(|(of, rule, index)| {
            (
                std::cmp::Reverse(of.prefix_len()),
                rule.port == 0,
                rule.cookie == 0,
                *index,
            )
        });
        if fitting.len() > RULES {
            return Err(Error::Kernel {
                doing: format!("give names to the addresses in {prefix}"),
                because: format!("{} components and ports share them", fitting.len()),
                advice: format!("at most {RULES}, or narrower prefixes"),
            });
        }
        let mut rules = Rules::default();
        for (place, (_, rule, _)) in rules.rules.iter_mut().zip(fitting) {
            *place = *rule;
        }
        found.insert(trie_key(*prefix), rules);
    }
    Ok(found)
}

fn prefixes_of(component: &Component) -> Vec<IpNet> {
    if component.prefixes.is_empty() {
        vec![
            IpNet::new_assert(IpAddr::from([0; 4]), 0),
            IpNet::new_assert(IpAddr::from([0; 16]), 0),
        ]
    } else {
        component.prefixes.iter().map(IpNet::trunc).collect()
    }
}

fn rules_of(index: usize, component: &Component) -> Result<Vec<Rule>, Error> {
    let cookie = match &component.namespace {
        Some(name) => netns::cookie_of_name(name).map_err(|cause| no_namespace(name, &cause))?,
        None => 0,
    };
    let rule = |port| Rule {
        component: index as u16 + 1,
        port,
        zero: 0,
        cookie,
    };
    if component.ports.is_empty() {
        return Ok(vec![rule(0)]);
    }
    Ok(component.ports.iter().map(|&port| rule(port)).collect())
}

fn trie_key(prefix: IpNet) -> TrieKey {
    match prefix {
        IpNet::V4(prefix) => (
            u32::from(prefix.prefix_len()) + 96,
            prefix.network().to_ipv6_mapped().octets(),
        ),
        IpNet::V6(prefix) => (u32::from(prefix.prefix_len()), prefix.network().octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, prefixes: &[&str], ports: &[u16]) -> Component {
        Component {
            name: name.to_owned(),
            prefixes: prefixes
                .iter()
                .map(|prefix| prefix.parse().unwrap())
                .collect(),
            ports: ports.to_vec(),
            namespace: None,
        }
    }

    #[test]
    fn a_longer_prefix_knows_the_rules_of_the_shorter_ones_behind_its_own() {
        let components = vec![
            component("site", &["10.0.0.0/8"], &[]),
            component("db", &["10.2.0.0/16"], &[5432]),
        ];
        let found = by_prefix(&Settings {
            components,
            ..Settings::default()
        })
        .unwrap();
        let db: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 2, 0, 0];
        let rules = found[&(112, db)].rules;
        assert_eq!((rules[0].component, rules[0].port), (2, 5432));
        assert_eq!((rules[1].component, rules[1].port), (1, 0));
        assert_eq!(rules[2], Rule::default());
    }

    #[test]
    fn a_component_without_prefix_has_all_addresses() {
        let components = vec![component("dns", &[], &[53])];
        let found = by_prefix(&Settings {
            components,
            ..Settings::default()
        })
        .unwrap();
        assert!(found.contains_key(&(0, [0; 16])));
        assert!(found.keys().any(|(length, _)| *length == 96));
    }

    #[test]
    fn too_many_names_for_one_prefix_are_refused() {
        let ports: Vec<u16> = (1..=9).collect();
        let components = vec![component("many", &["10.0.0.0/8"], &ports)];
        let error = by_prefix(&Settings {
            components,
            ..Settings::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("at most 8"), "{error}");
    }
}
