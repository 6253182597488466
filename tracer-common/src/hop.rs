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
}

/// How many values a [`Stage`] may take, one more than the highest.
pub const STAGES: usize = 8;

impl Stage {
    /// All stages, in the order in which a packet meets them.
    pub const ALL: [Self; 7] = [
        Self::Queue,
        Self::Xmit,
        Self::Rx,
        Self::Receive,
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
pub const PROBES: [Probe; 15] = [
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
];
