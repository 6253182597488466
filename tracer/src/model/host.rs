//! What this host's own stack had to bear: processors, queues, cards and sockets' buffers, whatever
//! packets are followed.

mod trouble;

use std::collections::BTreeMap;

use super::Namespace;

pub use trouble::Trouble;

/// What this host's stack did since it was watched first. All counts are of that time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostStack {
    /// For how long it was watched, in nanoseconds: from the first look to the last.
    pub watched_ns: u64,
    /// What all processors together did.
    pub processors: Processors,
    /// What the kernel did with packets between cards and protocols.
    pub softnet: Softnet,
    /// Cards, and other devices that count trouble.
    pub devices: Vec<Device>,
    /// Network namespaces where sockets or their queues were too small.
    pub sockets: Vec<SocketBuffers>,
}

/// The time of all processors together (`/proc/stat`), in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Processors {
    /// How many there are.
    pub count: u32,
    /// Anything but idle, for whatever they worked or whoever else they were.
    pub busy_ns: u64,
    /// Nothing to do, or waiting for a disk.
    pub idle_ns: u64,
    /// Soft interrupts: most of what the kernel does for packets that come.
    pub softirq_ns: u64,
    /// Ready to work while the hypervisor let others work.
    pub steal_ns: u64,
    /// For how long at least one task was ready and waited for a processor (pressure stall
    /// information, `some` of `/proc/pressure/cpu`); none where the kernel does not tell.
    pub waiting_ns: Option<u64>,
    /// The processor that was busiest in the last interval of a few seconds.
    pub busiest: Option<Busiest>,
}

/// The busiest processor, and what it did in the last interval: shares of its time, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busiest {
    /// Its number.
    pub number: u32,
    /// Anything but idle.
    pub busy: f64,
    /// Soft interrupts.
    pub softirq: f64,
    /// The hypervisor's others.
    pub steal: f64,
}

/// Packets on their way from cards to protocols, all processors together
/// (`/proc/net/softnet_stat`, whose columns these are named after).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softnet {
    /// Packets that were handed to protocols.
    pub processed: u64,
    /// Packets dropped because a processor's backlog was full (`net.core.netdev_max_backlog`).
    pub dropped: u64,
    /// Times that the budget was used up with work left (`net.core.netdev_budget`).
    pub time_squeeze: u64,
    /// Packets dropped because one flow filled the backlog (`net.core.flow_limit_cpu_bitmap`).
    pub flow_limit: u64,
}

impl Softnet {
    /// Each count with its name in every output.
    pub const fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("processed", self.processed),
            ("dropped", self.dropped),
            ("time_squeeze", self.time_squeeze),
            ("flow_limit", self.flow_limit),
        ]
    }
}

/// A device: a card always, others where they counted trouble.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its network namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
    /// Its number.
    pub ifindex: u32,
    /// Whether it is a card, and no device that the kernel made.
    pub is_hardware: bool,
    /// What a card's or bond's link carries, in bits a second, where the driver tells.
    pub speed_bps: Option<u64>,
    /// Bytes received and sent.
    pub bytes: [u64; 2],
    /// The share of the link's speed that was used in the last interval, received and sent; none
    /// where the speed is not known.
    pub link_use: [Option<f64>; 2],
    /// The largest such share of all intervals.
    pub link_use_most: [Option<f64>; 2],
    /// Trouble that the kernel counts for each device, by its name in
    /// `/sys/class/net/DEVICE/statistics`; what did not occur is left out.
    pub counters: BTreeMap<String, u64>,
    /// Trouble that the driver counts (`ethtool -S`), by its name there with each queue's number as
    /// `N`, all queues together; what did not occur is left out.
    pub driver: BTreeMap<String, u64>,
}

impl Device {
    /// What the cloud took away because more was sent, received or opened than was paid for.
    pub fn allowance_exceeded(&self) -> impl Iterator<Item = (&str, u64)> {
        let exceeded = |name: &str| name.ends_with("_allowance_exceeded");
        let driver = self.driver.iter();
        driver
            .filter(move |(name, _)| exceeded(name))
            .map(|(name, &count)| (&**name, count))
    }
}

/// What sockets of a network namespace, or their queues, had no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketBuffers {
    /// The network namespace.
    pub namespace: Namespace,
    /// How often, by the kernel's name in `/proc/net/netstat` and `/proc/net/snmp`
    /// (`TcpExt.ListenOverflows`); what did not occur is left out.
    pub counters: BTreeMap<String, u64>,
}

impl HostStack {
    /// What came since an earlier look; what is told of the last interval, and the largest use of
    /// links, stay as they are.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.watched_ns = self.watched_ns.saturating_sub(earlier.watched_ns);
        since.processors = self.processors.since(&earlier.processors);
        let before = earlier.softnet;
        since.softnet = Softnet {
            processed: self.softnet.processed.saturating_sub(before.processed),
            dropped: self.softnet.dropped.saturating_sub(before.dropped),
            time_squeeze: (self.softnet.time_squeeze).saturating_sub(before.time_squeeze),
            flow_limit: self.softnet.flow_limit.saturating_sub(before.flow_limit),
        };
        for device in &mut since.devices {
            let is_it = |it: &&Device| it.key() == device.key();
            if let Some(before) = earlier.devices.iter().find(is_it) {
                for (mine, theirs) in device.bytes.iter_mut().zip(before.bytes) {
                    *mine = risen(*mine, theirs);
                }
                subtract(&mut device.counters, &before.counters);
                subtract(&mut device.driver, &before.driver);
            }
        }
        for sockets in &mut since.sockets {
            let is_it = |it: &&SocketBuffers| it.namespace.cookie == sockets.namespace.cookie;
            if let Some(before) = earlier.sockets.iter().find(is_it) {
                subtract(&mut sockets.counters, &before.counters);
            }
        }
        since.sockets.retain(|it| !it.counters.is_empty());
        since
            .devices
            .retain(|it| it.is_hardware || it.speed_bps.is_some() || !it.counters.is_empty());
        since
    }
}

impl Processors {
    fn since(&self, earlier: &Self) -> Self {
        let waiting = self.waiting_ns.zip(earlier.waiting_ns);
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            idle_ns: self.idle_ns.saturating_sub(earlier.idle_ns),
            softirq_ns: self.softirq_ns.saturating_sub(earlier.softirq_ns),
            steal_ns: self.steal_ns.saturating_sub(earlier.steal_ns),
            waiting_ns: waiting.map_or(self.waiting_ns, |(now, before)| {
                Some(now.saturating_sub(before))
            }),
            ..self.clone()
        }
    }

    /// A part of the time of all processors, from 0 to 1; none where no time has passed.
    pub fn share(&self, part_ns: u64) -> Option<f64> {
        let all = self.busy_ns.saturating_add(self.idle_ns);
        (all > 0).then(|| (part_ns as f64 / all as f64).min(1.0))
    }
}

impl Device {
    fn key(&self) -> (u64, u32) {
        (self.namespace.cookie, self.ifindex)
    }
}

fn subtract(now: &mut BTreeMap<String, u64>, before: &BTreeMap<String, u64>) {
    now.retain(|name, count| {
        *count = risen(*count, before.get(name).copied().unwrap_or(0));
        *count > 0
    });
}

/// What a count rose by; what counts less than before began anew.
fn risen(now: u64, before: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
pub(crate) mod example;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_came_since_the_same_look() {
        let host = example::starved();
        let since = host.since(&host);
        assert_eq!((since.watched_ns, since.processors.busy_ns), (0, 0));
        assert_eq!(since.softnet, Softnet::default());
        assert!(since.sockets.is_empty());
        // Cards stay, with the use that their links have now.
        assert_eq!(since.devices.len(), 1);
        assert!(since.devices[0].driver.is_empty());
        assert_eq!(since.devices[0].link_use, host.devices[0].link_use);
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let late = example::starved();
        let mut early = late.clone();
        early.softnet.dropped -= 7;
        early.devices[0]
            .driver
            .insert("bw_out_allowance_exceeded".to_owned(), 1_000);
        early.sockets.clear();
        let since = late.since(&early);
        assert_eq!(since.softnet.dropped, 7);
        let exceeded: Vec<_> = since.devices[0].allowance_exceeded().collect();
        assert_eq!(exceeded, [("bw_out_allowance_exceeded", 234)]);
        assert_eq!(since.sockets, late.sockets);
    }
}
