//! The catalogue of hops: one row for each, with the program that watches it.

/// Where in the stack a packet is.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Handed to the device layer, in front of the queueing discipline.
    Queue = 1,
    /// Handed to the driver.
    Xmit = 2,
    /// Taken from the driver or the peer device, in front of GRO and the backlog.
    Rx = 3,
    /// Handed to the protocols, the bridge or the router.
    Receive = 4,
    /// Handed to a socket.
    Deliver = 5,
    /// Copied to the application.
    Read = 6,
    /// Not a hop: the whole way, measured from its first hop to its last.
    Total = 7,
    /// The first of the finer hops, which are numbered in the order in which a packet that was
    /// received meets them: taken by IP, in front of the checks of its header (`ip_rcv_core`).
    IpRcv = 8,
    /// Handed to netfilter's hook `PREROUTING`.
    NfPrerouting = 9,
    /// Routed, and for another host (`ip_forward`).
    IpForward = 10,
    /// Handed to netfilter's hook `FORWARD`.
    NfForward = 11,
    /// Handed to the IP layer's way out (`ip_output`).
    IpOutput = 12,
    /// Handed to netfilter's hook `POSTROUTING`.
    NfPostrouting = 13,
    /// Routed, and for this host (`ip_local_deliver`).
    IpLocalDeliver = 14,
    /// Handed to netfilter's hook `INPUT`.
    NfInput = 15,
    /// Handed to TCP, in front of the look-up of its socket (`tcp_v4_rcv`).
    TcpRcv = 16,
    /// Handed by UDP to the socket that it is for (`udp_queue_rcv_skb`).
    UdpRcv = 17,
}

impl Stage {
    /// All stages, in the order in which a packet meets them.
    pub const ALL: [Self; 17] = [
        Self::Queue,
        Self::Xmit,
        Self::Rx,
        Self::Receive,
        Self::IpRcv,
        Self::NfPrerouting,
        Self::IpForward,
        Self::NfForward,
        Self::IpOutput,
        Self::NfPostrouting,
        Self::IpLocalDeliver,
        Self::NfInput,
        Self::TcpRcv,
        Self::UdpRcv,
        Self::Deliver,
        Self::Read,
        Self::Total,
    ];

    /// The stage of a number that the kernel half wrote.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&stage| stage as u8 == number)
    }

    /// The stage's name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Xmit => "xmit",
            Self::Rx => "rx",
            Self::Receive => "receive",
            Self::Deliver => "deliver",
            Self::Read => "read",
            Self::Total => "total",
            Self::IpRcv => "ip_rcv",
            Self::NfPrerouting => "nf_prerouting",
            Self::IpForward => "ip_forward",
            Self::NfForward => "nf_forward",
            Self::IpOutput => "ip_output",
            Self::NfPostrouting => "nf_postrouting",
            Self::IpLocalDeliver => "ip_local_deliver",
            Self::NfInput => "nf_input",
            Self::TcpRcv => "tcp_rcv",
            Self::UdpRcv => "udp_rcv",
        }
    }

    /// Whether it is a function within the protocols, between `receive` and what follows.
    pub const fn is_finer(self) -> bool {
        self as u8 >= Self::IpRcv as u8
    }

    /// Whether such a hop has the device of the one before: finer ones, and those at sockets.
    pub const fn is_inside(self) -> bool {
        self.is_finer() || matches!(self, Self::Deliver | Self::Read)
    }

    /// Whether a packet whose last hop is the stage of one number may come to a finer one: from
    /// `receive` on, and to each of them once.
    ///
    /// So a way through the tree has no more than all of them after each `receive`, whatever calls
    /// these functions, and how often.
    #[inline(always)]
    pub const fn leads_to_finer(from: u32, to: u32) -> bool {
        from == Self::Receive as u32 || from >= Self::IpRcv as u32 && from < to
    }

    /// The finer hop of one of netfilter's hooks (`enum nf_inet_hooks` of
    /// include/uapi/linux/netfilter.h), for the protocols IPv4 and IPv6 (`NFPROTO_…`).
    ///
    /// None for the hook `OUTPUT`: what this host sends is born behind it, at `queue`. The bridge's,
    /// ARP's and the devices' own hooks are none of a packet that IP has.
    #[inline(always)]
    pub const fn of_netfilter(protocol: u8, hook: u8) -> Option<Self> {
        const IPV4: u8 = 2;
        const IPV6: u8 = 10;
        if protocol != IPV4 && protocol != IPV6 {
            return None;
        }
        match hook {
            0 => Some(Self::NfPrerouting),
            1 => Some(Self::NfInput),
            2 => Some(Self::NfForward),
            4 => Some(Self::NfPostrouting),
            _ => None,
        }
    }
}

/// What a kernel program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A tracepoint of the kernel, as `tp_btf`.
    Tracepoint(&'static str),
    /// The entry of a function, by fentry, on kernels that lack the tracepoint.
    Function {
        /// The function.
        name: &'static str,
        /// The tracepoint that does the same.
        instead_of: &'static str,
    },
    /// The entry of the first of these functions that the kernel has, by fentry: they take the
    /// packet at the same place among their arguments.
    Entry(&'static [&'static str]),
}

/// A kernel program: what it is attached to and what its events mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The program's name in the object.
    pub program: &'static str,
    /// What it is attached to.
    pub at: At,
    /// The hop that the event is; none for programs that only see a packet's end.
    pub stage: Option<Stage>,
    /// Tracing is worth nothing without it.
    pub required: bool,
    /// What it is good for, and what is missing without it.
    pub meaning: &'static str,
}

/// A program that has the name of its tracepoint.
const fn probe(
    program: &'static str,
    stage: Option<Stage>,
    required: bool,
    meaning: &'static str,
) -> Probe {
    Probe {
        program,
        at: At::Tracepoint(program),
        stage,
        required,
        meaning,
    }
}

/// Every program, in the order in which a packet meets them.
pub const PROBES: [Probe; 19] = [
    probe(
        "net_dev_queue",
        Some(Stage::Queue),
        true,
        "packets enter the queueing discipline; local ones are born here",
    ),
    probe(
        "net_dev_start_xmit",
        Some(Stage::Xmit),
        true,
        "packets reach the driver",
    ),
    probe(
        "netif_rx",
        Some(Stage::Rx),
        true,
        "packets of veth, loopback and tunnels come in",
    ),
    probe(
        "napi_gro_receive_entry",
        Some(Stage::Rx),
        false,
        "packets of NAPI drivers come in, in front of GRO",
    ),
    probe(
        "napi_gro_frags_entry",
        Some(Stage::Rx),
        false,
        "packets of drivers that hand over pages come in, in front of GRO",
    ),
    probe(
        "netif_receive_skb_entry",
        Some(Stage::Rx),
        false,
        "packets of TUN, TAP and drivers without NAPI come in",
    ),
    probe(
        "netif_receive_skb_list_entry",
        Some(Stage::Rx),
        false,
        "packets of drivers that hand over lists come in",
    ),
    probe(
        "netif_receive_skb",
        Some(Stage::Receive),
        true,
        "packets reach the protocols, the bridge or the router",
    ),
    probe(
        "tcp_probe",
        Some(Stage::Deliver),
        false,
        "TCP segments reach an established socket",
    ),
    probe(
        "inet_sock_set_state",
        Some(Stage::Deliver),
        false,
        "TCP segments open or close a connection",
    ),
    probe(
        "sk_data_ready",
        Some(Stage::Deliver),
        false,
        "UDP and raw datagrams reach a socket (since Linux 6.3)",
    ),
    Probe {
        program: "sock_def_readable",
        at: At::Function {
            name: "sock_def_readable",
            instead_of: "sk_data_ready",
        },
        stage: Some(Stage::Deliver),
        required: false,
        meaning: "UDP and raw datagrams reach a socket, on kernels without sk_data_ready",
    },
    probe(
        "skb_copy_datagram_iovec",
        Some(Stage::Read),
        false,
        "the application reads TCP data and datagrams held in pages",
    ),
    probe(
        "kfree_skb",
        None,
        true,
        "the kernel drops packets, with its reason (since Linux 5.17)",
    ),
    probe(
        "consume_skb",
        None,
        true,
        "packets end well: consumed, or split into segments",
    ),
    probe(
        "tcp_retransmit_skb",
        None,
        false,
        "TCP sends a segment again",
    ),
    probe(
        "tcp_retransmit_synack",
        None,
        false,
        "TCP answers a SYN again",
    ),
    probe("tcp_send_reset", None, false, "TCP resets a connection"),
    probe(
        "tcp_receive_reset",
        None,
        false,
        "a peer resets a connection",
    ),
];

/// A program at the entry of a function that has its name.
const fn finer(
    program: &'static str,
    functions: &'static [&'static str],
    stage: Option<Stage>,
    meaning: &'static str,
) -> Probe {
    Probe {
        program,
        at: At::Entry(functions),
        stage,
        required: false,
        meaning,
    }
}

/// The programs of finer hops, for those who ask for them.
///
/// `ip_rcv_core` is what `ip_rcv` and `ip_list_rcv` have in common (`net/ipv4/ip_input.c`, since Linux
/// 4.19): drivers that hand over lists don't come by `ip_rcv`. It is static, so a compiler may have
/// made another function of it.
pub const FINER: [Probe; 13] = [
    finer(
        "ip_rcv",
        &["ip_rcv_core", "ip_rcv"],
        Some(Stage::IpRcv),
        "IPv4 takes packets that were received",
    ),
    finer(
        "ipv6_rcv",
        &["ip6_rcv_core", "ipv6_rcv"],
        Some(Stage::IpRcv),
        "IPv6 takes packets that were received",
    ),
    // Its hop is the hook that it is called for.
    finer(
        "nf_hook_slow",
        &["nf_hook_slow"],
        Some(Stage::NfPrerouting),
        "netfilter's hooks take packets: prerouting, forward, postrouting, input",
    ),
    finer(
        "ip_forward",
        &["ip_forward"],
        Some(Stage::IpForward),
        "IPv4 packets were routed to another host",
    ),
    finer(
        "ip6_forward",
        &["ip6_forward"],
        Some(Stage::IpForward),
        "IPv6 packets were routed to another host",
    ),
    finer(
        "ip_output",
        &["ip_output"],
        Some(Stage::IpOutput),
        "forwarded IPv4 packets are on their way out",
    ),
    finer(
        "ip6_output",
        &["ip6_output"],
        Some(Stage::IpOutput),
        "forwarded IPv6 packets are on their way out",
    ),
    finer(
        "ip_local_deliver",
        &["ip_local_deliver"],
        Some(Stage::IpLocalDeliver),
        "IPv4 packets were routed to this host",
    ),
    finer(
        "ip6_input",
        &["ip6_input"],
        Some(Stage::IpLocalDeliver),
        "IPv6 packets were routed to this host",
    ),
    finer(
        "tcp_v4_rcv",
        &["tcp_v4_rcv"],
        Some(Stage::TcpRcv),
        "TCP takes segments over IPv4",
    ),
    finer(
        "tcp_v6_rcv",
        &["tcp_v6_rcv"],
        Some(Stage::TcpRcv),
        "TCP takes segments over IPv6",
    ),
    finer(
        "udp_queue_rcv_skb",
        &["udp_queue_rcv_skb", "udp_queue_rcv_one_skb"],
        Some(Stage::UdpRcv),
        "UDP over IPv4 found the socket that datagrams are for",
    ),
    finer(
        "udpv6_queue_rcv_skb",
        &["udpv6_queue_rcv_skb", "udpv6_queue_rcv_one_skb"],
        Some(Stage::UdpRcv),
        "UDP over IPv6 found the socket that datagrams are for",
    ),
];

/// Programs of the catalogue, the finer ones behind the others: their place is their number.
pub const PROGRAMS: usize = PROBES.len() + FINER.len();

/// The catalogue's row of a program.
pub const fn row(number: usize) -> &'static Probe {
    if number < PROBES.len() {
        &PROBES[number]
    } else {
        &FINER[number - PROBES.len()]
    }
}

/// Where, in a table of one entry for each CPU and program, a program has its own.
///
/// A CPU's stand one after the other, and those of all CPUs' finer programs behind all others: so
/// they take no room where nobody asks for them.
#[inline(always)]
pub const fn place(number: u32, cpu: u32, cpus: u32) -> u32 {
    const USUAL: u32 = PROBES.len() as u32;
    if number < USUAL {
        cpu * USUAL + number
    } else {
        cpus * USUAL + cpu * FINER.len() as u32 + (number - USUAL)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_finer_hop_comes_once_and_in_order_after_receive() {
        let leads = |from: Stage, to: Stage| Stage::leads_to_finer(from as u32, to as u32);
        assert!(leads(Stage::Receive, Stage::IpRcv) && leads(Stage::Receive, Stage::TcpRcv));
        assert!(leads(Stage::NfPrerouting, Stage::IpLocalDeliver));
        assert!(!leads(Stage::NfForward, Stage::NfForward));
        assert!(!leads(Stage::IpOutput, Stage::NfPrerouting));
        for from in [
            Stage::Queue,
            Stage::Xmit,
            Stage::Rx,
            Stage::Deliver,
            Stage::Total,
        ] {
            assert!(!leads(from, Stage::UdpRcv), "{from:?}");
        }
    }

    #[test]
    fn what_is_sent_by_this_host_and_what_no_ip_packet_passes_is_no_finer_hop() {
        assert_eq!(Stage::of_netfilter(2, 4), Some(Stage::NfPostrouting));
        assert_eq!(Stage::of_netfilter(10, 1), Some(Stage::NfInput));
        assert_eq!(Stage::of_netfilter(2, 3), None);
        assert_eq!(Stage::of_netfilter(7, 0), None);
    }

    #[test]
    fn each_program_has_a_place_of_its_own_on_each_cpu() {
        let cpus = 3;
        let programs = PROGRAMS as u32;
        let places: BTreeSet<_> = (0..programs)
            .flat_map(|number| (0..cpus).map(move |cpu| place(number, cpu, cpus)))
            .collect();
        assert_eq!(places, (0..cpus * programs).collect());
        let usual = PROBES.len() as u32;
        assert_eq!(place(usual - 1, cpus - 1, cpus) + 1, place(usual, 0, cpus));
    }

    #[test]
    fn every_stage_is_found_by_its_number() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_number(stage as u8), Some(stage));
        }
    }
}
