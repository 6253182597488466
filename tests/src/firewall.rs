//! nftables without `nft`: address translation and drops, for IPv4, as nfnetlink batches.

mod expression;

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use nix::libc;

use crate::namespace::Ns;
use crate::netlink::Message;
use expression::{DESTINATION, Expressions, REG_1, REG_2, SOURCE};

const TABLE: &str = "lab";
/// `NFTA_TABLE_NAME`
const NAME: u16 = 1;

/// Where a packet meets the firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets for this namespace.
    Input,
    /// Packets on their way through.
    Forward,
}

/// What a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    fn number(self) -> u8 {
        match self {
            Self::Tcp => libc::IPPROTO_TCP as u8,
            Self::Udp => libc::IPPROTO_UDP as u8,
        }
    }
}

/// A chain: where it hangs, and in which order.
struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
}

impl Chain {
    fn message(&self) -> Message {
        let [table, name, hook, kind] = [1, 3, 4, 7];
        let [number, priority] = [1, 2];
        command(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE)
            .text(table, TABLE)
            .text(name, self.name)
            .nest(hook, |m| {
                m.big_endian(number, self.hook)
                    .big_endian(priority, self.priority.cast_unsigned())
            })
            .text(kind, self.kind)
    }

    /// A new rule at its end.
    fn rule(&self, fill: impl FnOnce(Expressions) -> Expressions) -> Message {
        let [table, chain, expressions] = [1, 2, 4];
        command(
            libc::NFT_MSG_NEWRULE,
            libc::NLM_F_CREATE | libc::NLM_F_APPEND,
        )
        .text(table, TABLE)
        .text(chain, self.name)
        .nest(expressions, |m| fill(Expressions(m)).0)
    }
}

const PREROUTING: Chain = Chain {
    name: "prerouting",
    kind: "nat",
    hook: 0,
    priority: -100,
};
const INPUT: Chain = Chain {
    name: "input",
    kind: "filter",
    hook: 1,
    priority: 0,
};
const FORWARD: Chain = Chain {
    name: "forward",
    kind: "filter",
    hook: 2,
    priority: 0,
};
const POSTROUTING: Chain = Chain {
    name: "postrouting",
    kind: "nat",
    hook: 4,
    priority: 100,
};

impl Ns {
    /// Sends what comes for one address and port to another.
    pub fn dnat(
        &self,
        (ip, port): (Ipv4Addr, u16),
        protocol: Protocol,
        (to_ip, to_port): (Ipv4Addr, u16),
    ) -> Result<()> {
        self.rule(&PREROUTING, |rule| {
            rule.for_port(protocol, port)
                .load_address(DESTINATION)
                .equals(&ip.octets())
                .set(REG_1, &to_ip.octets())
                .set(REG_2, &to_port.to_be_bytes())
                .translate_destination()
        })
    }

    /// Gives what comes from a prefix (`0.0.0.0/0` for all) another source address.
    pub fn snat(&self, from: Ipv4Net, to: Ipv4Addr) -> Result<()> {
        self.rule(&POSTROUTING, |rule| {
            rule.load_address(SOURCE)
                .masked(&from.netmask().octets())
                .equals(&from.network().octets())
                .set(REG_1, &to.octets())
                .translate_source()
        })
    }

    /// Drops what goes to a port.
    pub fn drop_port(&self, hook: Hook, protocol: Protocol, port: u16) -> Result<()> {
        let chain = match hook {
            Hook::Input => &INPUT,
            Hook::Forward => &FORWARD,
        };
        self.rule(chain, |rule| rule.for_port(protocol, port).drop_packet())
    }

    /// Drops what ICMP tells this namespace.
    pub fn drop_icmp(&self) -> Result<()> {
        self.rule(&INPUT, |rule| {
            rule.for_protocol(libc::IPPROTO_ICMP as u8).drop_packet()
        })
    }

    /// Takes all these rules away.
    pub fn clear_firewall(&self) -> Result<()> {
        self.batch(vec![command(libc::NFT_MSG_DELTABLE, 0).text(NAME, TABLE)])
            .context("remove the nftables table")
    }

    /// Adds a rule, with its table and chain where they are missing.
    fn rule(
        &self,
        chain: &Chain,
        expressions: impl FnOnce(Expressions) -> Expressions,
    ) -> Result<()> {
        let table = command(libc::NFT_MSG_NEWTABLE, libc::NLM_F_CREATE).text(NAME, TABLE);
        self.batch(vec![table, chain.message(), chain.rule(expressions)])
            .with_context(|| format!("add a rule to {} in {}", chain.name, self.name()))
    }

    fn batch(&self, commands: Vec<Message>) -> Result<()> {
        let mut messages = vec![edge(libc::NFNL_MSG_BATCH_BEGIN)];
        messages.extend(commands);
        messages.push(edge(libc::NFNL_MSG_BATCH_END));
        Ok(self.nfnetlink().batch(messages)?)
    }
}

fn command(kind: i32, flags: i32) -> Message {
    let kind = (libc::NFNL_SUBSYS_NFTABLES << 8 | kind) as u16;
    Message::new(kind, flags, &[libc::NFPROTO_IPV4 as u8, 0, 0, 0])
}

/// Begin or end of a batch: `struct nfgenmsg` with the subsystem in network order.
fn edge(kind: i32) -> Message {
    let [high, low] = (libc::NFNL_SUBSYS_NFTABLES as u16).to_be_bytes();
    Message::plain(kind as u16, 0, &[0, 0, high, low])
}
