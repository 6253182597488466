//! ICMP errors, counted at the class of the packets that they speak of.

use tracer_common::exchange::{Sight, Told};

use super::{passing, peer, seen};
use crate::{
    class, header,
    kernel::{self, Bytes},
    maps::{self, Scratch},
};

const UPPER: usize = header::UPPER;

/// The beginning of the packet in question is behind the message's own eight bytes.
const HEADER: u64 = 8;
/// In a redirect of IPv6 behind two addresses as well (RFC 4861, section 4.5), among options.
const OPTIONS: u64 = 40;
/// `Redirected Header` (RFC 4861, section 4.6.3).
const REDIRECTED: u32 = 4;

/// What an ICMP packet whose header is in the scratch tells of another packet.
///
/// It takes the place of the packet's own header: nobody needs that any more.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn told(index: u32, own_class: u32) -> u32 {
    let (Some(scratch), Some(seen)) = (maps::scratch(index), seen(index)) else {
        return 0;
    };
    let family = scratch.header.tuple.family;
    let first = u32::from_be(scratch.raw[UPPER]);
    let (kind, code) = (first >> 24, first >> 16 & 0xff);
    let Some(sight) = sight(family, kind, code) else {
        return 0;
    };
    let mut told = Told {
        at_ns: scratch.packet.first_ns,
        by: scratch.header.tuple.source,
        family: u16::from(family),
        kind: kind as u8,
        code: code as u8,
        ..Told::default()
    };
    let second = scratch.raw[UPPER + 1];
    match sight {
        Sight::IcmpTooBig if family == 4 => told.mtu = u32::from_be(second) & 0xffff,
        Sight::IcmpTooBig => told.mtu = u32::from_be(second),
        Sight::IcmpRedirects if family == 4 => told.gateway[0] = second,
        Sight::IcmpRedirects => {
            told.gateway = [
                scratch.raw[UPPER + 2],
                scratch.raw[UPPER + 3],
                scratch.raw[UPPER + 4],
                scratch.raw[UPPER + 5],
            ];
        }
        _ => {}
    }
    let at = inner(scratch, sight);
    let class = if at != 0 && read_inner(scratch, at) {
        class::known_class(index)
    } else {
        0
    };
    if class == 0 {
        let counts = passing::place_of(scratch, seen, own_class);
        peer::count(counts, Sight::IcmpUnmatched, 1);
        return 0;
    }
    let counts = passing::place_of(scratch, seen, class);
    peer::count(counts, sight, 1);
    peer::note_told(counts, &told);
    0
}

/// What kind of error it is (RFC 792, RFC 4443, RFC 4861); none where it is no error, or speaks of
/// no packet on its way.
#[inline(always)]
fn sight(family: u8, kind: u32, code: u32) -> Option<Sight> {
    match (family, kind) {
        (4, 3) if code == 4 => Some(Sight::IcmpTooBig),
        (4, 3) | (6, 1) => Some(Sight::IcmpUnreachable),
        (4, 5) | (6, 137) => Some(Sight::IcmpRedirects),
        (4, 11) | (6, 3) => Some(Sight::IcmpTimeExceeded),
        (6, 2) => Some(Sight::IcmpTooBig),
        _ => None,
    }
}

/// Where the beginning of the packet in question is; 0 where it is not there.
#[inline(always)]
fn inner(scratch: &Scratch, sight: Sight) -> u64 {
    let is_old = scratch.header.tuple.family == 4;
    // Errors of IPv6 have no extension headers in front.
    let own = if is_old {
        (u32::from_be(scratch.raw[0]) >> 24 & 15) * 4
    } else {
        40
    };
    let message = header::network(scratch).add(u64::from(own));
    if is_old || sight as u8 != Sight::IcmpRedirects as u8 {
        return message.add(HEADER).address();
    }
    let option = message.add(OPTIONS);
    let first = u32::from(option.fetch_u16().to_be());
    if first >> 8 == REDIRECTED {
        return option.add(HEADER).address();
    }
    // The target's Ethernet address comes first.
    let option = option.add(u64::from(first & 3) * 8);
    if u32::from(option.fetch_u16().to_be()) >> 8 == REDIRECTED {
        option.add(HEADER).address()
    } else {
        0
    }
}

/// Puts the addresses and ports of the packet in question into the scratch.
#[inline(always)]
fn read_inner(scratch: &mut Scratch, at: u64) -> bool {
    let from = Bytes::at(at);
    let there = Bytes::at(scratch.end).since(from);
    if !kernel::copy(scratch.raw.as_mut_ptr(), 7, from) {
        return false;
    }
    let first = u32::from_be(scratch.raw[0]);
    let protocol;
    let mut ports = 0u32;
    let length;
    let family = first >> 28;
    let tuple = &mut scratch.header.tuple;
    tuple.source = [0; 4];
    tuple.destination = [0; 4];
    if family == 4 {
        length = u64::from((first >> 24 & 15) * 4);
        protocol = u32::from_be(scratch.raw[2]) >> 16 & 0xff;
        tuple.source[0] = scratch.raw[3];
        tuple.destination[0] = scratch.raw[4];
    } else if family == 6 {
        length = 40;
        protocol = u32::from_be(scratch.raw[1]) >> 8 & 0xff;
        if !kernel::copy(scratch.raw.as_mut_ptr(), 10, from) {
            return false;
        }
        let mut word = 0;
        while word < 4 {
            tuple.source[word] = scratch.raw[2 + word];
            tuple.destination[word] = scratch.raw[6 + word];
            word += 1;
        }
    } else {
        return false;
    }
    // No more is promised than that, and eight bytes (RFC 792).
    if there > 0xffff || there < length + 8 {
        return false;
    }
    if protocol as u8 == header::TCP || protocol as u8 == header::UDP {
        kernel::copy(&raw mut ports, 1, from.add(length & 0x3c));
    }
    let ports = u32::from_be(ports);
    tuple.source_port = (ports >> 16) as u16;
    tuple.destination_port = ports as u16;
    tuple.family = family as u8;
    tuple.protocol = protocol as u8;
    true
}
