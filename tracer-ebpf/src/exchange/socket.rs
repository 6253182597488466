//! Reading the kernel's sockets.

use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;

use super::{Seen, sockets};
use crate::{
    kernel::{self, Skb, member},
    maps, table,
};
use tracer_common::{
    hop::Stage,
    layout::{NO_NODE, flag},
};

/// A `struct sock`, as a tracepoint handed it over.
#[derive(Clone, Copy)]
pub(crate) struct Socket(*const u8);

impl Socket {
    #[inline(always)]
    pub(crate) fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    pub(super) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// A number that stands for the address.
    #[inline(always)]
    pub(super) fn tag(self) -> u64 {
        kernel::number(self.0)
    }

    /// What it is told from a later socket at the same address by: both ports and the peer's
    /// address, of IPv6 a part. A connection is forgotten when it closes, so that this has to hold
    /// only where that was missed.
    #[inline(always)]
    pub(super) fn identity(self) -> u64 {
        u64::from(member::<u32>(self.0, sockets!(sk_ports)))
            | u64::from(member::<u32>(self.0, sockets!(sk_peer))) << 32
    }

    /// `TCP_ESTABLISHED` … of `include/net/tcp_states.h`.
    #[inline(always)]
    pub(super) fn state(self) -> u8 {
        member(self.0, sockets!(sk_state))
    }

    /// As a `struct tcp_sock`.
    #[inline(always)]
    pub(super) fn tcp(self) -> Option<Tcp> {
        // SAFETY: the helper checks what kind of socket it is.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.0.cast_mut().cast()) };
        if tcp.is_null() {
            return None;
        }
        Some(Tcp(tcp.cast()))
    }

    /// Writes down who it is and how it sends.
    #[inline(always)]
    pub(super) fn lay_out(self, seen: &mut Seen) {
        self.lay_out_peer(seen);
        seen.route = member::<*const u8>(self.0, sockets!(sk_route)) as u64;
    }

    /// The same of what all sockets have, requests among them.
    #[inline(always)]
    pub(super) fn lay_out_peer(self, seen: &mut Seen) {
        let sk = self.0;
        seen.tag = self.tag();
        seen.identity = self.identity();
        seen.family = u32::from(kernel::Sock::new(sk).family());
        seen.net = member::<*const u8>(sk, sockets!(sk_net)) as u64;
        seen.route = 0;
    }

    /// Writes down both ends, as the peer's packets have them.
    #[inline(always)]
    pub(super) fn lay_out_ends(self, seen: &mut Seen) {
        let sk = self.0;
        let tuple = &mut seen.tuple;
        let ports: u32 = member(sk, sockets!(sk_ports));
        tuple.source_port = u16::from_be(ports as u16);
        tuple.destination_port = (ports >> 16) as u16;
        tuple.protocol = crate::header::TCP;
        tuple.zero = 0;
        let peer: u32 = member(sk, sockets!(sk_peer));
        // An IPv6 socket that talks IPv4 has a mapped address, and the IPv4 one beside it.
        let mapped: u32 = member(sk, sockets!(sk_peer6) + 8);
        if seen.family == 2 || mapped == 0xffff_0000 {
            tuple.family = 4;
            tuple.source = [peer, 0, 0, 0];
            tuple.destination = [member(sk, sockets!(sk_own)), 0, 0, 0];
        } else {
            tuple.family = 6;
            let mut word = 0;
            while word < 4 {
                tuple.source[word as usize] = member(sk, sockets!(sk_peer6) + word * 4);
                tuple.destination[word as usize] = member(sk, sockets!(sk_own6) + word * 4);
                word += 1;
            }
        }
    }
}

/// The socket of a packet, by tag; 0 where it has none.
#[inline(always)]
pub(crate) fn socket_of(skb: Skb) -> u64 {
    if sockets!(known) == 0 {
        return 0;
    }
    let sk: *const u8 = member(skb.pointer(), sockets!(skb_sk));
    if sk.is_null() { 0 } else { kernel::number(sk) }
}

/// A `struct tcp_sock`.
#[derive(Clone, Copy)]
pub(super) struct Tcp(*const u8);

impl Tcp {
    #[inline(always)]
    pub(super) fn srtt(self) -> u32 {
        member(self.0, sockets!(srtt))
    }

    /// Whether the timer sent the segment again.
    #[inline(always)]
    pub(super) fn is_timeout(self) -> bool {
        member::<u8>(self.0, sockets!(timeouts)) != 0
    }

    /// Writes down all that a segment is judged by.
    #[inline(always)]
    pub(super) fn lay_out(self, seen: &mut Seen) {
        let tcp = self.0;
        seen.snd_una = member(tcp, sockets!(snd_una));
        seen.write_seq = member(tcp, sockets!(write_seq));
        seen.rcv_nxt = member(tcp, sockets!(rcv_nxt));
        seen.copied_seq = member(tcp, sockets!(copied_seq));
        seen.snd_wnd = member(tcp, sockets!(snd_wnd));
        seen.rcv_wnd = member(tcp, sockets!(rcv_wnd));
        seen.mss = member(tcp, sockets!(mss));
        seen.srtt = self.srtt();
        seen.rtt_min = member(tcp, sockets!(rtt_min));
        seen.rack_stamp = member(tcp, sockets!(rack_stamp));
        seen.rack_rtt = member(tcp, sockets!(rack_rtt));
        seen.total_retransmits = member(tcp, sockets!(total_retransmits));
        seen.out_of_order = member::<u32>(tcp, sockets!(retransmits_out))
            | member::<u32>(tcp, sockets!(sacked_out));
        seen.dsack_dups = member(tcp, sockets!(dsack_dups));
        seen.reorderings = member(tcp, sockets!(reord_seen));
    }
}

/// Writes down a segment, as TCP noted it in its packet (`tcp_v4_fill_cb`, `net/ipv4/tcp_ipv4.c`).
#[inline(always)]
pub(super) fn lay_out_segment(skb: Skb, seen: &mut Seen) {
    /// `TCPHDR_FIN` of `include/net/tcp.h`.
    const FIN: u8 = 1;
    let cb = |offset| member::<u32>(skb.pointer(), sockets!(skb_cb) + offset);
    seen.seq = cb(sockets!(cb_seq));
    seen.end = cb(sockets!(cb_end_seq));
    seen.ack = cb(sockets!(cb_ack_seq));
    let flags: u8 = member(skb.pointer(), sockets!(skb_cb) + sockets!(cb_flags));
    seen.end = seen.end.wrapping_sub(u32::from(flags & FIN));
    seen.payload = seen.end.wrapping_sub(seen.seq);
}

/// Writes down where on the route tree a packet is, and when it came there.
#[inline(always)]
pub(super) fn lay_out_place(tag: u64, seen: &mut Seen) {
    seen.node = NO_NODE;
    seen.now = 0;
    if let Some(set) = table::set_of(tag)
        && let Some(packet) = table::entry_of(set, tag)
    {
        seen.node = packet.node;
        // That of a packet that is not followed is as old as its first hop, and of one that is only
        // counted nearly right.
        let is_timed = packet.flags & flag::UNTIMED == 0;
        if packet.node != NO_NODE && packet.stage == Stage::Deliver as u8 && is_timed {
            seen.now = packet.last_ns;
        }
    }
}

/// The room that a program has on this CPU, with its index.
#[inline(always)]
pub(super) fn room(program: u32) -> Option<(u32, &'static mut Seen)> {
    let index = maps::scratch_index(kernel::cpu(), program);
    Some((index, super::seen(index)?))
}
