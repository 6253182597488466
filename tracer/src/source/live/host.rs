//! What this host's own stack does: looked at every few seconds, and told as what came since the
//! first look.

mod proc;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use self::proc::Machine;
use crate::model::host::{Busiest, Device, HostStack, Processors, SocketBuffers, Softnet};
use crate::source::mirror::{Mirror, counters};
use crate::source::spent::spent;

/// How often it is looked, at most: it takes a dump in each namespace, and asks each card's driver.
const EACH: Duration = Duration::from_secs(5);

/// It is looked more seldom where looking takes more than one part in so many of the time, as it does
/// with thousands of namespaces.
const THRIFT: u32 = 100;

/// An interval that is shorter says little of how much is used.
const SHORT: Duration = Duration::from_millis(500);

/// Looks, and keeps what was found first.
#[derive(Default)]
pub(super) struct Watch {
    began: Option<Began>,
    before: Option<Moment>,
    next: Option<Instant>,
    /// The largest use of each link.
    most: HashMap<(u64, u32), [Option<f64>; 2]>,
    told: HostStack,
}

/// What was counted when it was looked first; of devices and namespaces, when each was seen first.
struct Began {
    at: Instant,
    machine: Machine,
    devices: HashMap<(u64, u32), counters::Device>,
    sockets: HashMap<u64, BTreeMap<String, u64>>,
}

/// What was counted at the last look, as far as it tells what is used.
struct Moment {
    at: Instant,
    machine: Machine,
    bytes: HashMap<(u64, u32), [u64; 2]>,
}

impl Watch {
    /// Looks for the first time; the first reading looks again.
    pub(super) fn begin(&mut self, mirror: &Mirror) {
        self.look(mirror, false);
        self.next = None;
    }

    /// Looks if it is time to, or if this is the last time; returns what devices counted.
    pub(super) fn look(&mut self, mirror: &Mirror, is_last: bool) -> Option<counters::Look> {
        let is_due = self.next.is_none_or(|next| next <= Instant::now());
        if !is_due && !is_last {
            return None;
        }
        let before = spent();
        let found = counters::read(mirror);
        let machine = Machine::read();
        let now = Instant::now();
        self.take(now, machine, &found);
        let took = spent().saturating_sub(before) + found.spent;
        self.next = Some(now + EACH.max(took * THRIFT));
        Some(found)
    }

    /// What is known of the host.
    pub(super) fn told(&self) -> HostStack {
        self.told.clone()
    }

    fn take(&mut self, now: Instant, machine: Machine, found: &counters::Look) {
        let began = self.began.get_or_insert_with(|| Began {
            at: now,
            machine: machine.clone(),
            devices: HashMap::new(),
            sockets: HashMap::new(),
        });
        began.meet(found);
        let interval = self.before.as_ref();
        let interval = interval.filter(|before| now.duration_since(before.at) >= SHORT);
        let busiest = interval.and_then(|before| busiest(&before.machine, &machine));
        let mut devices = Vec::new();
        self.most.retain(|key, _| found.devices.contains_key(key));
        for (key, device) in &found.devices {
            let Some(first) = began.devices.get(key) else {
                continue;
            };
            let used = interval.map_or([None; 2], |before| {
                let bytes = before.bytes.get(key).copied();
                used(device, bytes, now.duration_since(before.at))
            });
            let most = self.most.entry(*key).or_default();
            for (most, used) in most.iter_mut().zip(used) {
                *most = [*most, used].into_iter().flatten().reduce(f64::max);
            }
            let told = told(*key, device, first, used, *most);
            if told.is_hardware || !told.counters.is_empty() || told.speed_bps.is_some() {
                devices.push(told);
            }
        }
        let sockets = found
            .sockets
            .iter()
            .filter_map(|(cookie, (namespace, now))| {
                let counters = rise(began.sockets.get(cookie)?, now);
                (!counters.is_empty()).then(|| SocketBuffers {
                    namespace: namespace.clone(),
                    counters,
                })
            });
        let sockets = sockets.collect();
        self.told = HostStack {
            watched_ns: now.duration_since(began.at).as_nanos() as u64,
            processors: Processors {
                busiest: busiest.or(self.told.processors.busiest),
                ..processors(&began.machine, &machine)
            },
            softnet: softnet(&began.machine.softnet, &machine.softnet),
            devices,
            sockets,
        };
        if interval.is_some() || self.before.is_none() {
            let all = found.devices.iter();
            self.before = Some(Moment {
                at: now,
                machine,
                bytes: all.map(|(key, it)| (*key, it.counters.bytes)).collect(),
            });
        }
    }
}

impl Began {
    /// Who is new begins now; who is gone is forgotten; who counts less than before began anew.
    fn meet(&mut self, found: &counters::Look) {
        self.devices.retain(|key, before| {
            let now = found.devices.get(key);
            now.is_some_and(|now| {
                now.name == before.name
                    && now.counters.bytes[0] >= before.counters.bytes[0]
                    && now.counters.bytes[1] >= before.counters.bytes[1]
            })
        });
        for (key, device) in &found.devices {
            let first = self.devices.entry(*key).or_insert_with(|| device.clone());
            // A driver's counters begin anew with its rings.
            for (name, &count) in &device.driver {
                let before = first.driver.entry(name.clone()).or_insert(count);
                *before = (*before).min(count);
            }
        }
        let sockets = &found.sockets;
        self.sockets
            .retain(|cookie, _| sockets.contains_key(cookie));
        for (cookie, (_, counters)) in sockets {
            let first = self.sockets.entry(*cookie);
            first.or_insert_with(|| counters.clone());
        }
    }
}

fn told(
    (_, ifindex): (u64, u32),
    device: &counters::Device,
    first: &counters::Device,
    link_use: [Option<f64>; 2],
    link_use_most: [Option<f64>; 2],
) -> Device {
    let bytes = |place: usize| {
        let began = first.counters.bytes[place];
        device.counters.bytes[place].saturating_sub(began)
    };
    Device {
        namespace: device.namespace.clone(),
        name: device.name.clone(),
        ifindex,
        is_hardware: device.is_hardware,
        speed_bps: speed_bps(device),
        bytes: [bytes(0), bytes(1)],
        link_use,
        link_use_most,
        counters: rise(&first.trouble, &device.trouble),
        driver: rise(&first.driver, &device.driver),
    }
}

fn speed_bps(device: &counters::Device) -> Option<u64> {
    device.speed_mbps.map(|speed| u64::from(speed) * 1_000_000)
}

/// The share of a link that was used for some time, received and sent.
fn used(device: &counters::Device, before: Option<[u64; 2]>, time: Duration) -> [Option<f64>; 2] {
    let (Some(before), Some(speed_bps)) = (before, speed_bps(device)) else {
        return [None; 2];
    };
    let carried = speed_bps as f64 * time.as_secs_f64();
    std::array::from_fn(|place| {
        let bytes = device.counters.bytes[place].checked_sub(before[place])?;
        Some(bytes as f64 * 8.0 / carried)
    })
}

/// What rose between two moments, by name. What was not there before is as new as its device.
fn rise(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let risen = now.iter().filter_map(|(name, &now)| {
        let before = before.get(name).copied().unwrap_or(0);
        let count = now.saturating_sub(before);
        (count > 0).then(|| (name.clone(), count))
    });
    risen.collect()
}

fn processors(before: &Machine, now: &Machine) -> Processors {
    let sum = |pick: fn(&proc::Times) -> u64| {
        let all = |machine: &Machine| machine.processors.values().map(pick).sum::<u64>();
        all(now).saturating_sub(all(before))
    };
    Processors {
        count: now.processors.len() as u32,
        busy_ns: sum(|it| it.busy_ns),
        idle_ns: sum(|it| it.idle_ns),
        softirq_ns: sum(|it| it.softirq_ns),
        steal_ns: sum(|it| it.steal_ns),
        waiting_ns: (now.waiting_ns.zip(before.waiting_ns))
            .map(|(now, before)| now.saturating_sub(before)),
        busiest: None,
    }
}

/// The processor that was busiest between two moments.
fn busiest(before: &Machine, now: &Machine) -> Option<Busiest> {
    let all = now.processors.iter().filter_map(|(&number, now)| {
        let before = before.processors.get(&number)?;
        let rise = |pick: fn(&proc::Times) -> u64| pick(now).saturating_sub(pick(before)) as f64;
        let busy = rise(|it| it.busy_ns);
        let time = busy + rise(|it| it.idle_ns);
        (time > 0.0).then(|| Busiest {
            number,
            busy: busy / time,
            softirq: rise(|it| it.softirq_ns) / time,
            steal: rise(|it| it.steal_ns) / time,
        })
    });
    all.max_by(|a, b| a.busy.total_cmp(&b.busy))
}

/// A count of 32 bits for each processor, which begins again at 0.
fn softnet(before: &BTreeMap<u32, [u32; 4]>, now: &BTreeMap<u32, [u32; 4]>) -> Softnet {
    let mut risen = [0u64; 4];
    for (number, now) in now {
        let before = before.get(number).copied().unwrap_or_default();
        for ((sum, now), before) in risen.iter_mut().zip(now).zip(before) {
            *sum += u64::from(now.wrapping_sub(before));
        }
    }
    let [processed, dropped, time_squeeze, flow_limit] = risen;
    Softnet {
        processed,
        dropped,
        time_squeeze,
        flow_limit,
    }
}

#[cfg(test)]
mod tests;
