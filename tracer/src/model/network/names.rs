//! The names of what rtnetlink has as numbers, as iproute2 writes them.

/// A row: the number and its name.
type Names = &'static [(u8, &'static str)];

/// `rtm_protocol`: include/uapi/linux/rtnetlink.h, Linux 6.18.
const PROTOCOLS: Names = &[
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (8, "gated"),
    (9, "ra"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (16, "dhcp"),
    (17, "mrouted"),
    (18, "keepalived"),
    (42, "babel"),
    (84, "ovn"),
    (99, "openr"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];

/// `rtm_type`.
const TYPES: Names = &[
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
    (9, "throw"),
];

/// `rt_scope_t`.
const SCOPES: Names = &[
    (0, "global"),
    (200, "site"),
    (253, "link"),
    (254, "host"),
    (255, "nowhere"),
];

/// Tables that have names everywhere.
const TABLES: Names = &[(253, "default"), (254, "main"), (255, "local")];

/// Who set a route: "bird", "kernel"; a number where it has no name.
pub fn protocol(number: u8) -> String {
    name(PROTOCOLS, number)
}

/// A route's type: "unicast", "blackhole".
pub fn route_type(number: u8) -> String {
    name(TYPES, number)
}

/// How far away a destination is: "global", "link".
pub fn scope(number: u8) -> String {
    name(SCOPES, number)
}

/// A table: "main", or its number.
pub fn table(number: u32) -> String {
    u8::try_from(number).map_or_else(|_| number.to_string(), |number| name(TABLES, number))
}

fn name(names: Names, number: u8) -> String {
    let row = names.iter().find(|&&(known, _)| known == number);
    row.map_or_else(|| number.to_string(), |&(_, name)| name.to_owned())
}
