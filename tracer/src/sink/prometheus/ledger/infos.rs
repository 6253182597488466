//! The routes that packets take now, as labels: one set for each component, next hop and FIB entry.

use std::collections::BTreeMap;

use super::Labels;
use super::names::Names;
use crate::model::hop::mac_text;
use crate::model::identity;
use crate::model::journal::Age;
use crate::model::name::Who;
use crate::model::network::names::{protocol, table};
use crate::model::{End, Reading};

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

    /// Takes a reading's, with the ages of its FIB entries by index of the node; returns how many
    /// more than before found no room.
    pub(super) fn take(
        &mut self,
        reading: &Reading,
        ages: &BTreeMap<usize, Age>,
        room: usize,
        names: &mut Names,
    ) -> u64 {
        self.routes.clear();
        let identities = identity::identities(reading);
        let (mut taken, mut refused) = (0, 0_u64);
        for &index in reading.forwarding.keys() {
            let class = identities.get(index).and_then(|it| it.class);
            let Some(labels) = class.and_then(|class| labels(reading, index, class)) else {
                continue;
            };
            let labels: Labels = labels.iter().map(|value| names.intern(value)).collect();
            let age = ages.get(&index).copied();
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

/// `component`, `next_hop`, `namespace`, `device`, `table`, `prefix`, `protocol`.
fn labels(reading: &Reading, index: usize, class: usize) -> Option<[String; 7]> {
    let forwarding = reading.forwarding.get(&index)?;
    let entry = forwarding.entry.as_ref()?;
    let hop = &reading.nodes.get(index)?.hop;
    let known = forwarding.next_hop.as_ref();
    let address = entry
        .gateway
        .or(known.and_then(|it| it.addresses.first().copied()));
    let next_hop = match address {
        Some(address) => address.to_string(),
        None => hop.next_hop_mac.map(mac_text).unwrap_or_default(),
    };
    Some([
        component(reading, class)?,
        next_hop,
        hop.namespace.name.clone(),
        hop.device.clone(),
        table(entry.table),
        entry.prefix.to_string(),
        protocol(entry.protocol),
    ])
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
