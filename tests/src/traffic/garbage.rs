//! Frames that no sane host would send.

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::frame::Frames;
use crate::namespace::Ns;

/// Ethernet types that make a receiver look further: IPv4, IPv6, ARP, VLAN, double VLAN, MPLS, or anything.
const TYPES: [u16; 7] = [0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x8847, 0];

/// Sends random and truncated Ethernet frames out of a device, the same for the same seed, and
/// returns how many the device took.
///
/// On a veth, its peer receives them; half are addressed to `02:00:00:00:00:01` and following,
/// as the lab's own devices are.
pub fn inject_garbage(ns: &Ns, dev: &str, count: u64, seed: u64) -> Result<u64> {
    let frames = Frames::by(ns, dev)?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut taken = 0;
    for _ in 0..count {
        match frames.send(&frame(&mut random)) {
            Ok(()) => taken += 1,
            // Longer than the MTU or shorter than a header: refused before it is a packet.
            Err(Errno::EMSGSIZE | Errno::EINVAL | Errno::ENOBUFS) => {}
            Err(error) => return Err(error).with_context(|| format!("inject by {dev}")),
        }
    }
    Ok(taken)
}

/// A frame with a header that is sometimes plausible, cut anywhere.
fn frame(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..1514).map(|_| random.u8(..)).collect();
    if random.bool() {
        bytes[..6].copy_from_slice(&[2, 0, 0, 0, 0, random.u8(1..16)]);
    }
    let ether_type = random.choice(TYPES).filter(|ether_type| *ether_type != 0);
    if let Some(ether_type) = ether_type {
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        // A right version, and a header length that is right or nearly so.
        bytes[14] = match ether_type {
            0x86dd => 0x60,
            _ => 0x40 | random.u8(3..8),
        };
    }
    let len = random.usize(14..=bytes.len());
    bytes.truncate(if random.bool() { len } else { len.min(60) });
    bytes
}
