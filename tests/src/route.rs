//! Routes: added, replaced, removed, and spread over several next hops.

use std::net::IpAddr;

use anyhow::{Context, Result};
use ipnet::IpNet;
use nix::libc;

use crate::link::{family, octets};
use crate::namespace::Ns;
use crate::netlink::Message;

/// One leg of a route.
#[derive(Clone, Copy, Debug)]
pub struct NextHop<'a> {
    /// The gateway.
    pub via: IpAddr,
    /// The device that leads to it.
    pub dev: &'a str,
    /// How many shares of the flows it gets, from 1.
    pub weight: u8,
}

impl Ns {
    /// Adds a route to a prefix such as `10.2.0.0/24`; an error if there is one already.
    pub fn route(&self, prefix: &str, via: IpAddr, dev: &str) -> Result<()> {
        self.single(libc::NLM_F_EXCL, prefix, via, dev)
    }

    /// Moves the route to a prefix, in one step without a gap.
    pub fn replace_route(&self, prefix: &str, via: IpAddr, dev: &str) -> Result<()> {
        self.single(libc::NLM_F_REPLACE, prefix, via, dev)
    }

    /// Moves the route to a prefix, and says which address packets of our own have as source.
    pub fn replace_route_from(
        &self,
        prefix: &str,
        via: IpAddr,
        dev: &str,
        source: IpAddr,
    ) -> Result<()> {
        let index = self.index(dev)?;
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.tell(libc::RTM_NEWROUTE, flags, prefix, |m| {
            m.attr(libc::RTA_GATEWAY, octets(via))
                .number(libc::RTA_OIF, index)
                .attr(libc::RTA_PREFSRC, octets(source))
        })
    }

    /// Adds or replaces a route whose flows are spread over several next hops (ECMP).
    pub fn multipath_route(&self, prefix: &str, legs: &[NextHop]) -> Result<()> {
        let mut hops = Vec::new();
        for leg in legs {
            hops.extend(self.leg(leg)?);
        }
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.tell(libc::RTM_NEWROUTE, flags, prefix, |m| {
            m.attr(libc::RTA_MULTIPATH, hops)
        })
    }

    /// Removes the route to a prefix.
    pub fn remove_route(&self, prefix: &str) -> Result<()> {
        self.tell(libc::RTM_DELROUTE, 0, prefix, |m| m)
    }

    fn single(&self, flag: i32, prefix: &str, via: IpAddr, dev: &str) -> Result<()> {
        let index = self.index(dev)?;
        self.tell(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | flag, prefix, |m| {
            m.attr(libc::RTA_GATEWAY, octets(via))
                .number(libc::RTA_OIF, index)
        })
    }

    fn tell(
        &self,
        kind: u16,
        flags: i32,
        prefix: &str,
        way: impl FnOnce(Message) -> Message,
    ) -> Result<()> {
        let net: IpNet = prefix
            .parse()
            .with_context(|| format!("parse the prefix {prefix:?} (as in 10.2.0.0/24)"))?;
        let message =
            Message::new(kind, flags, &rtmsg(net)).attr(libc::RTA_DST, octets(net.network()));
        self.rtnetlink()
            .ask(way(message))
            .with_context(|| format!("change the route to {prefix} in {}", self.name()))
    }

    /// `struct rtnexthop` and its gateway.
    fn leg(&self, leg: &NextHop) -> Result<Vec<u8>> {
        let gateway = octets(leg.via);
        let attribute_len = 4 + gateway.len() as u16;
        let mut bytes = (8 + attribute_len).to_ne_bytes().to_vec();
        bytes.extend([0, leg.weight.saturating_sub(1)]);
        bytes.extend(self.index(leg.dev)?.to_ne_bytes());
        bytes.extend(attribute_len.to_ne_bytes());
        bytes.extend(libc::RTA_GATEWAY.to_ne_bytes());
        bytes.extend(gateway);
        Ok(bytes)
    }
}

/// `struct rtmsg`: a unicast route of the main table.
fn rtmsg(net: IpNet) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = family(net.addr());
    bytes[1] = net.prefix_len();
    bytes[4] = libc::RT_TABLE_MAIN;
    bytes[5] = libc::RTPROT_STATIC;
    bytes[6] = libc::RT_SCOPE_UNIVERSE;
    bytes[7] = libc::RTN_UNICAST;
    bytes
}
