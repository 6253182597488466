//! What devices counted against what was seen at their hops.

use std::collections::{BTreeMap, HashMap};

use tracer_common::hop::Stage;

use crate::model::Reading;
use crate::model::coverage::{Coverage, Direction};
use crate::source::Settings;
use crate::source::mirror::counters;

/// Devices with their counters, by namespace and number.
type Devices = BTreeMap<(u64, u32), counters::Device>;

/// Compares both since a device was seen first.
#[derive(Default)]
pub(super) struct Watch {
    /// Only a part of the packets is asked for, so that nothing can be said.
    is_partial: bool,
    began: HashMap<(u64, u32), Both>,
    latest: Vec<Coverage>,
    /// What devices had counted when the last packets began.
    closed: Option<Devices>,
}

/// A device's counters and what was seen at its hops, received and sent.
#[derive(Clone, Copy, Default)]
struct Both {
    carried: counters::Counters,
    seen: [u64; 2],
    payload: [u64; 2],
}

impl Watch {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            is_partial: settings.filter != crate::source::settings::Filter::default(),
            ..Self::default()
        }
    }

    /// Keeps what devices counted before no more packets are followed: what they carry while those on
    /// their way are waited for is not at their hops.
    pub(super) fn close(&mut self, devices: Option<Devices>) {
        self.closed = devices;
    }

    /// Adds what is known of coverage to a reading; with it come devices' counters of now, if they
    /// were asked.
    pub(super) fn tell(&mut self, devices: Option<Devices>, reading: &mut Reading) {
        if self.is_partial || reading.followed < 1.0 {
            self.began.clear();
            self.latest.clear();
            reading.coverage.clear();
            return;
        }
        if let Some(devices) = self.closed.take().or(devices) {
            self.compare(devices, reading);
        }
        reading.coverage.clone_from(&self.latest);
    }

    fn compare(&mut self, devices: Devices, reading: &Reading) {
        let seen = at_hops(reading);
        self.began.retain(|key, _| devices.contains_key(key));
        self.latest.clear();
        for (key, device) in devices {
            let (seen, payload) = seen.get(&key).copied().unwrap_or_default();
            let now = Both {
                carried: device.counters,
                seen,
                payload,
            };
            let began = *self.began.entry(key).or_insert(now);
            let both = [(0, Direction::Receive), (1, Direction::Transmit)];
            for (place, direction) in both {
                if let Some((seen, carried)) = since(&began, &now, place) {
                    self.latest.push(Coverage {
                        namespace: device.namespace.clone(),
                        device: device.name.clone(),
                        ifindex: key.1,
                        direction,
                        seen,
                        carried,
                    });
                }
            }
        }
    }
}

/// What was seen and what was carried between two moments; none where nothing was, or where the two
/// do not count the same thing.
///
/// A driver counts the segments that hardware makes of one packet; at its hop there is one packet.
/// Then the payload of a packet at the hop is longer than a whole packet of the device.
fn since(began: &Both, now: &Both, place: usize) -> Option<(u64, u64)> {
    let carried = now.carried.packets[place].checked_sub(began.carried.packets[place])?;
    let bytes = now.carried.bytes[place].checked_sub(began.carried.bytes[place])?;
    let seen = now.seen[place].saturating_sub(began.seen[place]);
    let payload = now.payload[place].saturating_sub(began.payload[place]);
    if carried == 0 {
        return None;
    }
    let is_split = seen > 0 && carried > seen && payload / seen > bytes / carried;
    (!is_split).then_some((seen, carried))
}

/// Packets and payload at the hops of each device, received and sent.
fn at_hops(reading: &Reading) -> BTreeMap<(u64, u32), ([u64; 2], [u64; 2])> {
    let mut all: BTreeMap<_, ([u64; 2], [u64; 2])> = BTreeMap::new();
    for node in &reading.nodes {
        let place = match node.hop.stage {
            Stage::Rx => 0,
            Stage::Xmit => 1,
            _ => continue,
        };
        let key = (node.hop.namespace.cookie, node.hop.ifindex);
        let (packets, payload) = all.entry(key).or_default();
        packets[place] += node.packets;
        payload[place] += node.bytes;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(carried: u64, bytes: u64, seen: u64, payload: u64) -> Both {
        Both {
            carried: counters::Counters {
                packets: [carried; 2],
                bytes: [bytes; 2],
            },
            seen: [seen; 2],
            payload: [payload; 2],
        }
    }

    #[test]
    fn what_hardware_splits_is_not_called_missing() {
        let began = both(10, 1_000, 5, 100);
        // One packet in three was stolen.
        let stolen = both(310, 301_000, 205, 180_100);
        assert_eq!(since(&began, &stolen, 0), Some((200, 300)));
        // Each packet of 14,480 bytes left as ten segments.
        let split = both(1_010, 1_515_000, 105, 1_448_100);
        assert_eq!(since(&began, &split, 1), None);
        assert_eq!(since(&began, &began, 1), None);
    }
}
