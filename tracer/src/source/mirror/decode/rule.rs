//! Rules: `struct fib_rule_hdr` (`include/uapi/linux/fib_rules.h`).

use super::{family, prefix};
use crate::model::network::{Action, Fact, Rule};
use crate::source::mirror::attributes::{Attributes, Malformed};

const DST: u16 = 1;
const SRC: u16 = 2;
const IIFNAME: u16 = 3;
const GOTO: u16 = 4;
const PRIORITY: u16 = 6;
const FWMARK: u16 = 10;
const SUPPRESS_PREFIXLEN: u16 = 14;
const TABLE: u16 = 15;
const FWMASK: u16 = 16;
const OIFNAME: u16 = 17;
const L3MDEV: u16 = 19;
const UID_RANGE: u16 = 20;
const PROTOCOL: u16 = 21;
const IP_PROTO: u16 = 22;
const SPORT_RANGE: u16 = 23;
const DPORT_RANGE: u16 = 24;

const ACT_TO_TBL: u8 = 1;
const ACT_GOTO: u8 = 2;
const ACT_NOP: u8 = 3;
const INVERT: u32 = 1 << 1;

pub(super) fn read(body: &[u8]) -> Result<Option<Fact>, Malformed> {
    let (header, attributes) = Attributes::behind::<12>(body)?;
    let [of, to_len, from_len, tos, table, _, _, act, flags @ ..] = header;
    let Some(family) = family(of) else {
        return Ok(None);
    };
    let mut rule = Rule {
        family,
        priority: 0,
        action: Action::Nop,
        from: None,
        to: None,
        input: None,
        output: None,
        mark: None,
        tos,
        ip_protocol: None,
        source_port: None,
        destination_port: None,
        users: None,
        l3mdev: false,
        suppress_prefix_len: None,
        inverted: u32::from_ne_bytes(flags) & INVERT != 0,
        protocol: 0,
    };
    let (mut table, mut target) = (u32::from(table), 0);
    let (mut mark, mut bits) = (0, None);
    let (mut from, mut to) = (None, None);
    attributes.each(|kind, value| {
        match kind {
            DST => to = Some(value.address()?),
            SRC => from = Some(value.address()?),
            IIFNAME => rule.input = Some(value.text()),
            OIFNAME => rule.output = Some(value.text()),
            GOTO => target = value.u32()?,
            PRIORITY => rule.priority = value.u32()?,
            FWMARK => mark = value.u32()?,
            FWMASK => bits = Some(value.u32()?),
            // 0xffffffff stands for none.
            SUPPRESS_PREFIXLEN => {
                rule.suppress_prefix_len = Some(value.u32()?).filter(|&len| len != u32::MAX);
            }
            TABLE => table = value.u32()?,
            L3MDEV => rule.l3mdev = value.u8()? != 0,
            UID_RANGE => rule.users = Some(value.range_u32()?),
            PROTOCOL => rule.protocol = value.u8()?,
            IP_PROTO => rule.ip_protocol = Some(value.u8()?),
            SPORT_RANGE => rule.source_port = Some(value.range_u16()?),
            DPORT_RANGE => rule.destination_port = Some(value.range_u16()?),
            _ => {}
        }
        Ok(())
    })?;
    let side = |address, len| match len {
        0 => Ok(None),
        len => prefix(family, address, len).map(Some),
    };
    rule.from = side(from, from_len)?;
    rule.to = side(to, to_len)?;
    rule.mark = bits.filter(|&bits| bits != 0).map(|bits| (mark, bits));
    rule.action = match act {
        ACT_TO_TBL => Action::Table(table),
        ACT_GOTO => Action::Goto(target),
        ACT_NOP => Action::Nop,
        other => Action::Refuse(other),
    };
    Ok(Some(Fact::Rule(rule)))
}
