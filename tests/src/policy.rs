//! What decides over routes besides prefixes: tables, metrics, rules, next-hop objects.

use std::net::IpAddr;

use anyhow::{Context, Result};
use ipnet::IpNet;
use nix::libc;

use crate::link::{family, octets};
use crate::namespace::Ns;
use crate::netlink::Message;

/// include/uapi/linux/rtnetlink.h and nexthop.h; the C library's headers lack them.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTA_NH_ID: u16 = 30;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FR_ACT_TO_TBL: u8 = 1;

/// A route with all that can be said of it.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// The destinations.
    pub prefix: IpNet,
    /// The table; 254 is the main one.
    pub table: u32,
    /// The metric; 0 is IPv4's default, 1024 what IPv6 makes of it.
    pub metric: u32,
    /// `rtm_type`: `RTN_UNICAST`, `RTN_BLACKHOLE` …
    pub kind: u8,
    /// `rtm_protocol`: who set it.
    pub protocol: u8,
    /// The gateways with their devices, and how many shares of the flows each gets.
    pub legs: Vec<(Option<IpAddr>, String, u8)>,
    /// The next-hop object, in place of legs.
    pub next_hop: Option<u32>,
    /// The source address of packets of our own.
    pub source: Option<IpAddr>,
    /// The largest packet, in bytes.
    pub mtu: Option<u32>,
}

impl RouteSpec {
    /// A route of the main table that leads nowhere yet.
    pub fn to(prefix: IpNet) -> Self {
        Self {
            prefix,
            table: u32::from(libc::RT_TABLE_MAIN),
            metric: 0,
            kind: libc::RTN_UNICAST,
            protocol: libc::RTPROT_STATIC,
            legs: Vec::new(),
            next_hop: None,
            source: None,
            mtu: None,
        }
    }
}

/// How a route gets into its table, as `ip route` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// Refused where there is one of the same prefix and metric.
    Add,
    /// Behind those of the same prefix and metric.
    Append,
    /// Before them.
    Prepend,
    /// In the first one's place.
    Replace,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    /// Whether it is for IPv6.
    pub v6: bool,
    /// Lower ones are asked first.
    pub priority: u32,
    /// The table that it asks.
    pub table: u32,
    /// The packet's source.
    pub from: Option<IpNet>,
    /// The packet's destination.
    pub to: Option<IpNet>,
    /// The packet's mark.
    pub mark: Option<u32>,
    /// The device that it came by.
    pub input: Option<String>,
}

impl Ns {
    /// Adds a route.
    pub fn add_route(&self, insert: Insert, spec: &RouteSpec) -> Result<()> {
        let how = match insert {
            Insert::Add => libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            Insert::Append => libc::NLM_F_CREATE | libc::NLM_F_APPEND,
            Insert::Prepend => libc::NLM_F_CREATE,
            Insert::Replace => libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        };
        self.tell_route(libc::RTM_NEWROUTE, how, spec)
    }

    /// Removes the first route that fits.
    pub fn delete_route(&self, spec: &RouteSpec) -> Result<()> {
        self.tell_route(libc::RTM_DELROUTE, 0, spec)
    }

    fn tell_route(&self, kind: u16, flags: i32, spec: &RouteSpec) -> Result<()> {
        const RTAX_MTU: u16 = 2;
        let scope = match (kind, &*spec.legs) {
            (libc::RTM_DELROUTE, _) => libc::RT_SCOPE_NOWHERE,
            (_, [(None, ..)]) if spec.prefix.addr().is_ipv4() => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        };
        let mut body = [0; 12];
        body[0] = family(spec.prefix.addr());
        body[1] = spec.prefix.prefix_len();
        body[5] = spec.protocol;
        body[6] = scope;
        body[7] = spec.kind;
        let mut message = Message::new(kind, flags, &body)
            .attr(libc::RTA_DST, octets(spec.prefix.network()))
            .number(libc::RTA_TABLE, spec.table)
            .number(libc::RTA_PRIORITY, spec.metric);
        if let Some(id) = spec.next_hop {
            message = message.number(RTA_NH_ID, id);
        }
        if let Some(source) = spec.source {
            message = message.attr(libc::RTA_PREFSRC, octets(source));
        }
        if let Some(mtu) = spec.mtu {
            message = message.nest(libc::RTA_METRICS, |m| m.number(RTAX_MTU, mtu));
        }
        match &*spec.legs {
            [] => {}
            [(gateway, dev, _)] => {
                message = message.number(libc::RTA_OIF, self.index(dev)?);
                if let Some(gateway) = gateway {
                    message = message.attr(libc::RTA_GATEWAY, octets(*gateway));
                }
            }
            legs => message = message.attr(libc::RTA_MULTIPATH, self.legs(legs)?),
        }
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("change {spec:?} in {}", self.name()))
    }

    fn legs(&self, legs: &[(Option<IpAddr>, String, u8)]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (gateway, dev, weight) in legs {
            let gateway = gateway.map(octets).unwrap_or_default();
            let attribute = 4 + gateway.len() as u16;
            let len = 8 + if gateway.is_empty() { 0 } else { attribute };
            bytes.extend(len.to_ne_bytes());
            bytes.extend([0, weight.saturating_sub(1)]);
            bytes.extend(self.index(dev)?.to_ne_bytes());
            if !gateway.is_empty() {
                bytes.extend(attribute.to_ne_bytes());
                bytes.extend(libc::RTA_GATEWAY.to_ne_bytes());
                bytes.extend(gateway);
            }
        }
        Ok(bytes)
    }

    /// Makes or replaces a next-hop object; without a gateway, of the family that is named.
    pub fn next_hop(&self, id: u32, via: Option<IpAddr>, dev: &str, v6: bool) -> Result<()> {
        let index = self.index(dev)?;
        let mut message = next_hop(id, v6).number(NHA_OIF, index);
        if let Some(via) = via {
            message = message.attr(NHA_GATEWAY, octets(via));
        }
        self.change_next_hop(message)
    }

    /// Makes or replaces a next-hop object that swallows packets.
    pub fn blackhole_next_hop(&self, id: u32, v6: bool) -> Result<()> {
        self.change_next_hop(next_hop(id, v6).attr(NHA_BLACKHOLE, []))
    }

    /// Makes or replaces a group of next-hop objects, with their weights.
    pub fn next_hop_group(&self, id: u32, members: &[(u32, u8)]) -> Result<()> {
        let mut group = Vec::new();
        for (member, weight) in members {
            group.extend(member.to_ne_bytes());
            group.extend([weight.saturating_sub(1), 0, 0, 0]);
        }
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let message = Message::new(RTM_NEWNEXTHOP, flags, &[0; 8])
            .number(NHA_ID, id)
            .attr(NHA_GROUP, group);
        self.change_next_hop(message)
    }

    /// Removes a next-hop object or group, and the routes by it.
    pub fn remove_next_hop(&self, id: u32) -> Result<()> {
        self.change_next_hop(Message::new(RTM_DELNEXTHOP, 0, &[0; 8]).number(NHA_ID, id))
    }

    fn change_next_hop(&self, message: Message) -> Result<()> {
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("change a next-hop object in {}", self.name()))
    }

    /// Adds a rule.
    pub fn add_rule(&self, spec: &RuleSpec) -> Result<()> {
        self.tell_rule(libc::RTM_NEWRULE, libc::NLM_F_CREATE, spec)
    }

    /// Removes the first rule that fits.
    pub fn delete_rule(&self, spec: &RuleSpec) -> Result<()> {
        self.tell_rule(libc::RTM_DELRULE, 0, spec)
    }

    fn tell_rule(&self, kind: u16, flags: i32, spec: &RuleSpec) -> Result<()> {
        let len = |net: Option<IpNet>| net.map_or(0, |net| net.prefix_len());
        let mut body = [0; 12];
        body[0] = if spec.v6 {
            libc::AF_INET6
        } else {
            libc::AF_INET
        } as u8;
        body[1] = len(spec.to);
        body[2] = len(spec.from);
        body[7] = FR_ACT_TO_TBL;
        let mut message = Message::new(kind, flags, &body)
            .number(FRA_PRIORITY, spec.priority)
            .number(FRA_TABLE, spec.table);
        if let Some(to) = spec.to {
            message = message.attr(FRA_DST, octets(to.network()));
        }
        if let Some(from) = spec.from {
            message = message.attr(FRA_SRC, octets(from.network()));
        }
        if let Some(mark) = spec.mark {
            message = message.number(FRA_FWMARK, mark);
        }
        if let Some(input) = &spec.input {
            message = message.text(FRA_IIFNAME, input);
        }
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("change {spec:?} in {}", self.name()))
    }

    /// Takes an address from a device.
    pub fn remove_address(&self, dev: &str, address: &str) -> Result<()> {
        let net: IpNet = address
            .parse()
            .with_context(|| format!("parse the address {address:?} (as in 10.1.0.2/24)"))?;
        let mut body = vec![family(net.addr()), net.prefix_len(), 0, 0];
        body.extend(self.index(dev)?.to_ne_bytes());
        let message = Message::new(libc::RTM_DELADDR, 0, &body)
            .attr(libc::IFA_LOCAL, octets(net.addr()))
            .attr(libc::IFA_ADDRESS, octets(net.addr()));
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("take {address} from {dev} of {}", self.name()))
    }
}

fn next_hop(id: u32, v6: bool) -> Message {
    let mut body = [0; 8];
    body[0] = if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8;
    body[2] = libc::RTPROT_STATIC;
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    Message::new(RTM_NEWNEXTHOP, flags, &body).number(NHA_ID, id)
}
