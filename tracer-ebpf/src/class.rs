//! Which class a new packet belongs to.

use aya_ebpf::maps::lpm_trie::Key;
use tracer_common::{
    layout::{ClassKey, Numbers, RULES, Rules, Tuple},
    loss::Loss,
};

use crate::{
    header::{known_protocol, mix},
    kernel::setting,
    maps::{self, CLASS_INFO, CLASSES, COMPONENTS, FLOW_MASK, FLOWS, SERVICES, Scratch},
    record, tree,
};

/// The class of the packet whose header is in the scratch, plus one; 0 when there is no room.
#[inline(always)]
pub(crate) fn of(scratch: &Scratch, index: u32) -> u32 {
    // A flow's class depends on the namespace only where a component does.
    let flow = if setting!(components) != 0 {
        mix(scratch.header.flow, scratch.cookie)
    } else {
        scratch.header.flow
    };
    let Some(slot) = FLOWS.get_ptr_mut((flow as u32) & FLOW_MASK) else {
        return 0;
    };
    // The index takes the lower bits, the upper 48 are compared, and the class takes their place.
    // SAFETY: one aligned word of the map.
    let known = unsafe { core::ptr::read_volatile(slot) };
    if (known ^ flow) >> 16 == 0 && known as u16 != 0 {
        return u32::from(known as u16);
    }
    let class = find_class(index);
    if class != 0 {
        // SAFETY: one aligned word, so no reader sees half of it.
        unsafe { core::ptr::write_volatile(slot, flow & !0xffff | u64::from(class)) };
    }
    class
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn find_class(index: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    write_class(scratch);
    let key = &scratch.class;
    // SAFETY: a value of this map is written once.
    if let Some(&class) = unsafe { CLASSES.get(key) } {
        return class + 1;
    }
    let claimed = tree::claim(Numbers::Classes);
    let class = claimed as u32;
    if class == 0 {
        record::lose(Loss::Classes);
        return 0;
    }
    if CLASSES.insert(key, class - 1, 1).is_err() {
        // Another CPU was faster, or the map is full.
        // SAFETY: as above.
        return unsafe { CLASSES.get(key) }.map_or(0, |&class| class + 1);
    }
    if let Some(info) = CLASS_INFO.get_ptr_mut(class - 1) {
        // SAFETY: the class is ours alone until it is ready.
        unsafe {
            (*info).key = *key;
            (*info).first = scratch.header.tuple;
            (*info).ticket = (claimed >> 32) as u32;
            core::ptr::write_volatile(&raw mut (*info).ready, 1);
        }
    }
    class
}

/// The class of packets that have the header in the scratch, plus one; 0 where none was ever seen.
///
/// In which namespace they started is not known.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn known_class(index: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let cookie = scratch.cookie;
    scratch.cookie = 0;
    write_class(scratch);
    scratch.cookie = cookie;
    // SAFETY: a value of this map is written once.
    unsafe { CLASSES.get(&scratch.class) }.map_or(0, |&class| class + 1)
}

#[inline(always)]
fn write_class(scratch: &mut Scratch) {
    let tuple = &scratch.header.tuple;
    let key = &mut scratch.class;
    *key = ClassKey::default();
    key.family = tuple.family;
    key.protocol = known_protocol(tuple.protocol);
    let (port, answer) = service(tuple);
    key.port = port;
    key.answer = u32::from(answer);
    if setting!(components) != 0 && tuple.family != 0 {
        let words = &mut scratch.address;
        write_key(words, tuple.family, &tuple.source);
        key.source_component = component(as_key(words), tuple.source_port, scratch.cookie);
        write_key(words, tuple.family, &tuple.destination);
        key.destination_component = component(as_key(words), tuple.destination_port, 0);
    }
    if key.source_component == 0 {
        key.source = prefix(tuple.family, &tuple.source);
    }
    if key.destination_component == 0 {
        key.destination = prefix(tuple.family, &tuple.destination);
    }
}

/// The first address of the prefix that a class is made of: /24 of IPv4, /64 of IPv6.
#[inline(always)]
fn prefix(family: u8, address: &[u32; 4]) -> [u32; 4] {
    if family == 4 {
        [address[0] & 0x00ff_ffffu32.to_le(), 0, 0, 0]
    } else {
        [address[0], address[1], 0, 0]
    }
}

/// The port that tells what the packet is for, and whether it is the source's.
///
/// Listed ports come first, then those that are not ephemeral; of two the lower one, so that both
/// directions agree.
#[inline(always)]
fn service(tuple: &Tuple) -> (u16, bool) {
    let (source, destination) = (tuple.source_port, tuple.destination_port);
    let (source_rank, destination_rank) = (rank(source), rank(destination));
    if source_rank == 0 && destination_rank == 0 {
        (0, false)
    } else if source_rank > destination_rank
        || source_rank == destination_rank && source < destination
    {
        (source, true)
    } else {
        (destination, false)
    }
}

#[inline(always)]
fn rank(port: u16) -> u32 {
    if port == 0 {
        return 0;
    }
    let listed = SERVICES
        .get(u32::from(port >> 6))
        .is_some_and(|word| word >> (port & 63) & 1 != 0);
    if listed {
        2
    } else {
        u32::from(u32::from(port) < setting!(ephemeral_from))
    }
}

/// The component that an end belongs to, plus one; 0 for none. The address is in the scratch.
///
/// A cookie of 0 fits every component: where a packet is going to, its namespace isn't known yet.
#[inline(always)]
fn component(address: &Key<[u8; 16]>, port: u16, cookie: u64) -> u16 {
    let Some(Rules { rules }) = COMPONENTS.get(address) else {
        return 0;
    };
    let mut index = 0;
    while index < RULES {
        let rule = &rules[index];
        if rule.component == 0 {
            break;
        }
        if (rule.port == 0 || rule.port == port)
            && (rule.cookie == 0 || cookie == 0 || rule.cookie == cookie)
        {
            return rule.component;
        }
        index += 1;
    }
    0
}

/// Writes an address as the trie of components takes it: its length, IPv4 mapped into IPv6.
#[inline(always)]
fn write_key(words: &mut [u32; 5], family: u8, address: &[u32; 4]) {
    words[0] = 128;
    if family == 4 {
        words[1] = 0;
        words[2] = 0;
        words[3] = 0xffff_0000;
        words[4] = address[0];
    } else {
        words[1] = address[0];
        words[2] = address[1];
        words[3] = address[2];
        words[4] = address[3];
    }
}

/// The words as the map's key, which is a length and bytes.
#[inline(always)]
fn as_key(words: &[u32; 5]) -> &Key<[u8; 16]> {
    const _: () = assert!(size_of::<Key<[u8; 16]>>() == size_of::<[u32; 5]>());
    // SAFETY: the same size, a smaller alignment, and any bytes are valid.
    unsafe { &*words.as_ptr().cast() }
}
