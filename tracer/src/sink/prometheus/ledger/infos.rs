//! The routes that packets take now, as labels: one set for each component, next hop and FIB entry.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Labels;
use super::names::{Interned, Names};
use crate::model::forwarding::{FibEntry, Forwarding};
use crate::model::hop::mac_text;
use crate::model::journal::Age;
use crate::model::name::Who;
use crate::model::network::names::{protocol, table};
use crate::model::{End, Hop, Reading};

/// Sets of labels of the last reading.
#[derive(Debug, Default)]
pub(in super::super) struct Infos {
    pub(in super::super) routes: BTreeMap<Labels, Option<Age>>,
    /// How many found no room.
    refused: u64,
}

impl Infos {
    /// How many series they make: a route whose age is known makes two.
    pub(super) fn series(&self) -> usize {
        self.routes.len() + self.routes.values().flatten().count()
    }

    /// Takes a reading's, with the classes of its nodes, and the ages of its FIB entries by index of
    /// one node of those that share hop and entry; returns how many more than before found no room.
    pub(super) fn take(
        &mut self,
        reading: &Reading,
        class_of: impl Fn(usize) -> Option<usize>,
        ages: &BTreeMap<usize, Age>,
        room: usize,
        names: &mut Names,
    ) -> u64 {
        self.routes.clear();
        let (mut taken, mut refused) = (0, 0_u64);
        // Very many classes go by few hops and entries, which are shared.
        let by = |index: usize, forwarding: &Arc<Forwarding>| {
            let hop = &reading.nodes.get(index)?.hop;
            Some((Arc::as_ptr(hop), Arc::as_ptr(forwarding)))
        };
        let ages = ages.iter().filter_map(|(index, &age)| {
            let forwarding = reading.forwarding.get(index)?;
            Some((by(*index, forwarding)?, age))
        });
        let ages: HashMap<_, Age> = ages.collect();
        let mut components: HashMap<usize, Option<Interned>> = HashMap::new();
        let mut seen = HashSet::new();
        for (&index, forwarding) in &reading.forwarding {
            let (Some(entry), Some(class)) = (&forwarding.entry, class_of(index)) else {
                continue;
            };
            let component = components.entry(class).or_insert_with(|| {
                component(reading, class).map(|component| names.intern(&component))
            });
            let (Some(component), Some(by)) = (component, by(index, forwarding)) else {
                continue;
            };
            if !seen.insert((by, component.clone())) {
                continue;
            }
            let hop = &reading.nodes[index].hop;
            let own = labels(hop, forwarding, entry);
            let own = own.iter().map(|value| names.intern(value));
            let labels: Labels = std::iter::once(component.clone()).chain(own).collect();
            let age = ages.get(&by).copied();
            if self.routes.contains_key(&labels) {
                continue;
            }
            let needed = 1 + usize::from(age.is_some());
            if taken + needed <= room {
                taken += needed;
                self.routes.insert(labels, age);
            } else {
                refused += 1;
            }
        }
        let more = refused.saturating_sub(self.refused);
        self.refused = refused;
        more
    }
}

/// `next_hop`, `namespace`, `device`, `table`, `prefix`, `protocol`; behind `component`.
fn labels(hop: &Hop, forwarding: &Forwarding, entry: &FibEntry) -> [String; 6] {
    let known = forwarding.next_hop.as_ref();
    let address = entry
        .gateway
        .or(known.and_then(|it| it.addresses.first().copied()));
    let next_hop = match address {
        Some(address) => address.to_string(),
        None => hop.next_hop_mac.map(mac_text).unwrap_or_default(),
    };
    [
        next_hop,
        hop.namespace.name.clone(),
        hop.device.clone(),
        table(entry.table),
        entry.prefix.to_string(),
        protocol(entry.protocol),
    ]
}

/// Whom the packets are for: as configured, else the one owner or program that is found here, else
/// the prefix. None of them changes when a process starts anew.
fn component(reading: &Reading, class: usize) -> Option<String> {
    let end = &reading.classes.get(class)?.destination;
    if let End::Component(name) = end {
        return Some(name.clone());
    }
    match reading.names.get(&class).map(|names| &names.destination) {
        Some(Who::Local(processes)) if processes.len() == 1 => {
            let process = processes.first()?;
            let owner = process.owner.as_ref().map(ToString::to_string);
            owner.or_else(|| process.command.clone())
        }
        Some(
            Who::Remote(prefix)
            | Who::Host {
                prefix: Some(prefix),
                ..
            },
        ) => Some(prefix.to_string()),
        _ => Some(end.to_string()),
    }
}
