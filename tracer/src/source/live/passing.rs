//! From the kernel half's counters of what passes to what a reading says of it.

use std::collections::HashMap;

use tracer_common::exchange::{Told as RawTold, vantage};
use tracer_common::passing::Passing as Raw;

use super::assemble::{ip, tuple};
use super::connections::{Key, Memory, Totals};
use crate::model::Node;
use crate::model::connection::{Connection, SAMPLE};
use crate::model::passing::{Passing, Told};
use crate::source::netns::Namespaces;

/// What a reading says of it; `places` are its classes by the kernel half's numbers.
pub(super) fn read(
    totals: &Totals,
    memory: &Memory,
    places: &HashMap<u32, usize>,
    namespaces: &mut Namespaces,
    nodes: &[Node],
) -> Vec<Passing> {
    if totals.seen_from(vantage::PASSING).next().is_none() {
        return Vec::new();
    }
    let mut samples = samples(totals, memory);
    totals
        .seen_from(vantage::PASSING)
        .filter_map(|(key, total)| {
            let class = *places.get(&key.class)?;
            let (namespace, device) = key.place(namespaces, nodes);
            Some(Passing {
                class,
                namespace,
                device,
                ifindex: key.ifindex,
                ttl: total.ttl(),
                ttl_step: total.ttl_step(totals.now_ns()),
                told: told(&total.told, totals),
                phases: total.phases(),
                sights: total.sights(),
                sample: samples.remove(key).unwrap_or_default(),
            })
        })
        .collect()
}

fn told(raw: &RawTold, totals: &Totals) -> Option<Told> {
    let address = |words: &[u32; 4]| ip(raw.family as u8, words);
    (raw.at_ns != 0).then(|| Told {
        by: address(&raw.by),
        kind: raw.kind,
        code: raw.code,
        mtu: Some(raw.mtu).filter(|&mtu| mtu != 0),
        gateway: (raw.gateway != [0; 4]).then(|| address(&raw.gateway)),
        ago_ns: totals.now_ns().saturating_sub(raw.at_ns),
    })
}

/// Flows by whose counters they have; the table's order is that of a hash. Those whose other
/// direction never passed here have no round trips to tell of.
fn samples(totals: &Totals, memory: &Memory) -> HashMap<Key, Vec<Connection>> {
    let mut samples: HashMap<Key, Vec<Connection>> = HashMap::new();
    let all = memory.passing.iter().flat_map(|set| set.ways);
    for raw in all.filter(|raw| raw.tag != 0 && raw.rtts > 0) {
        let Some(key) = totals.key_of(raw.counts) else {
            continue;
        };
        let sample = samples.entry(key).or_default();
        if sample.len() < SAMPLE
            && let Some(flow) = flow(&raw)
        {
            sample.push(flow);
        }
    }
    samples
}

fn flow(raw: &Raw) -> Option<Connection> {
    let ns = |us: u32| u64::from(us) * 1000;
    Some(Connection {
        tuple: tuple(&raw.tuple)?,
        rtts: raw.rtts,
        rtt_sum_ns: raw.rtt_sum_us.saturating_mul(1000),
        rtt_min_ns: ns(raw.rtt_min_us),
        rtt_last_ns: ns(raw.rtt_last_us),
        retransmits: raw.again,
        exchanges: 0,
        disturbed: 0,
    })
}
