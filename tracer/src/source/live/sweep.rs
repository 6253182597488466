//! Packets that are still in the tables: under way, or gone without a word.

use std::collections::HashMap;

use tracer_common::hop::Stage;
use tracer_common::layout::{End, Handed, Kind, NO_NODE, Packet, silent_end};

use super::maps::Memory;

/// Where the packets stand that no end was counted for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// By node: on their way.
    pub in_flight: HashMap<u32, u64>,
    /// By node: merged into others.
    pub merged: HashMap<u32, u64>,
    /// By node: gone by a device, for good or on a wire that leads back here.
    pub left: HashMap<u32, u64>,
    /// By node: vanished.
    pub unseen: HashMap<u32, u64>,
}

/// Finds them all.
pub(super) fn standing(memory: &Memory) -> Standing {
    let mut found = Standing::default();
    for packet in memory.packets.iter().flat_map(|set| set.ways) {
        sort(&packet, &mut found);
    }
    for handed in memory
        .handover
        .iter()
        .flat_map(|set| set.ways)
        .filter(waits)
    {
        *found.left.entry(handed.packet.node).or_default() += 1;
    }
    found
}

fn sort(packet: &Packet, found: &mut Standing) {
    if packet.tag == 0 {
        return;
    }
    let by_node = match silent_end(packet) {
        Some(End::Merged) => &mut found.merged,
        Some(End::Left) => &mut found.left,
        // In the queueing discipline, or in the backlog of the device beyond.
        Some(_) if is_between(packet) => &mut found.in_flight,
        Some(_) => &mut found.unseen,
        None => return,
    };
    *by_node.entry(packet.node).or_default() += 1;
}

/// Whether it stands where the kernel keeps packets waiting.
fn is_between(packet: &Packet) -> bool {
    let stage = packet.stage;
    stage == Stage::Queue as u8
        || stage == Stage::Rx as u8
        || stage == Stage::Xmit as u8 && !Kind::leaves(packet.kind)
}

fn waits(handed: &Handed) -> bool {
    handed.mark != 0 && handed.state == 1 && handed.segment == 0 && handed.packet.node != NO_NODE
}

/// Whether packets are on their way.
///
/// Those that left by a device are waited for too: a wire may lead them back.
pub(super) fn is_busy(memory: &Memory) -> bool {
    let under_way = |packet: &Packet| {
        packet.tag != 0 && silent_end(packet) == Some(End::Unseen) && is_between(packet)
    };
    memory
        .packets
        .iter()
        .flat_map(|set| set.ways)
        .any(|packet| under_way(&packet))
        || memory
            .handover
            .iter()
            .flat_map(|set| set.ways)
            .any(|handed| waits(&handed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_common::layout::flag;

    fn packet(stage: Stage, kind: Kind, flags: u8) -> Packet {
        Packet {
            tag: 1,
            node: 7,
            stage: stage as u8,
            kind: kind as u8,
            flags,
            ..Packet::default()
        }
    }

    #[test]
    fn where_a_packet_stands_tells_what_became_of_it() {
        let cases = [
            (packet(Stage::Queue, Kind::Veth, 0), "in flight"),
            (packet(Stage::Xmit, Kind::Veth, 0), "in flight"),
            (packet(Stage::Xmit, Kind::Physical, 0), "left"),
            (packet(Stage::Xmit, Kind::Tun, flag::HANDED), ""),
            (packet(Stage::Rx, Kind::Physical, flag::GRO), "merged"),
            (packet(Stage::Receive, Kind::Veth, flag::FRAGMENT), "merged"),
            (packet(Stage::Receive, Kind::Veth, 0), "unseen"),
            (packet(Stage::Deliver, Kind::Veth, flag::ENDED), ""),
        ];
        for (packet, expected) in cases {
            let mut found = Standing::default();
            sort(&packet, &mut found);
            let name = [
                (&found.in_flight, "in flight"),
                (&found.merged, "merged"),
                (&found.left, "left"),
                (&found.unseen, "unseen"),
            ]
            .into_iter()
            .find(|(by_node, _)| !by_node.is_empty())
            .map_or("", |(_, name)| name);
            assert_eq!(name, expected, "{packet:?}");
        }
    }
}
