//! Routes: `struct rtmsg`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{family, prefix};
use crate::model::network::{Exception, Fact, Family, Leg, Path, Route, Slot};
use crate::source::mirror::attributes::{Attributes, Malformed, Value};

/// `RTNH_F_ONLINK`: all that is kept of a leg's flags. Whether it is dead shows from its device, and
/// the kernel changes that in silence.
pub(super) const ONLINK: u32 = 4;

/// include/uapi/linux/rtnetlink.h; the C library's headers lack them.
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_NH_ID: u16 = 30;

/// What is read of the attributes, of a route's and of a leg's.
#[derive(Default)]
struct Read<'a> {
    destination: Option<IpAddr>,
    source: Option<IpAddr>,
    gateway: Option<IpAddr>,
    device: u32,
    metric: u32,
    prefer_source: Option<IpAddr>,
    metrics: Vec<(u16, u32)>,
    multipath: Option<&'a [u8]>,
    table: Option<u32>,
    next_hop: Option<u32>,
    preference: u8,
    encapsulation: u16,
}

/// Reads the routes of a dump. What a message says beside the destination is read once for all that
/// say the same, and they share their path.
#[derive(Default)]
pub(in crate::source::mirror) struct Routes {
    /// A route by all that its message says but for the destination and how old it is.
    alike: HashMap<Vec<u8>, Route>,
    paths: HashSet<Arc<Path>>,
    /// What the present message says.
    said: Vec<u8>,
}

/// The most messages that are remembered: a full table has few that say something else.
const ALIKE: usize = 4_096;

impl Routes {
    /// The route that a message tells; none where it tells something else.
    ///
    /// # Errors
    /// When it is shorter than it says, or than it has to be.
    pub(in crate::source::mirror) fn read(
        &mut self,
        body: &[u8],
    ) -> Result<Option<Route>, Malformed> {
        let (mut header, attributes) = Attributes::behind::<12>(body)?;
        let [of, to_len, ..] = header;
        let Some(family) = family(of) else {
            return Ok(None);
        };
        // The length of the destination.
        header[1] = 0;
        self.said.clear();
        self.said.extend(header);
        let mut destination = None;
        attributes.each(|kind, value| {
            match kind {
                libc::RTA_DST => destination = Some(value.address()?),
                libc::RTA_CACHEINFO => {}
                kind => {
                    let length = value.bytes().len() as u16;
                    self.said.extend(kind.to_ne_bytes());
                    self.said.extend(length.to_ne_bytes());
                    self.said.extend(value.bytes());
                }
            }
            Ok(())
        })?;
        if let Some(alike) = self.alike.get(&self.said) {
            return Ok(Some(Route {
                slot: Slot {
                    prefix: prefix(family, destination, to_len)?,
                    ..alike.slot
                },
                ..alike.clone()
            }));
        }
        let Some(Fact::Route(mut route)) = read(body)? else {
            return Ok(None);
        };
        match self.paths.get(&route.path) {
            Some(path) => route.path = Arc::clone(path),
            None => _ = self.paths.insert(Arc::clone(&route.path)),
        }
        if self.alike.len() >= ALIKE {
            self.alike.clear();
        }
        self.alike.insert(self.said.clone(), route.clone());
        Ok(Some(route))
    }
}

pub(super) fn read(body: &[u8]) -> Result<Option<Fact>, Malformed> {
    let (header, attributes) = Attributes::behind::<12>(body)?;
    let [
        of,
        to_len,
        from_len,
        tos,
        table,
        protocol,
        scope,
        kind,
        flags @ ..,
    ] = header;
    let flags = u32::from_ne_bytes(flags);
    let Some(family) = family(of) else {
        return Ok(None);
    };
    let read = attributes_of(attributes)?;
    let table = read.table.unwrap_or(u32::from(table));
    if flags & libc::RTM_F_CLONED != 0 {
        let is_one = to_len == if family == Family::V4 { 32 } else { 128 };
        return Ok(exception(family, table, &read).filter(|_| is_one));
    }
    let mut legs = legs(&read, flags)?;
    if family == Family::V6 {
        // Told and dumped in different orders: there is no first one.
        legs.sort_unstable();
    }
    let path = Path {
        kind,
        protocol,
        scope,
        legs,
        next_hop: read.next_hop,
        prefer_source: read.prefer_source,
        from: match from_len {
            0 => None,
            len => Some(prefix(family, read.source, len)?),
        },
        metrics: read.metrics,
        preference: if family == Family::V6 {
            read.preference
        } else {
            0
        },
    };
    Ok(Some(Fact::Route(Route {
        table,
        slot: Slot {
            prefix: prefix(family, read.destination, to_len)?,
            tos,
            metric: read.metric,
        },
        path: Arc::new(path),
    })))
}

/// What `ip route show cache` shows: of one destination, and by a device.
fn exception(family: Family, table: u32, read: &Read<'_>) -> Option<Fact> {
    let destination = read.destination.filter(|&it| Family::of(it) == family)?;
    let mtu = read.metrics.iter().find(|&&(kind, _)| kind == Path::MTU);
    Some(Fact::Exception(Exception {
        table,
        destination,
        device: Some(read.device).filter(|&device| device != 0)?,
        gateway: read.gateway,
        mtu: mtu.map(|&(_, mtu)| mtu),
    }))
}

fn attributes_of(attributes: Attributes<'_>) -> Result<Read<'_>, Malformed> {
    let mut read = Read::default();
    attributes.each(|kind, value| {
        match kind {
            libc::RTA_DST => read.destination = Some(value.address()?),
            libc::RTA_SRC => read.source = Some(value.address()?),
            libc::RTA_GATEWAY => read.gateway = Some(value.address()?),
            RTA_VIA => read.gateway = via(value)?,
            libc::RTA_OIF => read.device = value.u32()?,
            libc::RTA_PRIORITY => read.metric = value.u32()?,
            libc::RTA_PREFSRC => read.prefer_source = Some(value.address()?),
            libc::RTA_METRICS => read.metrics = metrics(value)?,
            libc::RTA_MULTIPATH => read.multipath = Some(value.bytes()),
            libc::RTA_TABLE => read.table = Some(value.u32()?),
            RTA_NH_ID => read.next_hop = Some(value.u32()?),
            RTA_PREF => read.preference = value.u8()?,
            RTA_ENCAP_TYPE => read.encapsulation = value.u16()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}

fn legs(read: &Read<'_>, flags: u32) -> Result<Vec<Leg>, Malformed> {
    // What the object says counts: the legs of a group shrink in silence.
    if read.next_hop.is_some() {
        return Ok(Vec::new());
    }
    if let Some(legs) = read.multipath {
        return multipath(legs);
    }
    if read.device == 0 && read.gateway.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![leg(read, 1, flags)])
}

fn leg(read: &Read<'_>, weight: u16, flags: u32) -> Leg {
    Leg {
        gateway: read.gateway,
        device: read.device,
        weight,
        onlink: flags & ONLINK != 0,
        encapsulation: read.encapsulation,
    }
}

/// `struct rtnexthop` one after another, each with its attributes.
fn multipath(mut rest: &[u8]) -> Result<Vec<Leg>, Malformed> {
    let mut legs = Vec::new();
    while !rest.is_empty() {
        let [a, b, ..] = *rest else {
            return Err(Malformed);
        };
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let this = rest.get(..len).ok_or(Malformed)?;
        let (header, attributes) = Attributes::behind::<8>(this)?;
        let [_, _, flags, hops, device @ ..] = header;
        let read = Read {
            device: u32::from_ne_bytes(device),
            ..attributes_of(attributes)?
        };
        legs.push(leg(&read, u16::from(hops) + 1, u32::from(flags)));
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(legs)
}

/// `struct rtvia`: a gateway of the other family (RFC 8950).
fn via(value: Value<'_>) -> Result<Option<IpAddr>, Malformed> {
    let (_family, address) = value.bytes().split_first_chunk::<2>().ok_or(Malformed)?;
    Ok(match address.len() {
        4 => address.first_chunk::<4>().map(|&octets| octets.into()),
        16 => address.first_chunk::<16>().map(|&octets| octets.into()),
        _ => return Err(Malformed),
    })
}

/// `RTAX_CC_ALGO`: the congestion control's name, the one metric that is no number.
const CONGESTION_CONTROL: u16 = 16;

fn metrics(value: Value<'_>) -> Result<Vec<(u16, u32)>, Malformed> {
    let mut metrics = Vec::new();
    value.nested().each(|kind, value| {
        if kind != CONGESTION_CONTROL {
            metrics.push((kind, value.u32()?));
        }
        Ok(())
    })?;
    metrics.sort_unstable();
    Ok(metrics)
}
