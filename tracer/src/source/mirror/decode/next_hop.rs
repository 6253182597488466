//! Next-hop objects: `struct nhmsg` (include/uapi/linux/nexthop.h, Linux 5.3).

use crate::model::network::{Fact, Leg, NextHop, NextHopKind};
use crate::source::mirror::attributes::{Attributes, Malformed, Value};

const ID: u16 = 1;
const GROUP: u16 = 2;
const BLACKHOLE: u16 = 4;
const OIF: u16 = 5;
const GATEWAY: u16 = 6;
const ENCAP_TYPE: u16 = 7;
const FDB: u16 = 11;

pub(super) fn read(body: &[u8]) -> Result<Option<Fact>, Malformed> {
    let (header, attributes) = Attributes::behind::<8>(body)?;
    let [_family, _scope, protocol, _, flags @ ..] = header;
    let mut leg = Leg {
        gateway: None,
        device: 0,
        weight: 1,
        onlink: u32::from_ne_bytes(flags) & super::route::ONLINK != 0,
        encapsulation: 0,
    };
    let (mut id, mut group, mut is_blackhole, mut is_of_bridge) = (0, None, false, false);
    attributes.each(|kind, value| {
        match kind {
            ID => id = value.u32()?,
            GROUP => group = Some(members(value)?),
            BLACKHOLE => is_blackhole = true,
            OIF => leg.device = value.u32()?,
            GATEWAY => leg.gateway = Some(value.address()?),
            ENCAP_TYPE => leg.encapsulation = value.u16()?,
            FDB => is_of_bridge = true,
            _ => {}
        }
        Ok(())
    })?;
    if is_of_bridge {
        return Ok(None);
    }
    let kind = match group {
        Some(members) => NextHopKind::Group(members),
        None if is_blackhole => NextHopKind::Blackhole,
        None => NextHopKind::Leg(leg),
    };
    Ok(Some(Fact::NextHop(NextHop { id, kind, protocol })))
}

/// `struct nexthop_grp`: the number, and the weight less one in sixteen bits (their upper half since
/// Linux 6.12, zero before).
fn members(value: Value<'_>) -> Result<Vec<(u32, u16)>, Malformed> {
    let (entries, []) = value.bytes().as_chunks::<8>() else {
        return Err(Malformed);
    };
    let member = |&[a, b, c, d, low, high, _, _]: &[u8; 8]| {
        let weight = u16::from_le_bytes([low, high]);
        (u32::from_ne_bytes([a, b, c, d]), weight.saturating_add(1))
    };
    Ok(entries.iter().map(member).collect())
}
