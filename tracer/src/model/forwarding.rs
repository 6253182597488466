//! Why a packet went on as it did: which FIB entry, by whom, and from whom it came.

use std::net::IpAddr;

use ipnet::IpNet;

use super::journal::{Age, Who};
use super::network::{NeighbourState, Network};

/// How a namespace handed packets on at a hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Whom a frame was sent to.
    pub next_hop: Option<Peer>,
    /// Who sent the frame.
    pub previous_hop: Option<Peer>,
    /// The entry that the kernel found. None where no look-up gives the device and next hop that
    /// were taken: a wrong one is never given.
    pub entry: Option<FibEntry>,
}

/// An entry of the forwarding information base, and how it was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FibEntry {
    /// The route table.
    pub table: u32,
    /// The priority of the rule that chose the table.
    pub rule: Option<u32>,
    /// The packet's mark that the rule asked for; 0 for none.
    pub mark: u32,
    /// The destinations.
    pub prefix: IpNet,
    /// `rtm_type`.
    pub kind: u8,
    /// `rtm_protocol`: who set it.
    pub protocol: u8,
    /// `rt_scope_t`.
    pub scope: u8,
    /// The metric.
    pub metric: u32,
    /// The largest packet, where the route names one.
    pub mtu: Option<u32>,
    /// The largest packet that gets there whole, as a router on the way said (RFC 1191, RFC 8201);
    /// of packets of this namespace's own.
    pub path_mtu: Option<u32>,
    /// The gateway that another one named instead of itself (ICMP redirect), where packets go by it.
    pub redirect: Option<IpAddr>,
    /// The gateway of the leg taken; none where the destination is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The leg taken, from 1 …
    pub leg: usize,
    /// … and how many there are (ECMP).
    pub legs: usize,
    /// How long it has been as it is, as far as the journal knows.
    pub age: Option<Age>,
    /// Who made it so, as far as the journal knows.
    pub set_by: Option<Who>,
}

/// Who has a link-layer address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its IP addresses, as far as this namespace knows them; the gateway first.
    pub addresses: Vec<IpAddr>,
    /// What the Ethernet address tells by itself.
    pub role: Option<Role>,
}

/// What an Ethernet address tells by itself: it moves from machine to machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A virtual router of VRRP, with its number (RFC 9568, section 7.3).
    Vrrp(u8),
    /// A group of HSRP, with its number (RFC 2281, section 5.1; version 2 has 12 bits).
    Hsrp(u16),
    /// The host's end of a Calico workload's veth, which answers for every address by proxy ARP.
    CalicoHost,
}

impl Role {
    /// What an Ethernet address tells by itself; nothing for nearly all.
    pub fn of(mac: [u8; 6]) -> Option<Self> {
        match mac {
            [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, id] => Some(Self::Vrrp(id)),
            [0x00, 0x00, 0x0c, 0x07, 0xac, group] => Some(Self::Hsrp(group.into())),
            // Version 2, IPv4 and IPv6.
            [0x00, 0x00, 0x0c, 0x9f, high @ 0xf0..=0xff, low] => {
                Some(Self::Hsrp(u16::from(high & 0x0f) << 8 | u16::from(low)))
            }
            [0x00, 0x05, 0x73, 0xa0, high @ 0x00..=0x0f, low] => {
                Some(Self::Hsrp(u16::from(high) << 8 | u16::from(low)))
            }
            [0xee, 0xee, 0xee, 0xee, 0xee, 0xee] => Some(Self::CalicoHost),
            _ => None,
        }
    }
}

impl Peer {
    /// Who has an Ethernet address at a device, as the neighbours say: those of the device, of the
    /// bridge or bond that it belongs to, and of the devices upon it.
    ///
    /// With proxy ARP one answers for many addresses; what is asked for comes first then.
    pub fn at(network: &Network, device: u32, mac: [u8; 6], asked: Option<IpAddr>) -> Self {
        let master = network.link(device).and_then(|link| link.master);
        let mut addresses: Vec<IpAddr> = network
            .neighbours()
            .filter(|it| it.mac == Some(mac) && it.state != NeighbourState::Unresolved)
            .filter(|it| Some(it.index) == master || network.is_handed_in_at(device, it.index))
            .map(|it| it.address)
            .collect();
        // Link-local addresses name nobody whom people know.
        addresses.sort_by_key(|&address| (Some(address) != asked, is_link_local(address), address));
        addresses.dedup();
        Self {
            mac,
            addresses,
            role: Role::of(mac),
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hop::mac_from_text;

    #[test]
    fn virtual_routers_are_known_by_their_ethernet_addresses() {
        for (mac, role) in [
            ("00:00:5e:00:01:2a", Some(Role::Vrrp(42))),
            ("00:00:5e:00:02:07", Some(Role::Vrrp(7))),
            ("00:00:0c:07:ac:05", Some(Role::Hsrp(5))),
            ("00:00:0c:9f:f1:02", Some(Role::Hsrp(0x102))),
            ("00:05:73:a0:0f:ff", Some(Role::Hsrp(0xfff))),
            ("ee:ee:ee:ee:ee:ee", Some(Role::CalicoHost)),
            ("00:00:5e:00:03:01", None),
            ("02:00:00:00:00:01", None),
        ] {
            assert_eq!(Role::of(mac_from_text(mac).unwrap()), role, "{mac}");
        }
    }
}
