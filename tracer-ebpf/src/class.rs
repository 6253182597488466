//! Which class a new packet belongs to.

use aya_ebpf::maps::lpm_trie::Key;
use tracer_common::{
    layout::{ClassKey, RULES, Rules, Tuple},
    loss::Loss,
};

use crate::{
    header::{Header, known_protocol, mix},
    kernel::{Device, setting},
    log,
    maps::{CLASS_INFO, CLASSES, COMPONENTS, FLOW_MASK, FLOWS, SERVICES, Scratch, claim},
    record,
};

/// The class of the packet whose header is in the scratch, plus one; 0 when there is no room.
#[inline(always)]
pub(crate) fn of(device: Device, scratch: *mut Scratch) -> u32 {
    // SAFETY: the scratch belongs to this program on this CPU.
    let header = unsafe { &(*scratch).header };
    // A flow's class depends on the namespace only where a component does.
    let flow = if setting!(components) != 0 {
        mix(header.flow, device.cookie())
    } else {
        header.flow
    };
    let Some(slot) = FLOWS.get_ptr_mut((flow as u32) & FLOW_MASK) else {
        return 0;
    };
    // The index takes the lower bits, the upper 48 are compared, and the class takes their place.
    let known = unsafe { core::ptr::read_volatile(slot) };
    if (known ^ flow) >> 16 == 0 && known as u16 != 0 {
        return u32::from(known as u16);
    }
    let class = find(device, scratch);
    if class != 0 {
        // SAFETY: one aligned word, so no reader sees half of it.
        unsafe { core::ptr::write_volatile(slot, flow & !0xffff | u64::from(class)) };
    }
    class
}

#[inline(never)]
fn find(device: Device, scratch: *mut Scratch) -> u32 {
    // SAFETY: the scratch belongs to this program on this CPU.
    let scratch = unsafe { &mut *scratch };
    let key = key_of(&scratch.header, device, &mut scratch.class);
    // SAFETY: a value of this map is written once.
    if let Some(&class) = unsafe { CLASSES.get(key) } {
        return class + 1;
    }
    let class = record::claim(claim::CLASS, setting!(classes));
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
            core::ptr::write_volatile(&raw mut (*info).ready, 1);
        }
    }
    log::class(class - 1, u32::from(key.port));
    class
}

#[inline(always)]
fn key_of<'a>(header: &Header, device: Device, key: &'a mut ClassKey) -> &'a ClassKey {
    let tuple = &header.tuple;
    *key = ClassKey::default();
    key.family = tuple.family;
    key.protocol = known_protocol(tuple.protocol);
    let (port, answer) = service(tuple);
    key.port = port;
    key.answer = u32::from(answer);
    let mut source = 0;
    let mut destination = 0;
    if setting!(components) != 0 && tuple.family != 0 {
        source = component(
            tuple.family,
            &tuple.source,
            tuple.source_port,
            device.inode(),
        );
        destination = component(tuple.family, &tuple.destination, tuple.destination_port, 0);
    }
    key.source_component = source;
    key.destination_component = destination;
    if source == 0 {
        key.source = prefix(tuple.family, &tuple.source);
    }
    if destination == 0 {
        key.destination = prefix(tuple.family, &tuple.destination);
    }
    key
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

/// The component that an end belongs to, plus one; 0 for none.
///
/// An inode of 0 fits every component: where a packet is going to, its namespace isn't known yet.
#[inline(always)]
fn component(family: u8, address: &[u32; 4], port: u16, inode: u32) -> u16 {
    let words = if family == 4 {
        [0, 0, 0xffff_0000u32, address[0]]
    } else {
        *address
    };
    let mut data = [0u8; 16];
    let mut index = 0;
    while index < 4 {
        let bytes = words[index].to_ne_bytes();
        data[index * 4] = bytes[0];
        data[index * 4 + 1] = bytes[1];
        data[index * 4 + 2] = bytes[2];
        data[index * 4 + 3] = bytes[3];
        index += 1;
    }
    let Some(Rules { rules }) = COMPONENTS.get(Key::new(128, data)) else {
        return 0;
    };
    let mut index = 0;
    while index < RULES {
        let rule = &rules[index];
        if rule.component == 0 {
            break;
        }
        if (rule.port == 0 || rule.port == port)
            && (rule.inode == 0 || inode == 0 || rule.inode == inode)
        {
            return rule.component;
        }
        index += 1;
    }
    0
}
