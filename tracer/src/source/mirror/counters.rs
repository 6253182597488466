//! What devices count by themselves (`struct rtnl_link_stats64`, `include/uapi/linux/if_link.h`).

use std::collections::BTreeMap;
use std::io;

use super::attributes::{Attributes, Malformed};
use super::socket::Asker;
use super::{Mirror, ways};
use crate::model::Namespace;

/// A device's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received and sent.
    pub packets: [u64; 2],
    /// Their bytes.
    pub bytes: [u64; 2],
}

/// A device and what it counted.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its network namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
    /// What it counted.
    pub counters: Counters,
}

/// Every device of every namespace that is followed, by the namespace's cookie and its number; a
/// namespace that can't be asked now is left out.
pub fn read(mirror: &Mirror) -> BTreeMap<(u64, u32), Device> {
    let mut all = BTreeMap::new();
    let seen = mirror.seen();
    for followed in seen.namespaces.values() {
        let Ok(devices) = ways::asker(followed).and_then(|mut asker| dump(&mut asker)) else {
            continue;
        };
        for (ifindex, name, counters) in devices {
            let device = Device {
                namespace: followed.namespace.clone(),
                name,
                counters,
            };
            all.insert((followed.namespace.cookie, ifindex), device);
        }
    }
    all
}

fn dump(asker: &mut Asker) -> io::Result<Vec<(u32, String, Counters)>> {
    let mut devices = Vec::new();
    asker.dump(libc::RTM_GETLINK, &[0; 16], &mut |_, _, body| {
        if let Ok(Some(device)) = device(body) {
            devices.push(device);
        }
    })?;
    Ok(devices)
}

fn device(body: &[u8]) -> Result<Option<(u32, String, Counters)>, Malformed> {
    let (header, attributes) = Attributes::behind::<16>(body)?;
    let ifindex = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let (mut name, mut counters) = (String::new(), None);
    attributes.each(|kind, value| {
        match kind {
            libc::IFLA_IFNAME => name = value.text(),
            libc::IFLA_STATS64 => counters = read_counters(value.bytes()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(counters.map(|counters| (ifindex, name, counters)))
}

fn read_counters(bytes: &[u8]) -> Option<Counters> {
    let number = |place: usize| {
        let bytes = bytes.get(place * 8..place * 8 + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    Some(Counters {
        packets: [number(0)?, number(1)?],
        bytes: [number(2)?, number(3)?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_or_not_at_all() {
        let mut bytes: Vec<u8> = [7u64, 8, 700, 800]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        let expected = Counters {
            packets: [7, 8],
            bytes: [700, 800],
        };
        assert_eq!(read_counters(&bytes), Some(expected));
        bytes.pop();
        assert_eq!(read_counters(&bytes), None);
    }
}
