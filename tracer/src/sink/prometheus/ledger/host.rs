//! What this host's own stack had to bear, as series that only grow.

use std::collections::BTreeMap;

use crate::model::host::HostStack;

/// What was counted since the agent started, over all sources.
#[derive(Debug, Default)]
pub(in crate::sink::prometheus) struct Host {
    /// Nanoseconds, by what the processors did.
    pub(in crate::sink::prometheus) processors: BTreeMap<&'static str, u64>,
    /// By the name of the count.
    pub(in crate::sink::prometheus) softnet: BTreeMap<&'static str, u64>,
    /// By namespace, device and counter.
    pub(in crate::sink::prometheus) devices: BTreeMap<[String; 3], u64>,
    /// By namespace and counter.
    pub(in crate::sink::prometheus) sockets: BTreeMap<[String; 2], u64>,
    /// Links as they are now, by namespace and device: bits a second, and the share that is used,
    /// received and sent.
    pub(in crate::sink::prometheus) links: BTreeMap<[String; 2], (u64, [Option<f64>; 2])>,
    before: HostStack,
}

impl Host {
    /// Adds what came since the last reading.
    pub(super) fn add(&mut self, now: &HostStack) {
        if *now == HostStack::default() {
            // Nobody watches.
            return;
        }
        if now.watched_ns < self.before.watched_ns {
            // Another source began to watch.
            self.before = HostStack::default();
        }
        let since = now.since(&self.before);
        let times = &since.processors;
        for (state, ns) in [
            ("busy", times.busy_ns),
            ("softirq", times.softirq_ns),
            ("steal", times.steal_ns),
        ]
        .into_iter()
        .chain(times.waiting_ns.map(|ns| ("waiting", ns)))
        {
            *self.processors.entry(state).or_default() += ns;
        }
        for (name, count) in since.softnet.named() {
            *self.softnet.entry(name).or_default() += count;
        }
        self.links.clear();
        for device in &since.devices {
            let place = [device.namespace.name.clone(), device.name.clone()];
            if let Some(speed) = device.speed_bps {
                self.links.insert(place.clone(), (speed, device.link_use));
            }
            let [namespace, name] = place;
            for (counter, count) in device.counters.iter().chain(&device.driver) {
                let labels = [namespace.clone(), name.clone(), counter.clone()];
                *self.devices.entry(labels).or_default() += count;
            }
        }
        for sockets in &since.sockets {
            for (counter, count) in &sockets.counters {
                let labels = [sockets.namespace.name.clone(), counter.clone()];
                *self.sockets.entry(labels).or_default() += count;
            }
        }
        self.before.clone_from(now);
    }

    /// Takes all that was counted as known.
    pub(super) fn go_on_from(&mut self, now: &HostStack) {
        self.before.clone_from(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host::example;

    #[test]
    fn counts_grow_over_all_sources() {
        let mut host = Host::default();
        let mut now = example::starved();
        host.add(&now);
        host.add(&now);
        assert_eq!(host.softnet["dropped"], 300);
        now.softnet.dropped += 5;
        now.watched_ns += 1;
        host.add(&now);
        assert_eq!(host.softnet["dropped"], 305);
        // A source that begins anew.
        let mut anew = example::starved();
        anew.watched_ns = 1;
        anew.softnet.dropped = 7;
        host.add(&anew);
        assert_eq!(host.softnet["dropped"], 312);
        let exceeded = ["host", "eth0", "bw_out_allowance_exceeded"].map(str::to_owned);
        assert_eq!(host.devices[&exceeded], 2 * 1_234);
        assert_eq!(host.links.len(), 1);
    }

    #[test]
    fn what_was_counted_elsewhere_is_not_counted_again() {
        let mut host = Host::default();
        host.go_on_from(&example::starved());
        host.add(&example::starved());
        assert!(host.sockets.is_empty() && host.devices.is_empty());
        assert_eq!(host.processors["steal"], 0);
    }
}
