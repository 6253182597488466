//! Neighbours: `struct ndmsg`.

use super::family;
use crate::model::network::{Fact, Neighbour, NeighbourState};
use crate::source::mirror::attributes::{Attributes, Malformed};

pub(super) fn read(body: &[u8]) -> Result<Option<Fact>, Malformed> {
    let (header, attributes) = Attributes::behind::<12>(body)?;
    let index = [header[4], header[5], header[6], header[7]];
    let state = state(u16::from_ne_bytes([header[8], header[9]]));
    let (flags, is_proxy) = (header[10], 1 << 3);
    // What this host answers for is no neighbour of its own.
    let (Some(_), Some(state), 0) = (family(header[0]), state, flags & is_proxy) else {
        return Ok(None);
    };
    let (mut address, mut mac) = (None, None);
    attributes.each(|kind, value| {
        match kind {
            libc::NDA_DST => address = Some(value.address()?),
            libc::NDA_LLADDR => mac = value.mac(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(Fact::Neighbour(Neighbour {
        index: u32::from_ne_bytes(index),
        address: address.ok_or(Malformed)?,
        mac: mac.filter(|_| state != NeighbourState::Unresolved),
        state,
    })))
}

/// None for those that the kernel makes by itself, in silence, where no one needs to be asked.
fn state(bits: u16) -> Option<NeighbourState> {
    let has = |bit| bits & bit != 0;
    Some(match bits {
        _ if has(libc::NUD_PERMANENT) => NeighbourState::Permanent,
        _ if has(libc::NUD_NOARP) => return None,
        _ if has(libc::NUD_REACHABLE) => NeighbourState::Reachable,
        _ if has(libc::NUD_STALE | libc::NUD_DELAY) => NeighbourState::Stale,
        _ if has(libc::NUD_PROBE) => NeighbourState::Probe,
        _ => NeighbourState::Unresolved,
    })
}
