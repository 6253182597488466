//! What sockets of a namespace had no room for, as `/proc/net` tells it.

use std::collections::BTreeMap;
use std::fs;

/// The counters, by the kernel's names (`net/ipv4/proc.c`); those of UDP are there for IPv6 too.
const TCP: [&str; 13] = [
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "TCPReqQFullDoCookies",
    "TCPBacklogDrop",
    "TCPRcvQDrop",
    "PruneCalled",
    "RcvPruned",
    "OfoPruned",
    "TCPZeroWindowDrop",
    "TCPMemoryPressures",
    "TCPAbortOnMemory",
    "TCPTimeWaitOverflow",
];
const UDP: [&str; 3] = ["RcvbufErrors", "SndbufErrors", "MemErrors"];

/// The counters of the namespace that this thread is in; what can't be read is left out.
pub(super) fn sockets() -> BTreeMap<String, u64> {
    let file = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let mut all = BTreeMap::new();
    for (name, see) in [
        ("netstat", table as fn(&str, &mut BTreeMap<String, u64>)),
        ("snmp", table),
        ("snmp6", list),
    ] {
        if let Ok(text) = file(name) {
            see(&text, &mut all);
        }
    }
    all
}

fn is_known(group: &str, name: &str) -> bool {
    match group {
        "TcpExt" => TCP.contains(&name),
        "Udp" => UDP.contains(&name),
        _ => false,
    }
}

/// Two lines a group: names, and numbers below them.
fn table(text: &str, all: &mut BTreeMap<String, u64>) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let [Some((group, names)), Some((same, numbers))] =
            [pair[0].split_once(':'), pair[1].split_once(':')]
        else {
            continue;
        };
        if group != same {
            continue;
        }
        for (name, number) in names.split_whitespace().zip(numbers.split_whitespace()) {
            if let (true, Ok(number)) = (is_known(group, name), number.parse()) {
                all.insert(format!("{group}.{name}"), number);
            }
        }
    }
}

/// A line a counter, with `Udp6` before its name.
fn list(text: &str, all: &mut BTreeMap<String, u64>) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().and_then(|name| name.strip_prefix("Udp6"));
        let number = words.next().and_then(|number| number.parse().ok());
        if let (Some(name), Some(number)) = (name, number)
            && UDP.contains(&name)
        {
            all.insert(format!("Udp6.{name}"), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETSTAT: &str = "\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPRcvQDrop
TcpExt: 0 17 18 3
IpExt: InNoRoutes InTruncatedPkts
IpExt: 5 0
";
    const SNMP: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: 71 0 4 72 4
UdpLite: InDatagrams RcvbufErrors
UdpLite: 0 9
";
    const SNMP6: &str = "\
Ip6InReceives                   \t5
Udp6InDatagrams                 \t0
Udp6RcvbufErrors                \t2
UdpLite6RcvbufErrors            \t8
";

    #[test]
    fn what_had_no_room_is_found_in_the_kernels_tables() {
        let mut all = BTreeMap::new();
        table(NETSTAT, &mut all);
        table(SNMP, &mut all);
        list(SNMP6, &mut all);
        let all: Vec<_> = all.iter().map(|(name, &n)| (&**name, n)).collect();
        let expected = [
            ("TcpExt.ListenDrops", 18),
            ("TcpExt.ListenOverflows", 17),
            ("TcpExt.TCPRcvQDrop", 3),
            ("Udp.RcvbufErrors", 4),
            ("Udp6.RcvbufErrors", 2),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn this_kernel_has_them() {
        let all = sockets();
        assert!(all.contains_key("TcpExt.ListenOverflows"), "{all:?}");
        assert!(all.contains_key("Udp.RcvbufErrors"), "{all:?}");
    }
}
