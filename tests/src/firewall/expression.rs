//! The words of nftables' small machine, as attributes of a rule (`linux/netfilter/nf_tables.h`).
//!
//! Each names a structure's attributes by their numbers there, in order, beginning with 1.

use nix::libc;

use super::Protocol;
use crate::netlink::Message;

/// Fields of the IPv4 header, by offset.
pub(super) const SOURCE: u32 = 12;
pub(super) const DESTINATION: u32 = 16;
/// The destination port, in the header of TCP and UDP.
const PORT: u32 = 2;

/// Registers, 16 bytes each.
pub(super) const REG_1: u32 = 1;
pub(super) const REG_2: u32 = 2;
const REG_VERDICT: u32 = 0;

/// `NFTA_DATA_*`: what kind of data an expression holds.
const VALUE: u16 = 1;
const VERDICT: u16 = 2;

/// The expressions of a rule, in the order in which they are executed.
pub(super) struct Expressions(pub(super) Message);

impl Expressions {
    /// Goes on only with packets of a protocol.
    pub(super) fn for_protocol(self, number: u8) -> Self {
        self.add("meta", |m| {
            let [dreg, key] = [1, 2];
            m.big_endian(dreg, REG_1)
                .big_endian(key, libc::NFT_META_L4PROTO as u32)
        })
        .equals(&[number])
    }

    /// Goes on only with packets to a port.
    pub(super) fn for_port(self, protocol: Protocol, port: u16) -> Self {
        let transport = libc::NFT_PAYLOAD_TRANSPORT_HEADER as u32;
        self.for_protocol(protocol.number())
            .load(transport, PORT, 2)
            .equals(&port.to_be_bytes())
    }

    /// Loads an address of the IPv4 header.
    pub(super) fn load_address(self, offset: u32) -> Self {
        self.load(libc::NFT_PAYLOAD_NETWORK_HEADER as u32, offset, 4)
    }

    fn load(self, header: u32, offset: u32, bytes: u32) -> Self {
        self.add("payload", |m| {
            let [dreg, base, offset_of, len] = [1, 2, 3, 4];
            m.big_endian(dreg, REG_1)
                .big_endian(base, header)
                .big_endian(offset_of, offset)
                .big_endian(len, bytes)
        })
    }

    /// Keeps the bits of a mask.
    pub(super) fn masked(self, bits: &[u8]) -> Self {
        self.add("bitwise", |m| {
            let [sreg, dreg, len, mask, xor] = [1, 2, 3, 4, 5];
            m.big_endian(sreg, REG_1)
                .big_endian(dreg, REG_1)
                .big_endian(len, bits.len() as u32)
                .nest(mask, |m| m.attr(VALUE, bits))
                .nest(xor, |m| m.attr(VALUE, vec![0; bits.len()]))
        })
    }

    /// Goes on only if what was loaded is this.
    pub(super) fn equals(self, value: &[u8]) -> Self {
        self.add("cmp", |m| {
            let [sreg, op, data] = [1, 2, 3];
            m.big_endian(sreg, REG_1)
                .big_endian(op, libc::NFT_CMP_EQ as u32)
                .nest(data, |m| m.attr(VALUE, value))
        })
    }

    /// Puts a value into a register.
    pub(super) fn set(self, register: u32, value: &[u8]) -> Self {
        self.immediate(register, |m| m.attr(VALUE, value))
    }

    pub(super) fn drop_packet(self) -> Self {
        self.immediate(REG_VERDICT, |m| {
            let code = 1;
            m.nest(VERDICT, |m| m.big_endian(code, libc::NF_DROP as u32))
        })
    }

    /// Translates the source to the address in the first register.
    pub(super) fn translate_source(self) -> Self {
        self.translate(libc::NFT_NAT_SNAT, |m| m)
    }

    /// Translates the destination to the address and port in the two registers.
    pub(super) fn translate_destination(self) -> Self {
        let port = 5;
        self.translate(libc::NFT_NAT_DNAT, |m| m.big_endian(port, REG_2))
    }

    fn translate(self, kind: i32, port: impl FnOnce(Message) -> Message) -> Self {
        self.add("nat", |m| {
            let [type_of, family, address] = [1, 2, 3];
            port(
                m.big_endian(type_of, kind as u32)
                    .big_endian(family, libc::NFPROTO_IPV4 as u32)
                    .big_endian(address, REG_1),
            )
        })
    }

    fn immediate(self, register: u32, content: impl FnOnce(Message) -> Message) -> Self {
        self.add("immediate", |m| {
            let [dreg, data] = [1, 2];
            m.big_endian(dreg, register).nest(data, content)
        })
    }

    fn add(self, expression: &str, inside: impl FnOnce(Message) -> Message) -> Self {
        let [elem, name, data] = [1, 1, 2];
        Self(
            self.0
                .nest(elem, |m| m.text(name, expression).nest(data, inside)),
        )
    }
}
