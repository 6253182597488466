//! The packet table: from the address of an `sk_buff` to the packet that lives there.
//!
//! An entry belongs to the CPU that holds the `sk_buff`, which writes it without a lock, until the
//! packet's end is counted: from then on its place is free, and only who holds the set's lock may
//! write there. That of a packet that is not followed becomes free by its age alone: at each hop it
//! is written to. Where both places are taken, only an entry that nobody can be at work on is
//! displaced.

use tracer_common::{
    hop::Stage,
    layout::{End, NO_NODE, Packet, PacketSet, flag, silent_end},
};

use crate::{
    header::TCP,
    kernel::{self, setting},
    lock::Lock,
    maps::{self, PACKETS, Scratch},
    record,
};

/// Where an address has its entry. An `sk_buff` is 256 bytes; of a pair that TCP allocates, both
/// have the same index.
#[inline(always)]
fn place_of(tag: u64) -> u32 {
    (tag >> 8) as u32 & setting!(packets_mask)
}

/// The set in which an address has its entry.
#[inline(always)]
pub(crate) fn set_of(tag: u64) -> Option<*mut PacketSet> {
    PACKETS.get_ptr_mut(place_of(tag))
}

/// The entry of an address.
#[inline(always)]
pub(crate) fn entry_of(set: *mut PacketSet, tag: u64) -> Option<&'static mut Packet> {
    // SAFETY: the map's memory. Another CPU may displace the entry, which is counted.
    unsafe {
        let ways = &raw mut (*set).ways;
        if (*ways)[0].tag == tag {
            Some(&mut (*ways)[0])
        } else if (*ways)[1].tag == tag {
            Some(&mut (*ways)[1])
        } else {
            None
        }
    }
}

/// Whether the entry still is the one of this address, before it is written to.
#[inline(always)]
pub(crate) fn is_held(packet: &Packet, tag: u64) -> bool {
    // SAFETY: a valid reference.
    unsafe { core::ptr::read_volatile(&raw const packet.tag) == tag }
}

/// Whether there is an entry of the very packet that was copied, and it goes on.
#[inline(always)]
pub(crate) fn knows(packet: &Packet) -> bool {
    let Some(set) = set_of(packet.tag) else {
        return false;
    };
    match entry_of(set, packet.tag) {
        Some(entry) => entry.first_ns == packet.first_ns && entry.flags & flag::ENDED == 0,
        None => false,
    }
}

/// The entry's packet is gone, and nothing told how: where it stood does.
#[inline(always)]
pub(crate) fn forget(packet: &mut Packet, tag: u64) {
    if !is_under_way(packet) {
        disregard(tag);
        return;
    }
    if let Some(how) = silent_end(packet) {
        record::end(packet, how);
    }
    clear(packet, tag);
}

/// Whether a packet is followed and has not ended.
#[inline(always)]
fn is_under_way(packet: &Packet) -> bool {
    packet.node != NO_NODE && packet.flags & (flag::ENDED | flag::HANDED) == 0
}

/// Empties the entry of a packet that was under way, and whose end was counted just now.
#[inline(always)]
pub(crate) fn clear(packet: &mut Packet, tag: u64) {
    // Another CPU may have displaced it in this moment.
    if is_held(packet, tag) {
        packet.tag = 0;
    }
}

/// Empties the entry of a packet that is not under way, so that the next one at its address is not
/// taken for it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn disregard(tag: u64) -> u32 {
    let place = place_of(tag);
    let Some(set) = PACKETS.get_ptr_mut(place) else {
        return 0;
    };
    // Without the lock it stays as it is: its holder may be giving this place to another packet.
    if let Some(_lock) = Lock::of_packets(place)
        && let Some(packet) = entry_of(set, tag)
    {
        packet.tag = 0;
    }
    0
}

/// The two places that an address may have, locked, without what was there of that address.
///
/// None where the lock's holder stands still.
#[inline(always)]
fn make_way(tag: u64) -> Option<(&'static mut [Packet; 2], Lock)> {
    let place = place_of(tag);
    let set = PACKETS.get_ptr_mut(place)?;
    let lock = Lock::of_packets(place);
    // What lives at this address now is another packet, whether there is a place for it or not.
    if let Some(before) = entry_of(set, tag)
        && (lock.is_some() || is_under_way(before))
    {
        if let Some(how) = silent_end(before) {
            record::end(before, how);
        }
        clear(before, tag);
    }
    // SAFETY: the map's memory, locked.
    Some((unsafe { &mut (*set).ways }, lock?))
}

/// Puts the scratch's packet, which was at its hop just now, into the table, at the scratch's
/// address; 0 where it finds no room.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn put(index: u32) -> u32 {
    maps::scratch(index).map_or(0, |scratch| u32::from(put_inline(scratch)))
}

/// The same, inlined where most packets come by; false where it finds no room.
#[inline(always)]
pub(crate) fn put_inline(scratch: &Scratch) -> bool {
    let tag = scratch.tag;
    let Some((ways, _lock)) = make_way(tag) else {
        return false;
    };
    let now = scratch.packet.last_ns;
    let second = if is_free(&ways[0], now) {
        false
    } else if is_free(&ways[1], now) {
        true
    } else {
        ways[1].last_ns < ways[0].last_ns
    };
    let way = if second { &mut ways[1] } else { &mut ways[0] };
    let is_ours = is_free(way, now) || displace(way, now);
    if is_ours {
        // SAFETY: a valid reference. The tag is cleared first and set last, so that no other CPU
        // takes half an entry for a whole one.
        unsafe {
            core::ptr::write_volatile(&raw mut way.tag, 0);
            copy_all_but_tag(&scratch.packet, way);
            core::ptr::write_volatile(&raw mut way.tag, tag);
        }
    }
    is_ours
}

/// Remembers that the packet at the scratch's address is not followed, where that costs no other
/// packet.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn ignore(index: u32, stage: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let tag = scratch.tag;
    let Some((ways, _lock)) = make_way(tag) else {
        return 0;
    };
    let now = kernel::now();
    let way = if is_free(&ways[0], now) {
        Some(&mut ways[0])
    } else if is_free(&ways[1], now) {
        Some(&mut ways[1])
    } else {
        None
    };
    if let Some(way) = way {
        // SAFETY: a valid reference.
        unsafe { core::ptr::write_volatile(&raw mut way.tag, 0) };
        way.node = NO_NODE;
        way.stage = stage as u8;
        way.kind = scratch.kind as u8;
        way.flags = 0;
        way.last_ns = now;
        // SAFETY: a valid reference.
        unsafe { core::ptr::write_volatile(&raw mut way.tag, tag) };
    }
    0
}

/// Whether nobody will write to the entry any more. What TCP delivered may still be read.
#[inline(always)]
fn is_free(packet: &Packet, now: u64) -> bool {
    let may_be_read = packet.protocol == TCP && packet.stage == Stage::Deliver as u8;
    packet.tag == 0
        || packet.node == NO_NODE && is_quiet(stood_ns(packet, now))
        || packet.flags & flag::HANDED != 0
        || packet.flags & flag::ENDED != 0 && !may_be_read
}

/// Whether a datagram's delivery is this CPU's to count, and no other one has: where a CPU tells of
/// others' datagrams too, two may come to the same.
#[inline(always)]
pub(crate) fn claim(noted: &Packet) -> bool {
    !kernel::tells_of_others() || claim_at(noted.tag, noted.first_ns) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim_at(tag: u64, first_ns: u64) -> u32 {
    let place = place_of(tag);
    let Some(set) = PACKETS.get_ptr_mut(place) else {
        return 1;
    };
    // Where its holder stands still the lock is not waited for: he is at another entry.
    let _lock = Lock::of_packets(place);
    let Some(packet) = entry_of(set, tag) else {
        return 1;
    };
    // Its reader was faster, and the address is another packet's by now.
    if packet.first_ns != first_ns || packet.node == NO_NODE {
        return 1;
    }
    let is_first = packet.flags & flag::ENDED == 0;
    packet.flags |= flag::ENDED;
    u32::from(is_first)
}

/// Tells the table that a datagram was delivered which may be gone by now: a reader on another CPU
/// is fast, and its address may be in use again.
#[inline(always)]
pub(crate) fn note_delivered(tag: u64, delivered: &Packet, flags: u8) {
    let place = place_of(tag);
    let Some(set) = PACKETS.get_ptr_mut(place) else {
        return;
    };
    // Where its holder stands still the lock is not waited for: he is at another entry.
    let _lock = Lock::of_packets(place);
    if let Some(packet) = entry_of(set, tag)
        && packet.stage == Stage::Receive as u8
        && packet.first_ns == delivered.first_ns
    {
        packet.flags |= flags;
        packet.node = delivered.node;
        packet.cell = delivered.cell;
        packet.last_ns = delivered.last_ns;
        packet.stage = Stage::Deliver as u8;
    }
}

/// Packets that stood longer than this without a sign of life are gone rather than under way.
pub(crate) const STALE_NS: u64 = 1_000_000_000;

/// A packet that came to its hop so lately may be worked on by another CPU at this moment.
const BUSY_NS: u64 = 1_000_000;

/// How long a packet has stood where it is. Another CPU may have moved it after the clock was read:
/// then the difference is negative, which is a large number.
#[inline(always)]
fn stood_ns(packet: &Packet, now: u64) -> u64 {
    now.wrapping_sub(packet.last_ns)
}

/// Whether after such a time nobody is at work on a packet.
#[inline(always)]
fn is_quiet(stood_ns: u64) -> bool {
    (BUSY_NS..=u64::MAX / 2).contains(&stood_ns)
}

/// Makes room, where the packet that has it stands still.
#[inline(always)]
fn displace(packet: &mut Packet, now: u64) -> bool {
    let stood_ns = stood_ns(packet, now);
    // What is not followed has no end to count, and is free when it is quiet.
    if packet.node == NO_NODE || !is_quiet(stood_ns) {
        return false;
    }
    let how = match silent_end(packet) {
        Some(End::Unseen) if stood_ns < STALE_NS => Some(End::Displaced),
        how => how,
    };
    // SAFETY: a valid reference. Whoever comes to the packet now finds that it is gone.
    unsafe { core::ptr::write_volatile(&raw mut packet.tag, 0) };
    if let Some(how) = how {
        record::end(packet, how);
    }
    true
}

/// Copies an entry word by word, so that it takes no room on the stack.
///
/// # Safety
/// `to` must be valid.
#[inline(always)]
pub(crate) unsafe fn copy_all_but_tag(from: &Packet, to: *mut Packet) {
    const WORDS: usize = size_of::<Packet>() / 8;
    let from = (&raw const *from).cast::<u64>();
    let mut word = 1;
    while word < WORDS {
        // SAFETY: both are packets, and the tag is the first word.
        unsafe {
            core::ptr::write_volatile(to.cast::<u64>().add(word), from.add(word).read_volatile());
        }
        word += 1;
    }
}
