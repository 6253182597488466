//! From the kernel half's counters of connections to what a reading says of them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use tracer_common::bucket::BUCKETS;
use tracer_common::exchange::{
    Connection as Raw, ConnectionSet, PHASES, PeerCounts, PeerKey, Phase, SIGHTS, Sight, Timed,
    Told, vantage,
};
use tracer_common::passing::PassingSet;

use super::assemble::{ip, tuple};
use super::memory::Array;
use crate::model::connection::{Connection, Connections, SAMPLE};
use crate::model::passing::TtlStep;
use crate::model::{Counts, Histogram, Namespace, Node};
use crate::source::netns::Namespaces;

/// The kernel half's memory of connections.
pub(super) struct Memory {
    pub counts: Array<PeerCounts>,
    pub connections: Array<ConnectionSet>,
    pub passing: Array<PassingSet>,
}

/// What was counted, on all CPUs, since the start.
#[derive(Default)]
pub(super) struct Totals {
    by_key: BTreeMap<Key, Total>,
    /// When that was, on the kernel's monotonic clock.
    now_ns: u64,
    last: Vec<PeerCounts>,
    /// When each counted something last.
    used_ns: Vec<u64>,
}

/// Counters that are nobody's.
pub(super) const EMPTY: PeerCounts = PeerCounts {
    key: PeerKey {
        cookie: 0,
        gateway: [0; 4],
        ifindex: 0,
        class: 0,
        cpu: 0,
        gateway_family: 0,
        vantage: vantage::SOCKETS,
    },
    ready: 0,
    ttl: 0,
    ttl_changed_ns: 0,
    ttl_before: 0,
    ttl_after: 0,
    told: Told {
        at_ns: 0,
        by: [0; 4],
        family: 0,
        kind: 0,
        code: 0,
        mtu: 0,
        gateway: [0; 4],
    },
    phases: [Timed {
        sum_ns: 0,
        min_inverted_ns: 0,
        max_ns: 0,
        buckets: [0; BUCKETS],
    }; PHASES],
    sights: [0; SIGHTS],
};

/// Whether anything was counted since.
fn is_new(before: &PeerCounts, now: &PeerCounts) -> bool {
    let times = |counts: &PeerCounts| counts.phases.map(|it| (it.sum_ns, it.min_inverted_ns));
    before.ready != now.ready || before.sights != now.sights || times(before) != times(now)
}

/// A [`PeerKey`] without the CPU, in an order that stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) class: u32,
    pub(super) cookie: u64,
    pub(super) ifindex: u32,
    vantage: u16,
    family: u16,
    gateway: [u32; 4],
}

impl Key {
    pub(super) fn of(key: &PeerKey) -> Self {
        Self {
            class: key.class,
            cookie: key.cookie,
            ifindex: key.ifindex,
            vantage: key.vantage,
            family: key.gateway_family,
            gateway: key.gateway,
        }
    }

    /// The network namespace, and the device's name where a node of it is known.
    pub(super) fn place(&self, namespaces: &mut Namespaces, nodes: &[Node]) -> (Namespace, String) {
        let of_namespace = |node: &&Node| node.hop.namespace.cookie == self.cookie;
        let inode = nodes.iter().find(of_namespace);
        let inode = inode.map_or(0, |node| node.hop.namespace.inode);
        let is_device = |node: &&Node| of_namespace(node) && node.hop.ifindex == self.ifindex;
        let hop = nodes.iter().find(is_device).map(|node| &node.hop);
        let device = hop.map_or_else(String::new, |hop| hop.device.clone());
        (namespaces.get(self.cookie, inode), device)
    }

    fn next_hop(&self) -> Option<IpAddr> {
        (self.family != 0).then(|| ip(self.family as u8, &self.gateway))
    }
}

#[derive(Default)]
pub(super) struct Total {
    pub(super) ttl: u32,
    ttl_changed_ns: u64,
    ttl_step: [u32; 2],
    pub(super) told: Told,
    sights: [u64; SIGHTS],
    phases: [Times; PHASES],
}

struct Times {
    counts: Counts,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
        }
    }
}

impl Times {
    /// Adds what was counted since it was read last; words of buckets wrap.
    fn add(&mut self, now: &Timed, before: Option<&Timed>) {
        // Any time at all, 0 included, makes it another number.
        if now.min_inverted_ns == 0 {
            return;
        }
        self.sum_ns += now.sum_ns.wrapping_sub(before.map_or(0, |it| it.sum_ns));
        self.min_ns = self.min_ns.min(u64::MAX - now.min_inverted_ns);
        self.max_ns = self.max_ns.max(now.max_ns);
        for (bucket, &count) in now.buckets.iter().enumerate() {
            let since = count.wrapping_sub(before.map_or(0, |it| it.buckets[bucket]));
            self.counts.add(bucket, since.into());
        }
    }

    fn histogram(&self) -> Histogram {
        Histogram::from_counts(self.counts.clone(), self.sum_ns, self.min_ns, self.max_ns)
    }
}

impl Totals {
    /// Adds what was counted since the last time.
    pub(super) fn update(&mut self, memory: &Memory, given_out: usize, now_ns: u64) {
        self.now_ns = now_ns;
        for index in 0..given_out {
            let Some(now) = memory.counts.get(index) else {
                continue;
            };
            let before = self.last.get(index);
            if now.ready == 1 {
                let total = self.by_key.entry(Key::of(&now.key)).or_default();
                total.add(&now, before);
            }
            let is_new = before.is_none_or(|before| is_new(before, &now));
            if let Some(last) = self.last.get_mut(index) {
                *last = now;
            } else {
                self.last.push(now);
                self.used_ns.push(now_ns);
            }
            if is_new {
                self.used_ns[index] = now_ns;
            }
        }
    }

    /// The counters in use: number, class, and when they counted something last.
    pub(super) fn used(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        let all = (0..).zip(self.last.iter().zip(&self.used_ns));
        all.filter(|(_, (counts, _))| counts.ready == 1)
            .map(|(number, (counts, used_ns))| (number, counts.key.class, *used_ns))
    }

    /// Whose counters these were, and that they are empty from now on.
    pub(super) fn forget(&mut self, number: u32) -> Option<PeerKey> {
        let last = self.last.get_mut(number as usize)?;
        let key = std::mem::replace(last, EMPTY).key;
        // Another CPU may count for the same ones.
        let of = Key::of(&key);
        let is_left = |it: &PeerCounts| it.ready == 1 && Key::of(&it.key) == of;
        if !self.last.iter().any(is_left) {
            self.by_key.remove(&of);
        }
        Some(key)
    }

    /// What a reading says of them; `places` are its classes by the kernel half's numbers.
    pub(super) fn read(
        &self,
        memory: &Memory,
        places: &HashMap<u32, usize>,
        namespaces: &mut Namespaces,
        nodes: &[Node],
    ) -> Vec<Connections> {
        // The table of all connections need not be read where none was counted.
        if self.seen_from(vantage::SOCKETS).next().is_none() {
            return Vec::new();
        }
        let mut samples = self.samples(memory);
        self.seen_from(vantage::SOCKETS)
            .filter_map(|(key, total)| {
                let class = *places.get(&key.class)?;
                let (namespace, device) = key.place(namespaces, nodes);
                Some(Connections {
                    class,
                    namespace,
                    device,
                    ifindex: key.ifindex,
                    next_hop: key.next_hop(),
                    ttl: total.ttl(),
                    ttl_step: total.ttl_step(self.now_ns),
                    phases: total.phases(),
                    sights: total.sights(),
                    sample: samples.remove(key).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// What was counted from a vantage.
    pub(super) fn seen_from(&self, vantage: u16) -> impl Iterator<Item = (&Key, &Total)> {
        let known = self.by_key.iter();
        known.filter(move |(key, _)| key.vantage == vantage)
    }

    /// Whose counters these are, given plus one.
    pub(super) fn key_of(&self, counts: u32) -> Option<Key> {
        let counts = self.last.get((counts as usize).checked_sub(1)?)?;
        Some(Key::of(&counts.key))
    }

    /// When the last update was, on the kernel's monotonic clock.
    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Open connections by whose counters they have; the table's order is that of a hash.
    fn samples(&self, memory: &Memory) -> HashMap<Key, Vec<Connection>> {
        let mut samples: HashMap<Key, Vec<Connection>> = HashMap::new();
        let all = memory.connections.iter().flat_map(|set| set.ways);
        for raw in all.filter(|raw| raw.tag != 0) {
            let Some(key) = self.key_of(raw.counts) else {
                continue;
            };
            let sample = samples.entry(key).or_default();
            if sample.len() < SAMPLE
                && let Some(connection) = connection(&raw)
            {
                sample.push(connection);
            }
        }
        samples
    }
}

impl Total {
    fn add(&mut self, now: &PeerCounts, before: Option<&PeerCounts>) {
        if now.ttl != 0 {
            self.ttl = now.ttl;
        }
        if now.ttl_changed_ns > self.ttl_changed_ns {
            self.ttl_changed_ns = now.ttl_changed_ns;
            self.ttl_step = [now.ttl_before, now.ttl_after];
        }
        if now.told.at_ns > self.told.at_ns {
            self.told = now.told;
        }
        for (place, sum) in self.sights.iter_mut().enumerate() {
            *sum += now.sights[place].wrapping_sub(before.map_or(0, |it| it.sights[place]));
        }
        for (place, times) in self.phases.iter_mut().enumerate() {
            times.add(&now.phases[place], before.map(|it| &it.phases[place]));
        }
    }

    pub(super) fn ttl(&self) -> Option<u8> {
        u8::try_from(self.ttl).ok().filter(|&ttl| ttl != 0)
    }

    pub(super) fn ttl_step(&self, now_ns: u64) -> Option<TtlStep> {
        let [before, after] = self.ttl_step.map(|ttl| u8::try_from(ttl).ok());
        (self.ttl_changed_ns != 0).then_some(TtlStep {
            before: before?,
            after: after?,
            ago_ns: now_ns.saturating_sub(self.ttl_changed_ns),
        })
    }

    pub(super) fn phases(&self) -> BTreeMap<Phase, Histogram> {
        let all = Phase::ALL.into_iter();
        all.map(|phase| (phase, self.phases[phase as usize].histogram()))
            .filter(|(_, histogram)| histogram.count() > 0)
            .collect()
    }

    pub(super) fn sights(&self) -> BTreeMap<Sight, u64> {
        let all = Sight::ALL.iter();
        all.map(|&sight| (sight, self.sights[sight as usize]))
            .filter(|&(_, count)| count > 0)
            .collect()
    }
}

fn connection(raw: &Raw) -> Option<Connection> {
    let ns = |us: u32| u64::from(us) * 1000;
    Some(Connection {
        tuple: tuple(&raw.tuple)?,
        rtts: raw.rtts,
        rtt_sum_ns: raw.rtt_sum_us.saturating_mul(1000),
        rtt_min_ns: ns(raw.rtt_min_us),
        rtt_last_ns: ns(raw.rtt_last_us),
        retransmits: raw.retransmits,
        exchanges: raw.exchanges,
        disturbed: raw.disturbed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_common::bucket;

    fn timed(counts: &[(u64, u32)]) -> Timed {
        let mut timed = Timed {
            sum_ns: 0,
            min_inverted_ns: 0,
            max_ns: 0,
            buckets: [0; BUCKETS],
        };
        for &(ns, count) in counts {
            timed.sum_ns += ns * u64::from(count);
            timed.min_inverted_ns = timed.min_inverted_ns.max(u64::MAX - ns);
            timed.max_ns = timed.max_ns.max(ns);
            timed.buckets[bucket::index(ns)] += count;
        }
        timed
    }

    #[test]
    fn times_of_0_count_too() {
        let mut times = Times::default();
        let zeros = timed(&[(0, 7)]);
        times.add(&zeros, None);
        times.add(&timed(&[(0, 7), (2_000, 1)]), Some(&zeros));
        let histogram = times.histogram();
        assert_eq!((histogram.count(), histogram.sum_ns()), (8, 2_000));
        assert_eq!(
            (histogram.min_ns(), histogram.max_ns()),
            (Some(0), Some(2_000))
        );
    }

    #[test]
    fn a_bucket_that_wraps_loses_nothing() {
        let mut times = Times::default();
        let before = timed(&[(2_000, u32::MAX - 1)]);
        times.add(&before, None);
        let mut after = before;
        after.buckets[bucket::index(2_000)] = 1;
        after.sum_ns += 6_000;
        times.add(&after, Some(&before));
        assert_eq!(times.histogram().count(), u64::from(u32::MAX) + 2);
    }
}
