//! What devices and sockets count by themselves: `struct rtnl_link_stats64`
//! (`include/uapi/linux/if_link.h`), drivers' own counters, `/proc/net`.

mod proc;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::time::Duration;

use super::attributes::{Attributes, Malformed};
use super::socket::Asker;
use super::{Followed, Mirror};
use crate::model::Namespace;
use crate::source::spent::spent;

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
    /// Whether it is a card, and no device that the kernel made.
    pub is_hardware: bool,
    /// Megabits a second, where the driver of a card or bond tells.
    pub speed_mbps: Option<u32>,
    /// What went wrong, by the counter's name in `/sys/class/net/DEVICE/statistics`.
    pub trouble: BTreeMap<String, u64>,
    /// What a card's driver counts of trouble, by its own names.
    pub driver: BTreeMap<String, u64>,
}

/// All that is counted at one moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Every device of every namespace that is followed, by the namespace's cookie and its number.
    pub devices: BTreeMap<(u64, u32), Device>,
    /// What sockets had no room for, by the namespace's cookie.
    pub sockets: BTreeMap<u64, (Namespace, BTreeMap<String, u64>)>,
    /// The processor time that threads inside the namespaces took.
    pub spent: Duration,
}

/// The counters of trouble, by their place in `struct rtnl_link_stats64`. What collides on a wire of
/// the last century, and what nobody here wanted (`rx_nohandler`, multicast), is none.
const TROUBLE: [(usize, &str); 14] = [
    (4, "rx_errors"),
    (5, "tx_errors"),
    (6, "rx_dropped"),
    (7, "tx_dropped"),
    (10, "rx_length_errors"),
    (11, "rx_over_errors"),
    (12, "rx_crc_errors"),
    (13, "rx_frame_errors"),
    (14, "rx_fifo_errors"),
    (15, "rx_missed_errors"),
    (16, "tx_aborted_errors"),
    (17, "tx_carrier_errors"),
    (18, "tx_fifo_errors"),
    (20, "tx_window_errors"),
];

/// Asks every namespace that is followed; one that can't be asked now is left out.
pub fn read(mirror: &Mirror) -> Look {
    let mut look = Look::default();
    // The mirror goes on while they are asked.
    let namespaces: Vec<(Namespace, io::Result<File>)> = {
        let seen = mirror.seen();
        let all = seen.namespaces.values();
        all.map(|it: &Followed| (it.namespace.clone(), it.open()))
            .collect()
    };
    for (namespace, file) in namespaces {
        // A namespace that went, or can't be entered, has nothing to tell.
        let _ = file.and_then(|file| ask(&namespace, &file, &mut look));
    }
    look
}

fn ask(namespace: &Namespace, file: &File, look: &mut Look) -> io::Result<()> {
    let learn = || (proc::sockets(), spent());
    let (mut asker, (sockets, spent)) = Asker::of_routes_with(file, learn)?;
    look.spent += spent;
    // A path may lead elsewhere by now.
    if asker.cookie().is_some_and(|it| it != namespace.cookie) {
        return Err(io::ErrorKind::NotFound.into());
    }
    for (ifindex, mut device) in dump(&mut asker)? {
        device.namespace = namespace.clone();
        if device.is_hardware {
            device.driver = asker.trouble(&device.name);
        }
        look.devices.insert((namespace.cookie, ifindex), device);
    }
    look.sockets
        .insert(namespace.cookie, (namespace.clone(), sockets));
    Ok(())
}

fn dump(asker: &mut Asker) -> io::Result<Vec<(u32, Device)>> {
    let (mut devices, mut with_speed) = (Vec::new(), Vec::new());
    asker.dump(libc::RTM_GETLINK, &[0; 16], &mut |_, _, body| {
        if let Ok(Some((ifindex, device, may_tell_speed))) = device(body) {
            if may_tell_speed {
                with_speed.push(devices.len());
            }
            devices.push((ifindex, device));
        }
    })?;
    for index in with_speed {
        let (_, device) = &mut devices[index];
        device.speed_mbps = asker.speed(&device.name);
    }
    Ok(devices)
}

/// A device, its number, and whether its driver may know the speed of its link.
fn device(body: &[u8]) -> Result<Option<(u32, Device, bool)>, Malformed> {
    let (header, attributes) = Attributes::behind::<16>(body)?;
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let ifindex = u32::from_ne_bytes(word(4));
    let flags = i32::from_ne_bytes(word(8));
    let (mut name, mut kind, mut bytes, mut changes) = (String::new(), String::new(), None, 0);
    attributes.each(|attribute, value| {
        match attribute {
            libc::IFLA_IFNAME => name = value.text(),
            libc::IFLA_STATS64 => bytes = Some(value.bytes()),
            libc::IFLA_CARRIER_CHANGES => changes = value.u32()?,
            libc::IFLA_LINKINFO => value.nested().each(|attribute, value| {
                if attribute == libc::IFLA_INFO_KIND {
                    kind = value.text();
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    let Some((counters, mut trouble)) = bytes.and_then(read_counters) else {
        return Ok(None);
    };
    let is_loopback = flags & libc::IFF_LOOPBACK != 0;
    let is_hardware = kind.is_empty() && !is_loopback;
    trouble.insert("carrier_changes".to_owned(), u64::from(changes));
    let has_speed = is_hardware || ["bond", "team"].contains(&kind.as_str());
    let is_carried = flags & libc::IFF_LOWER_UP != 0;
    let device = Device {
        namespace: Namespace {
            name: String::new(),
            cookie: 0,
            inode: 0,
        },
        name,
        counters,
        is_hardware,
        speed_mbps: None,
        trouble,
        driver: BTreeMap::new(),
    };
    Ok(Some((ifindex, device, has_speed && is_carried)))
}

/// A device's counters, and those of trouble; a kernel that has fewer tells fewer.
fn read_counters(bytes: &[u8]) -> Option<(Counters, BTreeMap<String, u64>)> {
    let number = |place: usize| {
        let bytes = bytes.get(place * 8..place * 8 + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    let counters = Counters {
        packets: [number(0)?, number(1)?],
        bytes: [number(2)?, number(3)?],
    };
    let trouble = TROUBLE.iter();
    let trouble = trouble.filter_map(|&(place, name)| Some((name.to_owned(), number(place)?)));
    Some((counters, trouble.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_or_not_at_all() {
        let mut bytes: Vec<u8> = [7u64, 8, 700, 800, 1, 2, 3, 4]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        let expected = Counters {
            packets: [7, 8],
            bytes: [700, 800],
        };
        let (counters, trouble) = read_counters(&bytes).unwrap();
        assert_eq!(counters, expected);
        let trouble: Vec<_> = trouble.iter().map(|(name, &n)| (&**name, n)).collect();
        let all = [
            ("rx_dropped", 3),
            ("rx_errors", 1),
            ("tx_dropped", 4),
            ("tx_errors", 2),
        ];
        assert_eq!(trouble, all);
        bytes.truncate(31);
        assert_eq!(read_counters(&bytes), None);
    }
}
