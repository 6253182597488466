//! From rtnetlink's messages to what they say (rtnetlink(7), include/uapi/linux/rtnetlink.h).

mod address;
mod link;
mod neighbour;
mod next_hop;
mod route;
mod rule;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

pub(super) use self::route::Routes;
use super::attributes::Malformed;
use crate::model::network::{Fact, Family, Place, Told};

/// include/uapi/linux/rtnetlink.h; the C library's headers lack it.
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;
pub(super) const RTM_GETNEXTHOP: u16 = 106;

/// Reads the body of a message of this type; the flags are its header's.
type Read = fn(&[u8]) -> Result<Option<Fact>, Malformed>;

/// What is new by which message, gone by which, and how it is read.
const KINDS: [(u16, u16, Read); 6] = [
    (libc::RTM_NEWLINK, libc::RTM_DELLINK, link::read),
    (libc::RTM_NEWADDR, libc::RTM_DELADDR, address::read),
    (libc::RTM_NEWNEIGH, libc::RTM_DELNEIGH, neighbour::read),
    (RTM_NEWNEXTHOP, RTM_DELNEXTHOP, next_hop::read),
    (libc::RTM_NEWRULE, libc::RTM_DELRULE, rule::read),
    (libc::RTM_NEWROUTE, libc::RTM_DELROUTE, route::read),
];

/// What a message says; none where it is about nothing that is mirrored.
///
/// # Errors
/// When it is shorter than it says, or than it has to be.
pub(super) fn message(kind: u16, flags: u16, body: &[u8]) -> Result<Option<Told>, Malformed> {
    let row = KINDS
        .iter()
        .find(|&&(new, gone, _)| kind == new || kind == gone);
    let Some(&(new, _, read)) = row else {
        return Ok(None);
    };
    Ok(read(body)?.map(|fact| {
        if kind == new {
            Told::New(fact, place(flags))
        } else {
            Told::Gone(fact)
        }
    }))
}

/// Where the kernel put it, as `fib_table_insert` and `fib6_add_rt2node` say in the header.
fn place(flags: u16) -> Place {
    let has = |flag: i32| i32::from(flags) & flag != 0;
    if has(libc::NLM_F_REPLACE) {
        Place::Instead
    } else if has(libc::NLM_F_APPEND) {
        Place::Last
    } else {
        Place::First
    }
}

/// The family that a message is about; none for bridges' tables, multicast routing, MPLS …
fn family(byte: u8) -> Option<Family> {
    match i32::from(byte) {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

/// A prefix, whose address is left out where its length is 0.
fn prefix(family: Family, address: Option<IpAddr>, len: u8) -> Result<IpNet, Malformed> {
    let any = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let address = address.unwrap_or(any);
    if Family::of(address) != family {
        return Err(Malformed);
    }
    Ok(IpNet::new(address, len).map_err(|_| Malformed)?.trunc())
}
