//! What of a host's numbers is worth a person's look, the gravest first.

use super::{Device, HostStack};

/// Something that this host's stack had no room or no time for.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The cloud took packets away because an allowance was exceeded.
    AllowanceExceeded {
        /// The card.
        device: String,
        /// The driver's name of the allowance.
        counter: String,
        /// Packets.
        packets: u64,
    },
    /// A link was at its limit, or close to it.
    LinkFull {
        /// The card.
        device: String,
        /// Whether it received that much; else it sent it.
        receiving: bool,
        /// The largest share of the link's speed that was used for some seconds.
        used: f64,
        /// What the link carries, in bits a second.
        speed_bps: u64,
    },
    /// A card had no room for packets that came.
    RingOverrun {
        /// The card.
        device: String,
        /// The kernel's or the driver's name of the counter.
        counter: String,
        /// Packets.
        packets: u64,
    },
    /// A processor's backlog was full.
    BacklogDrops {
        /// Packets.
        packets: u64,
    },
    /// Soft interrupts had more to do than they may do at once, more than once a second.
    BudgetExhausted {
        /// How often.
        times: u64,
    },
    /// The hypervisor let others work.
    Steal {
        /// The share of all processors' time.
        share: f64,
    },
    /// Tasks waited for a processor.
    ProcessorWait {
        /// The share of time in which at least one did.
        share: f64,
    },
    /// One processor had no time left.
    ProcessorFull {
        /// Its number.
        number: u32,
        /// The share of its time that was not idle, in the last interval.
        busy: f64,
        /// The share of soft interrupts.
        softirq: f64,
    },
    /// Connections were refused because nobody accepted those before.
    ListenQueueFull {
        /// The network namespace's name.
        namespace: String,
        /// How often.
        times: u64,
    },
    /// What came for sockets found no room in their buffers.
    SocketBufferFull {
        /// The network namespace's name.
        namespace: String,
        /// The kernel's name of the counter.
        counter: String,
        /// How often.
        times: u64,
    },
}

/// From this share of a link's speed on it counts as full: frames have gaps, and a second that is full
/// is seldom the whole interval.
const FULL: f64 = 0.9;

/// From this share of the time on others take too much.
const STOLEN: f64 = 0.05;

/// From this share of the time on tasks wait for processors too often.
const WAITS: f64 = 0.5;

/// From this share of its time on a processor has none left.
const BUSY: f64 = 0.95;

/// Counters of packets that a card had no room for, by how their names end.
const OVERRUNS: [&str; 9] = [
    "rx_missed_errors",
    "rx_fifo_errors",
    "rx_over_errors",
    "rx_no_buffer_count",
    "rx_out_of_buffer",
    "rx_no_bufs",
    "rx_drops",
    "rx_overruns",
    "rx_discards_phy",
];

/// The counter of sockets that listen while nobody accepts.
const LISTEN_OVERFLOWS: &str = "TcpExt.ListenOverflows";

/// Counters of what found no room in sockets' buffers.
const BUFFERS: [&str; 8] = [
    "Udp.RcvbufErrors",
    "Udp6.RcvbufErrors",
    "Udp.SndbufErrors",
    "Udp6.SndbufErrors",
    "TcpExt.TCPRcvQDrop",
    "TcpExt.TCPBacklogDrop",
    "TcpExt.RcvPruned",
    "TcpExt.TCPAbortOnMemory",
];

impl HostStack {
    /// What is worth a look, the gravest first: losses that nobody else could have caused, then want
    /// of time.
    pub fn troubles(&self) -> Vec<Trouble> {
        let devices = || self.devices.iter();
        let mut all: Vec<Trouble> = Vec::new();
        all.extend(devices().flat_map(allowances));
        all.extend(devices().flat_map(full));
        all.extend(devices().flat_map(overruns));
        all.extend(self.backlog());
        all.extend(self.sockets());
        all.extend(self.processors());
        all
    }

    fn backlog(&self) -> impl Iterator<Item = Trouble> {
        let packets = self.softnet.dropped.saturating_add(self.softnet.flow_limit);
        (packets > 0)
            .then_some(Trouble::BacklogDrops { packets })
            .into_iter()
    }

    fn sockets(&self) -> impl Iterator<Item = Trouble> {
        self.sockets.iter().flat_map(|it| {
            let namespace = &it.namespace.name;
            let count = |name: &str| it.counters.get(name).copied().filter(|&count| count > 0);
            let listens = count(LISTEN_OVERFLOWS).map(|times| Trouble::ListenQueueFull {
                namespace: namespace.clone(),
                times,
            });
            let buffers = BUFFERS.iter().filter_map(move |&counter| {
                Some(Trouble::SocketBufferFull {
                    namespace: namespace.clone(),
                    counter: counter.to_owned(),
                    times: count(counter)?,
                })
            });
            listens.into_iter().chain(buffers)
        })
    }

    fn processors(&self) -> impl Iterator<Item = Trouble> {
        let mine = &self.processors;
        let steal = mine.share(mine.steal_ns).filter(|&share| share >= STOLEN);
        let waiting = mine.waiting_ns.filter(|_| self.watched_ns > 0);
        let waiting = waiting.map(|ns| (ns as f64 / self.watched_ns as f64).min(1.0));
        let busiest = mine.busiest.filter(|it| it.busy >= BUSY);
        let squeezed = self.softnet.time_squeeze;
        let seconds = self.watched_ns / 1_000_000_000;
        let all = [
            steal.map(|share| Trouble::Steal { share }),
            waiting
                .filter(|&share| share >= WAITS)
                .map(|share| Trouble::ProcessorWait { share }),
            busiest.map(|it| Trouble::ProcessorFull {
                number: it.number,
                busy: it.busy,
                softirq: it.softirq,
            }),
            (squeezed > seconds).then_some(Trouble::BudgetExhausted { times: squeezed }),
        ];
        all.into_iter().flatten()
    }
}

fn allowances(device: &Device) -> impl Iterator<Item = Trouble> {
    device
        .allowance_exceeded()
        .map(|(counter, packets)| Trouble::AllowanceExceeded {
            device: device.name.clone(),
            counter: counter.to_owned(),
            packets,
        })
}

fn full(device: &Device) -> impl Iterator<Item = Trouble> {
    let both = device.link_use_most.into_iter().enumerate();
    both.filter_map(|(place, used)| {
        Some(Trouble::LinkFull {
            device: device.name.clone(),
            receiving: place == 0,
            used: used.filter(|&used| used >= FULL)?,
            speed_bps: device.speed_bps?,
        })
    })
}

/// The kernel's counters are often sums of the driver's: where one tells, the other is left out.
fn overruns(device: &Device) -> impl Iterator<Item = Trouble> {
    let of = |counters: &std::collections::BTreeMap<String, u64>| {
        let overrun = |name: &str| OVERRUNS.iter().any(|it| name.ends_with(it));
        let all = counters.iter();
        let largest = all
            .filter(|(name, count)| overrun(name) && **count > 0)
            .max_by_key(|(_, count)| **count);
        largest.map(|(name, &count)| (name.clone(), count))
    };
    let is_card = device.is_hardware;
    let found = is_card.then(|| of(&device.counters).or_else(|| of(&device.driver)));
    found
        .flatten()
        .map(|(counter, packets)| Trouble::RingOverrun {
            device: device.name.clone(),
            counter,
            packets,
        })
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_host_that_rests_has_no_trouble() {
        assert_eq!(HostStack::default().troubles(), []);
        assert_eq!(example::resting().troubles(), []);
    }

    #[test]
    fn each_trouble_is_told_once_and_the_gravest_first() {
        let found = example::starved().troubles();
        let expected = [
            Trouble::AllowanceExceeded {
                device: "eth0".to_owned(),
                counter: "bw_out_allowance_exceeded".to_owned(),
                packets: 1_234,
            },
            Trouble::LinkFull {
                device: "eth0".to_owned(),
                receiving: false,
                used: 0.97,
                speed_bps: 10_000_000_000,
            },
            Trouble::RingOverrun {
                device: "eth0".to_owned(),
                counter: "rx_missed_errors".to_owned(),
                packets: 56,
            },
            Trouble::BacklogDrops { packets: 320 },
            Trouble::ListenQueueFull {
                namespace: "db".to_owned(),
                times: 17,
            },
            Trouble::SocketBufferFull {
                namespace: "db".to_owned(),
                counter: "Udp.RcvbufErrors".to_owned(),
                times: 4,
            },
            Trouble::Steal { share: 0.125 },
            Trouble::ProcessorWait { share: 0.75 },
            Trouble::ProcessorFull {
                number: 3,
                busy: 0.99,
                softirq: 0.8,
            },
            Trouble::BudgetExhausted { times: 41 },
        ];
        assert_eq!(found, expected);
    }
}
