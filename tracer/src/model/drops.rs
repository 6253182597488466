//! Whom a drop's reason blames.

/// Who is to blame for a drop. Of most reasons nobody: they are the protocols' daily work, such as a
/// segment that came twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// This host: a full queue, its firewall, its memory, no route.
    Host,
    /// Whoever sent the frame: it has another's Ethernet address, so that a neighbour entry is wrong.
    Sender,
}

/// How the reasons that blame the host begin (`include/net/dropreason-core.h`, 6.18).
const OF_THE_HOST: [&str; 15] = [
    "QDISC_",
    "CPU_BACKLOG",
    "FULL_RING",
    "NETFILTER_",
    "TC_",
    "XDP",
    "BPF_CGROUP_EGRESS",
    "IP_RPFILTER",
    "IP_OUTNOROUTES",
    "IP_INNOROUTES",
    // Path MTU discovery takes one now and then; where it works they are no share of the packets.
    "PKT_TOO_BIG",
    "NOMEM",
    "PROTO_MEM",
    "DEV_READY",
    "NEIGH_QUEUEFULL",
];

const OF_THE_SENDER: &str = "OTHERHOST";

/// What the kernel says of most drops that have no reason of their own.
const UNSPECIFIED: &str = "NOT_SPECIFIED";

impl Blame {
    /// Whom a reason blames.
    pub fn of(reason: &str) -> Option<Self> {
        let is_the_hosts = OF_THE_HOST.iter().any(|ours| reason.starts_with(ours));
        match reason {
            OF_THE_SENDER => Some(Self::Sender),
            _ => is_the_hosts.then_some(Self::Host),
        }
    }

    /// Whom it blames that a packet was dropped which is on its way through this host, and would have
    /// gone on: without a reason so die those that a blackhole, a prohibiting or an unreachable route
    /// takes (`ip_error`, net/ipv4/route.c). At a host that packets are for, it is the protocols'
    /// daily work, such as the last segments of a connection that is over.
    pub fn of_forwarded(reason: &str) -> Option<Self> {
        match reason {
            UNSPECIFIED => Some(Self::Host),
            _ => Self::of(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daily_work_blames_nobody() {
        assert_eq!(Blame::of("NETFILTER_DROP"), Some(Blame::Host));
        assert_eq!(Blame::of("OTHERHOST"), Some(Blame::Sender));
        assert_eq!(Blame::of("TCP_OLD_DATA"), None);
    }

    #[test]
    fn what_dies_without_a_reason_is_this_hosts_only_on_its_way_through() {
        assert_eq!(Blame::of("NOT_SPECIFIED"), None);
        assert_eq!(Blame::of_forwarded("NOT_SPECIFIED"), Some(Blame::Host));
        assert_eq!(Blame::of_forwarded("OTHERHOST"), Some(Blame::Sender));
        assert_eq!(Blame::of_forwarded("TCP_OLD_DATA"), None);
    }
}
