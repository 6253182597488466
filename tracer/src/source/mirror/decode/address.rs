//! Addresses: `struct ifaddrmsg`.

use super::family;
use crate::model::network::{Address, Fact};
use crate::source::mirror::attributes::{Attributes, Malformed};

pub(super) fn read(body: &[u8]) -> Result<Option<Fact>, Malformed> {
    /// `include/uapi/linux/if_addr.h`, Linux 5.18.
    const IFA_PROTO: u16 = 11;
    let (header, attributes) = Attributes::behind::<8>(body)?;
    let [of, prefix_len, flags, scope, index @ ..] = header;
    if family(of).is_none() {
        return Ok(None);
    }
    let (mut address, mut local, mut protocol) = (None, None, 0);
    attributes.each(|kind, value| {
        match kind {
            libc::IFA_ADDRESS => address = Some(value.address()?),
            libc::IFA_LOCAL => local = Some(value.address()?),
            IFA_PROTO => protocol = value.u8()?,
            _ => {}
        }
        Ok(())
    })?;
    // With a peer, IFA_ADDRESS is the peer's; without one IPv6 has no IFA_LOCAL.
    let own = local.or(address).ok_or(Malformed)?;
    Ok(Some(Fact::Address(Address {
        index: u32::from_ne_bytes(index),
        address: own,
        prefix_len,
        peer: address.filter(|&peer| peer != own),
        scope,
        secondary: own.is_ipv4() && u32::from(flags) & libc::IFA_F_SECONDARY != 0,
        protocol,
    })))
}
