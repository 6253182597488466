//! Probes as bytes, and what answers to them say.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use crate::model::probe::Says;

const TCP: u8 = 6;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A TCP header with one option: the largest segment.
const TCP_LEN: usize = 24;
const MSS: [u8; 4] = [2, 4, 0x05, 0xb4];

/// Numbers of probes as TCP sequence numbers, from a random one on, so that an answer says which probe
/// it is for, and nobody else's passes for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence(u32);

impl Sequence {
    pub(super) fn random() -> Self {
        Self(RandomState::new().build_hasher().finish() as u32)
    }

    pub(super) fn of(self, number: usize) -> u32 {
        self.0.wrapping_add(number as u32)
    }

    /// The number, of so many, that has this sequence number.
    pub(super) fn number(self, sequence: u32, count: usize) -> Option<usize> {
        let number = sequence.wrapping_sub(self.0) as usize;
        (number < count).then_some(number)
    }
}

/// Both ends of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
}

/// A SYN with its IP header; the kernel fills in IPv4's length, identification and checksum.
pub(super) fn syn(ends: Ends, ttl: u8, sequence: u32) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(TCP_LEN);
    tcp.extend(ends.source_port.to_be_bytes());
    tcp.extend(ends.destination_port.to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(0u32.to_be_bytes());
    tcp.extend([(TCP_LEN as u8 / 4) << 4, SYN]);
    tcp.extend(64_240u16.to_be_bytes());
    tcp.extend([0; 4]);
    tcp.extend(MSS);
    let sum = checksum(ends, &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());

    let mut packet = match (ends.source, ends.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut ip = vec![
                0x45,
                0,
                0,
                (20 + TCP_LEN) as u8,
                0,
                0,
                0x40,
                0,
                ttl,
                TCP,
                0,
                0,
            ];
            ip.extend(source.octets());
            ip.extend(destination.octets());
            ip
        }
        (source, destination) => {
            // Some choose ways by the flow label: the same for all probes of a port.
            let [high, low] = ends.source_port.to_be_bytes();
            let mut ip = vec![0x60, 0, high, low, 0, TCP_LEN as u8, TCP, ttl];
            ip.extend(octets(source));
            ip.extend(octets(destination));
            ip
        }
    };
    packet.extend(tcp);
    packet
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(it) => it.octets().to_vec(),
        IpAddr::V6(it) => it.octets().to_vec(),
    }
}

/// Of a TCP segment and its pseudo header (RFC 9293, RFC 8200).
fn checksum(ends: Ends, segment: &[u8]) -> u16 {
    let mut all = octets(ends.source);
    all.extend(octets(ends.destination));
    all.extend((segment.len() as u32).to_be_bytes());
    all.extend([0, 0, 0, TCP]);
    all.extend(segment);
    let words = all
        .chunks(2)
        .map(|it| u32::from(u16::from_be_bytes([it[0], it.get(1).copied().unwrap_or(0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// What an answer is for, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The source port of the probe.
    pub(super) port: u16,
    /// Its sequence number.
    pub(super) sequence: u32,
    pub(super) says: Says,
}

/// What a TCP segment of the other end says; none where it is no answer to a probe.
pub(super) fn of_tcp(segment: &[u8], from_port: u16) -> Option<Answered> {
    let (source, port) = (word(segment, 0)?, word(segment, 2)?);
    let flags = *segment.get(13)?;
    let says = match flags & (SYN | RST | ACK) {
        it if it == SYN | ACK => Says::Accepts,
        it if it == RST | ACK => Says::Refuses,
        _ => return None,
    };
    (source == from_port).then_some(Answered {
        port,
        sequence: long(segment, 8)?.wrapping_sub(1),
        says,
    })
}

/// What an ICMP message says of a probe; none where it speaks of anything else.
pub(super) fn of_icmp(message: &[u8], ends: Ends) -> Option<Answered> {
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let is_v4 = ends.destination.is_ipv4();
    let says = match (is_v4, kind) {
        (true, 11) | (false, 3) if code == 0 => Says::Expired,
        (true, 3) | (false, 1) => Says::Unreachable(code),
        _ => return None,
    };
    let quoted = message.get(8..)?;
    let (destination, segment) = if is_v4 {
        let length = usize::from(quoted.first()? & 0x0f) * 4;
        if *quoted.get(9)? != TCP {
            return None;
        }
        (quoted.get(16..20)?, quoted.get(length..)?)
    } else {
        if *quoted.get(6)? != TCP {
            return None;
        }
        (quoted.get(24..40)?, quoted.get(40..)?)
    };
    let is_ours =
        destination == octets(ends.destination) && word(segment, 2)? == ends.destination_port;
    is_ours.then_some(Answered {
        port: word(segment, 0)?,
        sequence: long(segment, 4)?,
        says,
    })
}

/// What stands behind an IPv4 header.
pub(super) fn behind_ipv4(packet: &[u8]) -> Option<&[u8]> {
    packet.get(usize::from(packet.first()? & 0x0f) * 4..)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(is_v4: bool) -> Ends {
        let [source, destination] = if is_v4 {
            ["10.1.0.2", "10.2.0.2"]
        } else {
            ["fd00:1::2", "fd00:2::2"]
        };
        Ends {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: 40_001,
            destination_port: 5432,
        }
    }

    /// A router's message about a packet.
    fn message(kind: u8, packet: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend(packet);
        message
    }

    #[rstest::rstest]
    fn a_checksum_is_right_where_the_sum_of_all_is_nothing(#[values(true, false)] is_v4: bool) {
        let packet = syn(ends(is_v4), 3, 0x8000_1234);
        let header = if is_v4 { 20 } else { 40 };
        assert_eq!(packet.len(), header + TCP_LEN);
        assert_eq!(checksum(ends(is_v4), &packet[header..]), 0);
    }

    #[rstest::rstest]
    #[case(true, 11)]
    #[case(false, 3)]
    fn a_router_says_which_probe_expired(#[case] is_v4: bool, #[case] kind: u8) {
        let packet = syn(ends(is_v4), 1, u32::MAX);
        // RFC 792 asks for eight bytes behind the header, and no more.
        let quoted = &packet[..packet.len() - TCP_LEN + 8];
        let expired = Answered {
            port: 40_001,
            sequence: u32::MAX,
            says: Says::Expired,
        };
        assert_eq!(of_icmp(&message(kind, quoted), ends(is_v4)), Some(expired));
        let other = Ends {
            destination_port: 80,
            ..ends(is_v4)
        };
        assert_eq!(of_icmp(&message(kind, quoted), other), None);
    }

    #[rstest::rstest]
    #[case(SYN | ACK, Some(Says::Accepts))]
    #[case(RST | ACK, Some(Says::Refuses))]
    #[case(ACK, None)]
    #[case(SYN, None)]
    fn the_other_end_answers(#[case] flags: u8, #[case] says: Option<Says>) {
        let mut segment = vec![0; 20];
        segment[..2].copy_from_slice(&5432u16.to_be_bytes());
        segment[2..4].copy_from_slice(&40_001u16.to_be_bytes());
        segment[8..12].copy_from_slice(&0u32.to_be_bytes());
        segment[13] = flags;
        let answered = of_tcp(&segment, 5432);
        assert_eq!(answered.map(|it| it.says), says);
        assert!(answered.is_none_or(|it| it.sequence == u32::MAX));
        assert_eq!(of_tcp(&segment, 80), None);
    }

    #[test]
    fn numbers_pass_the_largest_sequence_number() {
        let sequence = Sequence(u32::MAX - 1);
        for number in 0..5 {
            assert_eq!(sequence.number(sequence.of(number), 5), Some(number));
        }
        assert_eq!(sequence.number(sequence.of(5), 5), None);
        assert_eq!(sequence.number(sequence.of(0).wrapping_sub(1), 5), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = of_tcp(&bytes, 5432);
            let _ = behind_ipv4(&bytes);
            for is_v4 in [true, false] {
                let _ = of_icmp(&bytes, ends(is_v4));
            }
        }
    }
}
