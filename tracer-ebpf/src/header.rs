//! A packet's headers, read once where it is born: addresses, ports, and what it is recognised by.

use tracer_common::layout::Tuple;

use crate::{
    kernel::{self, Bytes, Skb, setting},
    maps::{self, FRAGMENT_MASK, FRAGMENTS, Scratch},
};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

/// What is known of a packet from its headers.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Header {
    pub(crate) tuple: Tuple,
    /// What NAT, GRO and forwarding leave as it is: IP ID, fragment offset, sequence numbers, the
    /// first words of a payload.
    pub(crate) fingerprint: u64,
    /// All that a wire leaves as it is: the fingerprint, addresses, ports, lengths, TCP options.
    pub(crate) mark: u64,
    /// The flow: addresses, ports and protocol.
    pub(crate) flow: u64,
    /// TCP's sequence number, else the IP ID: what tells the segments of one packet apart.
    pub(crate) sequence: u32,
    /// Bytes above the transport header; above the IP header where there is none.
    pub(crate) payload: u32,
    /// 1 for a fragment.
    pub(crate) fragment: u32,
    pub(crate) spare: u32,
}

const IPV4: u16 = 0x0800u16.to_be();
const IPV6: u16 = 0x86ddu16.to_be();
const VLAN: u16 = 0x8100u16.to_be();
const SERVICE_VLAN: u16 = 0x88a8u16.to_be();

#[inline(always)]
pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    // The finaliser's constant of MurmurHash3, and one round of it: enough to spread a header.
    let hash = (hash ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 32
}

/// Notes where a packet's headers are, for [`parse_header`].
#[inline(always)]
pub(crate) fn point(skb: Skb, scratch: &mut Scratch, at_data: bool) {
    let network = if at_data {
        skb.data()
    } else {
        skb.network_header()
    };
    scratch.network = network.address();
    scratch.end = skb.data().add(u64::from(skb.head_len())).address();
    scratch.protocol = u32::from(skb.protocol());
    scratch.at_data = u32::from(at_data);
    scratch.is_read = 0;
    if setting!(direct_head) != 0 && !is_vlan(skb.protocol()) {
        network.read(&mut scratch.raw);
        scratch.is_read = 1;
    }
}

#[inline(always)]
fn is_vlan(protocol: u16) -> bool {
    protocol == VLAN || protocol == SERVICE_VLAN
}

/// Reads the headers that the scratch points to into it; 0 where they can't be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_header(index: u32) -> u32 {
    maps::scratch(index).map_or(0, |scratch| u32::from(parse(scratch)))
}

/// The same, inlined where most packets come by; false where they can't be read.
#[inline(always)]
pub(crate) fn parse(scratch: &mut Scratch) -> bool {
    let mut protocol = scratch.protocol as u16;
    let network = network(scratch);
    if is_vlan(protocol) {
        protocol = network.before(2).fetch_u16();
    }
    let linear = Bytes::at(scratch.end).since(network) as u32;
    let header = &mut scratch.header;
    header.fragment = 0;
    header.sequence = 0;
    clear(&mut header.tuple);
    // What was read serves once: parsing moves it.
    let is_read = scratch.is_read != 0;
    scratch.is_read = 0;
    if linear > 0xffff || !is_read && !fetch(&mut scratch.raw, network) {
        return false;
    }
    let layer = if protocol == IPV4 && linear >= 20 {
        ipv4(scratch, network)
    } else if protocol == IPV6 && linear >= 40 {
        ipv6(scratch, network)
    } else {
        let raw = &scratch.raw;
        let mut hash = mix(u64::from(protocol), words(raw[0], raw[1]));
        hash = mix(hash, words(raw[2], raw[3]));
        hash = mix(hash, words(raw[4], raw[5]));
        scratch.header.fingerprint = hash;
        scratch.header.mark = mix(hash, u64::from(raw[6]));
        scratch.header.flow = u64::from(protocol);
        scratch.header.payload = linear;
        return true;
    };
    transport(scratch, linear, layer);
    true
}

/// A number that stands for the packet that the scratch points to, of which all values are as likely;
/// none where it can't be read.
///
/// By what does not change on its way, so that all of its births and all hosts draw the same: by its
/// flow alone a single large one would be all or nothing. Of a header that [`parse`] did not see yet,
/// since most packets need no more than this where few are followed.
#[inline(always)]
pub(crate) fn draw(scratch: &mut Scratch) -> Option<u32> {
    let network = network(scratch);
    if scratch.is_read == 0 && !fetch(&mut scratch.raw, network) {
        return None;
    }
    scratch.is_read = 1;
    let raw = &scratch.raw;
    let linear = Bytes::at(scratch.end).since(network) as u32;
    let mut hash;
    let protocol;
    let upper;
    let packet;
    let length;
    if raw[0] & 0xf0 == 0x60 {
        hash = mix(words(raw[2], raw[3]), words(raw[4], raw[5]));
        hash = mix(hash, words(raw[6], raw[7]));
        hash = mix(hash, words(raw[8], raw[9]));
        protocol = raw[1] >> 16 & 0xff;
        upper = &raw[UPPER..];
        packet = u32::from_be(raw[1]) >> 16;
        length = 40;
    } else {
        // The identification and the fragment's offset; of what is not IP these are some bytes of it.
        hash = mix(u64::from(raw[1]), words(raw[3], raw[4]));
        protocol = raw[2] >> 8 & 0xff;
        upper = &raw[5..];
        packet = (u32::from_be(raw[0]) & 0xffff).saturating_sub(20);
        length = 20;
    }
    // What lies behind the packet is another one's.
    let there = linear.saturating_sub(length).min(packet);
    // Ports, and what tells two packets of a flow apart: sequence numbers, or the beginning of a
    // payload. Not UDP's length and checksum, which may be written later.
    hash = mix(hash, u64::from(upper[0]));
    if protocol == u32::from(TCP) {
        hash = mix(hash, words(upper[1], upper[2]));
    } else if there >= 24 {
        hash = mix(hash, words(upper[2], upper[3]));
        hash = mix(hash, words(upper[4], upper[5]));
        if there >= 40 {
            hash = mix(hash, words(upper[6], upper[7]));
            hash = mix(hash, words(upper[8], upper[9]));
        }
    } else if there >= 12 {
        hash = mix(hash, u64::from(upper[2]));
    }
    // Once more: numbers that follow one another must not come out evenly spaced.
    hash = mix(hash, u64::from(protocol));
    // Fibonacci hashing: the upper half has all bits.
    Some((hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32)
}

/// The protocol that a packet names first whose headers [`draw`] read: IPv6's may be an extension.
#[inline(always)]
pub(crate) fn protocol(scratch: &Scratch) -> u8 {
    let raw = &scratch.raw;
    let is_v6 = raw[0] & 0xf0 == 0x60;
    (if is_v6 { raw[1] >> 16 } else { raw[2] >> 8 }) as u8
}

/// Where the network header of what the scratch points to is, behind a VLAN tag if there is one.
#[inline(always)]
pub(crate) fn network(scratch: &Scratch) -> Bytes {
    let network = Bytes::at(scratch.network);
    if is_vlan(scratch.protocol as u16) && scratch.at_data != 0 {
        network.add(4)
    } else {
        network
    }
}

/// Word by word: a call to `memset` would cost a frame of the stack.
#[inline(always)]
fn clear(tuple: &mut Tuple) {
    const WORDS: usize = size_of::<Tuple>() / 4;
    let words = (&raw mut *tuple).cast::<u32>();
    let mut word = 0;
    while word < WORDS {
        // SAFETY: within the tuple, for which zeros are valid.
        unsafe { core::ptr::write_volatile(words.add(word), 0) };
        word += 1;
    }
}

/// Where the transport header is put, in words, and how much of it is read.
pub(crate) const UPPER: usize = 10;
const UPPER_WORDS: usize = 10;

/// The network layer's part.
#[derive(Clone, Copy)]
struct Layer {
    /// The length of its header.
    length: u32,
    /// The whole packet's length; 0 where it is told elsewhere (BIG TCP).
    total: u32,
    /// The fragment's identification.
    id: u32,
    /// The fragment's offset in bytes.
    offset: u32,
}

#[inline(always)]
pub(crate) fn words(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Copies the first 80 bytes: both IP headers without options, and TCP's with 20 bytes of options.
///
/// It may read beyond the packet's end, never beyond the buffer's, which ends with 320 bytes of
/// `skb_shared_info`.
#[inline(always)]
fn fetch(raw: &mut [u32; 20], from: Bytes) -> bool {
    kernel::copy(raw.as_mut_ptr(), 20, from)
}

#[inline(always)]
fn ipv4(scratch: &mut Scratch, network: Bytes) -> Layer {
    let raw = &scratch.raw;
    let length = (raw[0] & 15) * 4;
    let word = u32::from_be(raw[1]);
    let fragment = word & 0x3fff;
    let layer = Layer {
        length,
        total: u32::from_be(raw[0]) & 0xffff,
        id: word >> 16,
        offset: (fragment & 0x1fff) * 8,
    };
    let tuple = &mut scratch.header.tuple;
    tuple.family = 4;
    tuple.protocol = (u32::from_be(raw[2]) >> 16) as u8;
    tuple.source[0] = raw[3];
    tuple.destination[0] = raw[4];
    scratch.header.fragment = u32::from(fragment != 0);
    if length == 20 {
        // The transport header to where it is behind IPv6's, from the end on.
        let mut word = UPPER_WORDS;
        while word > 0 {
            word -= 1;
            scratch.raw[UPPER + word] = scratch.raw[5 + word];
        }
    } else {
        kernel::copy(
            &raw mut scratch.raw[UPPER],
            UPPER_WORDS as u32,
            network.add(u64::from(length & 0x3c)),
        );
    }
    layer
}

/// How many extension headers are followed; Linux sends two at most by itself.
const EXTENSIONS: u32 = 6;

#[inline(always)]
fn ipv6(scratch: &mut Scratch, network: Bytes) -> Layer {
    let raw = &scratch.raw;
    let word = u32::from_be(raw[1]);
    let payload = word >> 16;
    let mut next = (word >> 8) as u8;
    let mut layer = Layer {
        length: 40,
        total: if payload == 0 { 0 } else { payload + 40 },
        // The flow label stays the same through forwarding, and is 0 where there is none.
        id: u32::from_be(raw[0]) & 0xf_ffff,
        offset: 0,
    };
    let tuple = &mut scratch.header.tuple;
    tuple.family = 6;
    let mut index = 0;
    while index < 4 {
        tuple.source[index] = raw[2 + index];
        tuple.destination[index] = raw[6 + index];
        index += 1;
    }
    let mut fragment = 0;
    let mut extensions = 0;
    while extensions < EXTENSIONS {
        // Hop-by-hop, routing, fragment, authentication, destination options (RFC 8200, RFC 4302).
        if next != 0 && next != 43 && next != 44 && next != 51 && next != 60 {
            break;
        }
        // Room of the scratch that nobody needs now.
        let head = &mut scratch.address;
        kernel::copy(
            head.as_mut_ptr(),
            2,
            network.add(u64::from(layer.length & 0xfff)),
        );
        let first = u32::from_be(head[0]);
        let length = (first >> 16) & 0xff;
        layer.length += if next == 44 {
            fragment = 1;
            layer.offset = first & 0xfff8;
            layer.id = u32::from_be(head[1]);
            8
        } else if next == 51 {
            (length + 2) * 4
        } else {
            (length + 1) * 8
        };
        next = (first >> 24) as u8;
        extensions += 1;
    }
    scratch.header.tuple.protocol = next;
    scratch.header.fragment = fragment;
    if extensions > 0 {
        kernel::copy(
            &raw mut scratch.raw[UPPER],
            UPPER_WORDS as u32,
            network.add(u64::from(layer.length & 0xfff)),
        );
    }
    layer
}

#[inline(always)]
fn transport(scratch: &mut Scratch, linear: u32, layer: Layer) {
    let upper = &scratch.raw[UPPER..];
    let header = &mut scratch.header;
    let total = if layer.total == 0 {
        linear
    } else {
        layer.total
    };
    let packet = total.saturating_sub(layer.length);
    // Bytes that are there to be read, of this packet and not behind it.
    let there = linear.saturating_sub(layer.length).min(packet);
    let protocol = header.tuple.protocol;
    let mut own = 0;
    let mut fingerprint = words(layer.id, layer.offset);
    let mut rest = u64::from(packet);
    header.sequence = layer.id;
    if layer.offset != 0 {
        fingerprint = mix(fingerprint, 1);
    } else if protocol == TCP && there >= 20 {
        let lengths = u32::from_be(upper[3]);
        own = (lengths >> 28) * 4;
        header.sequence = u32::from_be(upper[1]);
        fingerprint = mix(fingerprint, words(upper[1], upper[2]));
        rest = mix(rest, u64::from(lengths & 0xff_0000));
        // Options hold the timestamps, which tell acknowledgements apart.
        if there >= 32 && own >= 32 {
            rest = mix(rest, words(upper[5], upper[6]));
            rest = mix(rest, u64::from(upper[7]));
        }
        if there >= 40 && own >= 40 {
            rest = mix(rest, words(upper[8], upper[9]));
        }
    } else if protocol == UDP && there >= 8 {
        own = 8;
        if there >= 24 {
            fingerprint = mix(fingerprint, words(upper[2], upper[3]));
            fingerprint = mix(fingerprint, words(upper[4], upper[5]));
        } else if there >= 12 {
            fingerprint = mix(fingerprint, u64::from(upper[2]));
        }
        if there >= 40 {
            rest = mix(rest, words(upper[6], upper[7]));
            rest = mix(rest, words(upper[8], upper[9]));
        }
    } else if (protocol == ICMP || protocol == ICMPV6) && there >= 8 {
        own = 8;
        // The checksum and the identifier change with NAT, type, code and sequence don't.
        fingerprint = mix(
            fingerprint,
            words(upper[0] & 0xffff, upper[1] & 0xffff_0000),
        );
        if there >= 24 {
            rest = mix(rest, words(upper[2], upper[3]));
            rest = mix(rest, words(upper[4], upper[5]));
        }
    } else if there >= 8 {
        fingerprint = mix(fingerprint, words(upper[0], upper[1]));
    }
    if layer.offset == 0 && (protocol == TCP || protocol == UDP) && there >= 4 {
        let ports = u32::from_be(upper[0]);
        header.tuple.source_port = (ports >> 16) as u16;
        header.tuple.destination_port = ports as u16;
    }
    header.payload = if header.fragment == 0 {
        packet.saturating_sub(own)
    } else {
        packet
    };
    header.fingerprint = mix(fingerprint, u64::from(protocol));
    if header.fragment != 0 && (protocol == TCP || protocol == UDP) {
        fragment_ports(header, layer);
    }
    let tuple = &header.tuple;
    let mut flow = mix(
        words(tuple.source[0], tuple.destination[0]),
        u64::from(protocol),
    );
    if tuple.family == 6 {
        flow = mix(flow, words(tuple.source[1], tuple.destination[1]));
        flow = mix(flow, words(tuple.source[2], tuple.destination[2]));
        flow = mix(flow, words(tuple.source[3], tuple.destination[3]));
    }
    flow = mix(
        flow,
        words(
            u32::from(tuple.source_port),
            u32::from(tuple.destination_port),
        ),
    );
    header.flow = flow;
    header.mark = mix(mix(header.fingerprint, flow), rest);
}

/// Later fragments have no ports: the first one's are remembered for them.
#[inline(always)]
fn fragment_ports(header: &mut Header, layer: Layer) {
    let tuple = &mut header.tuple;
    let mut mark = mix(
        words(tuple.source[0], tuple.destination[0]),
        u64::from(layer.id),
    );
    mark = mix(mark, words(tuple.source[3], tuple.destination[3]));
    mark = mix(mark, u64::from(tuple.protocol));
    let Some(known) = FRAGMENTS.get_ptr_mut(mark as u32 & FRAGMENT_MASK) else {
        return;
    };
    let mark = (mark >> 32) as u32;
    // SAFETY: one aligned word of the map: the mark above, the ports below.
    unsafe {
        if layer.offset == 0 {
            let ports = u32::from(tuple.source_port) << 16 | u32::from(tuple.destination_port);
            core::ptr::write_volatile(known, words(ports, mark));
        } else {
            let known = core::ptr::read_volatile(known);
            if known >> 32 == u64::from(mark) {
                tuple.source_port = (known >> 16) as u16;
                tuple.destination_port = known as u16;
            }
        }
    }
}

/// What the segments of a packet that is split are recognised by, in their flow.
#[inline(always)]
pub(crate) fn segment_mark(flow: u64, sequence: u32) -> u64 {
    mix(mix(flow, 0x5e9), u64::from(sequence)) | 1
}

/// Whether only some packets are asked for.
#[inline(always)]
pub(crate) fn has_filter() -> bool {
    setting!(filter_protocols) != 0 || setting!(filter_port) != 0 || setting!(filter_family) != 0
}

/// Whether the packet is one that the filter asks for; all are where there is none.
#[inline(always)]
pub(crate) fn is_wanted(header: &Header) -> bool {
    let tuple = &header.tuple;
    if setting!(filter_protocols) != 0 {
        let protocol = known_protocol(tuple.protocol);
        if u32::from(protocol) != setting!(filter_protocol) {
            return false;
        }
    }
    let port = setting!(filter_port);
    if port != 0
        && u32::from(tuple.source_port) != port
        && u32::from(tuple.destination_port) != port
    {
        return false;
    }
    let family = setting!(filter_family);
    family == 0
        || u32::from(tuple.family) == family
            && (is_in_prefix(&tuple.source) || is_in_prefix(&tuple.destination))
}

#[inline(always)]
fn is_in_prefix(address: &[u32; 4]) -> bool {
    address[0] & setting!(filter_mask[0]) == setting!(filter_address[0])
        && address[1] & setting!(filter_mask[1]) == setting!(filter_address[1])
        && address[2] & setting!(filter_mask[2]) == setting!(filter_address[2])
        && address[3] & setting!(filter_mask[3]) == setting!(filter_address[3])
}

/// The protocol as classes know it: TCP, UDP, ICMP of both families as one, 0 for all others.
#[inline(always)]
pub(crate) fn known_protocol(protocol: u8) -> u8 {
    match protocol {
        TCP | UDP | ICMP => protocol,
        ICMPV6 => ICMP,
        _ => 0,
    }
}
