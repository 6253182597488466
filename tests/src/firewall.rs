//! nftables without `nft`: address translation and drops, for IPv4, as nfnetlink batches.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use nix::libc;

use crate::namespace::Ns;
use crate::netlink::Message;

const TABLE: &str = "lab";

// Offsets in the IPv4 and the transport header.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
const PORT: u32 = 2;

/// Registers of the nftables machine, 16 bytes each.
const REG_1: u32 = 1;
const REG_2: u32 = 2;
const REG_VERDICT: u32 = 0;

// linux/netfilter/nf_tables.h
const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

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
        self.rule(&PREROUTING, |m| {
            let m = to_port_of(protocol, port, m);
            let m = equal(load_network(m, DESTINATION), &ip.octets());
            let m = immediate(m, REG_1, &to_ip.octets());
            let m = immediate(m, REG_2, &to_port.to_be_bytes());
            translate(m, Translation::Destination)
        })
    }

    /// Gives what comes from a prefix (`0.0.0.0/0` for all) another source address.
    pub fn snat(&self, from: Ipv4Net, to: Ipv4Addr) -> Result<()> {
        self.rule(&POSTROUTING, |m| {
            let m = mask(load_network(m, SOURCE), &from.netmask().octets());
            let m = equal(m, &from.network().octets());
            translate(immediate(m, REG_1, &to.octets()), Translation::Source)
        })
    }

    /// Drops what goes to a port.
    pub fn drop_port(&self, hook: Hook, protocol: Protocol, port: u16) -> Result<()> {
        let chain = match hook {
            Hook::Input => &INPUT,
            Hook::Forward => &FORWARD,
        };
        self.rule(chain, |m| drop_packet(to_port_of(protocol, port, m)))
    }

    /// Takes all these rules away.
    pub fn clear_firewall(&self) -> Result<()> {
        let table = command(libc::NFT_MSG_DELTABLE, 0).text(1, TABLE);
        self.batch(vec![table]).context("remove the nftables table")
    }

    /// Adds a rule, with its table and chain where they are missing.
    fn rule(&self, chain: &Chain, expressions: impl FnOnce(Message) -> Message) -> Result<()> {
        let table = command(libc::NFT_MSG_NEWTABLE, libc::NLM_F_CREATE).text(1, TABLE);
        let new_chain = command(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE)
            .text(1, TABLE)
            .text(3, chain.name)
            .nest(4, |m| {
                m.big_endian(1, chain.hook)
                    .big_endian(2, chain.priority as u32)
            })
            .text(7, chain.kind);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND;
        let rule = command(libc::NFT_MSG_NEWRULE, flags)
            .text(1, TABLE)
            .text(2, chain.name)
            .nest(4, expressions);
        self.batch(vec![table, new_chain, rule])
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

fn expression(message: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    message.nest(LIST_ELEM, |m| m.text(1, name).nest(2, data))
}

fn to_port_of(protocol: Protocol, port: u16, message: Message) -> Message {
    let message = expression(message, "meta", |m| {
        m.big_endian(1, REG_1)
            .big_endian(2, libc::NFT_META_L4PROTO as u32)
    });
    let message = equal(message, &[protocol.number()]);
    let transport = libc::NFT_PAYLOAD_TRANSPORT_HEADER as u32;
    equal(load(message, transport, PORT, 2), &port.to_be_bytes())
}

/// Loads an IPv4 address of the header into the first register.
fn load_network(message: Message, offset: u32) -> Message {
    load(message, libc::NFT_PAYLOAD_NETWORK_HEADER as u32, offset, 4)
}

fn load(message: Message, base: u32, offset: u32, len: u32) -> Message {
    expression(message, "payload", |m| {
        m.big_endian(1, REG_1)
            .big_endian(2, base)
            .big_endian(3, offset)
            .big_endian(4, len)
    })
}

fn mask(message: Message, mask: &[u8]) -> Message {
    let zeros = vec![0; mask.len()];
    expression(message, "bitwise", |m| {
        m.big_endian(1, REG_1)
            .big_endian(2, REG_1)
            .big_endian(3, mask.len() as u32)
            .nest(4, |m| m.attr(DATA_VALUE, mask))
            .nest(5, |m| m.attr(DATA_VALUE, zeros))
    })
}

/// Goes on only if the first register holds this.
fn equal(message: Message, value: &[u8]) -> Message {
    expression(message, "cmp", |m| {
        m.big_endian(1, REG_1)
            .big_endian(2, libc::NFT_CMP_EQ as u32)
            .nest(3, |m| m.attr(DATA_VALUE, value))
    })
}

fn immediate(message: Message, register: u32, value: &[u8]) -> Message {
    expression(message, "immediate", |m| {
        m.big_endian(1, register)
            .nest(2, |m| m.attr(DATA_VALUE, value))
    })
}

fn drop_packet(message: Message) -> Message {
    expression(message, "immediate", |m| {
        m.big_endian(1, REG_VERDICT).nest(2, |m| {
            m.nest(DATA_VERDICT, |m| m.big_endian(1, libc::NF_DROP as u32))
        })
    })
}

#[derive(Clone, Copy)]
enum Translation {
    Source,
    Destination,
}

/// Translates to the address in the first register and, for a destination, the port in the second.
fn translate(message: Message, translation: Translation) -> Message {
    expression(message, "nat", |m| match translation {
        Translation::Source => m.big_endian(1, 0).big_endian(2, 2).big_endian(3, REG_1),
        Translation::Destination => m
            .big_endian(1, 1)
            .big_endian(2, libc::NFPROTO_IPV4 as u32)
            .big_endian(3, REG_1)
            .big_endian(5, REG_2),
    })
}
