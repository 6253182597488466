//! Devices: `struct ifinfomsg`.

use crate::model::network::{Fact, Link, Lower, Overlay};
use crate::source::mirror::attributes::{Attributes, Malformed, Value};

pub(super) fn read(body: &[u8]) -> Result<Option<Fact>, Malformed> {
    let (header, attributes) = Attributes::behind::<16>(body)?;
    // The messages of PF_BRIDGE and PF_INET6 speak of the same devices in other words.
    if i32::from(header[0]) != libc::AF_UNSPEC {
        return Ok(None);
    }
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let flags = i32::from_ne_bytes(word(8));
    let mut link = Link {
        index: u32::from_ne_bytes(word(4)),
        up: flags & libc::IFF_UP != 0,
        running: flags & libc::IFF_RUNNING != 0,
        carrier: flags & libc::IFF_LOWER_UP != 0,
        ..Link::default()
    };
    let (mut lower, mut elsewhere) = (0, None);
    attributes.each(|kind, value| {
        match kind {
            libc::IFLA_IFNAME => link.name = value.text(),
            libc::IFLA_ADDRESS => link.mac = value.mac(),
            libc::IFLA_MTU => link.mtu = value.u32()?,
            libc::IFLA_MASTER => link.master = Some(value.u32()?).filter(|&index| index != 0),
            libc::IFLA_LINK => lower = value.u32()?,
            libc::IFLA_LINK_NETNSID => elsewhere = Some(value.u32()?.cast_signed()),
            libc::IFLA_LINKINFO => info(value.nested(), &mut link)?,
            _ => {}
        }
        Ok(())
    })?;
    let lower = Lower {
        index: lower,
        namespace: elsewhere,
    };
    link.lower = Some(lower).filter(|lower| lower.index != 0);
    Ok(Some(Fact::Link(link)))
}

/// What kind of device it is (`include/uapi/linux/if_link.h`).
fn info(info: Attributes<'_>, link: &mut Link) -> Result<(), Malformed> {
    let mut data = None;
    info.each(|kind, value| {
        match kind {
            libc::IFLA_INFO_KIND => link.kind = value.text(),
            libc::IFLA_INFO_DATA => data = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let Some(data) = data else {
        return Ok(());
    };
    match link.kind.as_str() {
        "vlan" => vlan(data, link),
        "vxlan" => vxlan(data, link),
        "vrf" => vrf(data, link),
        _ => Ok(()),
    }
}

fn vlan(data: Value<'_>, link: &mut Link) -> Result<(), Malformed> {
    const ID: u16 = 1;
    data.nested().each(|kind, value| {
        if kind == ID {
            link.overlay = Some(Overlay::Vlan(value.u16()?));
        }
        Ok(())
    })
}

fn vxlan(data: Value<'_>, link: &mut Link) -> Result<(), Malformed> {
    const ID: u16 = 1;
    const GROUP: u16 = 2;
    const LOCAL: u16 = 4;
    const PORT: u16 = 15;
    const GROUP6: u16 = 16;
    const LOCAL6: u16 = 17;
    let (mut vni, mut local, mut remote, mut port) = (0, None, None, 0);
    data.nested().each(|kind, value| {
        match kind {
            ID => vni = value.u32()?,
            GROUP | GROUP6 => remote = Some(value.address()?),
            LOCAL | LOCAL6 => local = Some(value.address()?),
            PORT => port = value.u16_be()?,
            _ => {}
        }
        Ok(())
    })?;
    link.overlay = Some(Overlay::Vxlan {
        vni,
        local,
        remote,
        port,
    });
    Ok(())
}

fn vrf(data: Value<'_>, link: &mut Link) -> Result<(), Malformed> {
    const TABLE: u16 = 1;
    data.nested().each(|kind, value| {
        if kind == TABLE {
            link.vrf_table = Some(value.u32()?);
        }
        Ok(())
    })
}
