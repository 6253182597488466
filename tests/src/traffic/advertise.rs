//! A router's advertisements, as RFC 4861 (4.2, 4.6.2) writes them.

use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, setsockopt,
    socket, sockopt,
};

use crate::namespace::Ns;

/// Advertises, out of a device to all nodes, a default route for so many seconds, and a prefix of 64
/// bits to make addresses of. A router with 0 seconds is none any more.
pub fn advertise(ns: &Ns, dev: &str, prefix: Ipv6Addr, lifetime: u16) -> Result<()> {
    let index = ns.index(dev)?;
    let protocol = SockProtocol::IcmpV6;
    let socket = ns
        .run(|| {
            socket(
                AddressFamily::Inet6,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                protocol,
            )
        })
        .context("open a raw socket (are you root?)")?;
    // Whoever gets one that was forwarded ignores it.
    setsockopt(&socket, sockopt::Ipv6MulticastHops, &255)?;
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let to = SockaddrIn6::from(libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as u16,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr {
            s6_addr: all_nodes.octets(),
        },
        sin6_scope_id: index,
    });
    let bytes = message(prefix, lifetime);
    sendto(socket.as_raw_fd(), &bytes, &to, MsgFlags::empty())
        .with_context(|| format!("advertise by {dev}"))?;
    Ok(())
}

/// The kernel fills in the checksum (RFC 3542, 3.1).
fn message(prefix: Ipv6Addr, lifetime: u16) -> Vec<u8> {
    const ROUTER_ADVERTISEMENT: u8 = 134;
    const PREFIX_INFORMATION: u8 = 3;
    const ON_LINK_AND_AUTONOMOUS: u8 = 0xc0;
    let mut bytes = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0];
    bytes.extend(lifetime.to_be_bytes());
    // No word of how long neighbours are reachable.
    bytes.extend([0; 8]);
    bytes.extend([PREFIX_INFORMATION, 4, 64, ON_LINK_AND_AUTONOMOUS]);
    let (valid, preferred) = (86_400u32, 14_400u32);
    bytes.extend(valid.to_be_bytes());
    bytes.extend(preferred.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(prefix.octets());
    bytes
}
