//! The attributes of a netlink message, read with nothing taken on trust.

use std::net::IpAddr;

use netlink_packet_core::NlasIterator;

/// A message that is shorter than it says, or than its kind has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Malformed;

/// Attributes one after another.
#[derive(Clone, Copy)]
pub(in crate::source) struct Attributes<'a>(&'a [u8]);

/// An attribute's value.
#[derive(Clone, Copy)]
pub(in crate::source) struct Value<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those behind a fixed header of so many bytes, which is returned with them.
    pub(in crate::source) fn behind<const N: usize>(
        message: &'a [u8],
    ) -> Result<([u8; N], Attributes<'a>), Malformed> {
        let (header, rest) = message.split_first_chunk().ok_or(Malformed)?;
        Ok((*header, Attributes(rest)))
    }

    /// Hands each attribute over: its kind and its value.
    pub(in crate::source) fn each(
        self,
        mut see: impl FnMut(u16, Value<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for attribute in NlasIterator::new(self.0) {
            let attribute = attribute.map_err(|_| Malformed)?;
            let (kind, len) = (attribute.kind(), usize::from(attribute.length()));
            let value = attribute.into_inner().get(4..len).ok_or(Malformed)?;
            see(kind, Value(value))?;
        }
        Ok(())
    }
}

impl<'a> Value<'a> {
    pub(in crate::source) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The attributes inside.
    pub(in crate::source) fn nested(self) -> Attributes<'a> {
        Attributes(self.0)
    }

    pub(in crate::source) fn u8(self) -> Result<u8, Malformed> {
        self.0.first().copied().ok_or(Malformed)
    }

    pub(in crate::source) fn u16(self) -> Result<u16, Malformed> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(in crate::source) fn u16_be(self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(in crate::source) fn u32(self) -> Result<u32, Malformed> {
        self.array().map(u32::from_ne_bytes)
    }

    /// A text up to its first zero. What is no UTF-8 in a device's name is shown as U+FFFD.
    pub(in crate::source) fn text(self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0);
        String::from_utf8_lossy(&self.0[..end.unwrap_or(self.0.len())]).into_owned()
    }

    /// An address of four or sixteen bytes.
    pub(in crate::source) fn address(self) -> Result<IpAddr, Malformed> {
        match self.0.len() {
            4 => self.array::<4>().map(IpAddr::from),
            16 => self.array::<16>().map(IpAddr::from),
            _ => Err(Malformed),
        }
    }

    /// An Ethernet address; none for the addresses of other kinds of devices.
    pub(in crate::source) fn mac(self) -> Option<[u8; 6]> {
        self.0.try_into().ok()
    }

    /// Two numbers, first and last.
    pub(in crate::source) fn range_u16(self) -> Result<(u16, u16), Malformed> {
        let (first, last) = (Self(self.0), Self(self.0.get(2..).ok_or(Malformed)?));
        Ok((first.u16()?, last.u16()?))
    }

    /// Two numbers, first and last.
    pub(in crate::source) fn range_u32(self) -> Result<(u32, u32), Malformed> {
        let (first, last) = (Self(self.0), Self(self.0.get(4..).ok_or(Malformed)?));
        Ok((first.u32()?, last.u32()?))
    }

    /// The first bytes.
    fn array<const N: usize>(self) -> Result<[u8; N], Malformed> {
        self.0.first_chunk().copied().ok_or(Malformed)
    }
}
