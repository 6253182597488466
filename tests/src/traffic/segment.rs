//! TCP segments that no kernel of this lab would send by itself.

use std::net::SocketAddrV4;

use anyhow::{Context, Result};
use etherparse::{PacketBuilder, TcpOptionElement};

use super::frame::Frames;
use crate::link::Mac;
use crate::namespace::Ns;

/// A segment; its checksums are right.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub sequence: u32,
    /// None in a segment that acknowledges nothing, as the first one.
    pub acknowledges: Option<u32>,
    pub syn: bool,
    /// The timestamp and the one that it echoes (RFC 7323), if it has them.
    pub stamps: Option<(u32, u32)>,
    /// How many bytes it carries.
    pub payload: usize,
}

/// Sends segments out of a device, to the host with this Ethernet address.
pub struct Segments {
    frames: Frames,
    own: Mac,
    to: Mac,
}

impl Segments {
    /// # Errors
    /// When there is no such device, or this process may not open packet sockets.
    pub fn by(ns: &Ns, dev: &str, to: Mac) -> Result<Self> {
        Ok(Self {
            frames: Frames::by(ns, dev)?,
            own: ns.mac(dev)?,
            to,
        })
    }

    /// # Errors
    /// When the kernel does not take it.
    pub fn send(&self, segment: &Segment) -> Result<()> {
        const TTL: u8 = 64;
        const WINDOW: u16 = 64_000;
        let mut packet = PacketBuilder::ethernet2(self.own.0, self.to.0)
            .ipv4(segment.from.ip().octets(), segment.to.ip().octets(), TTL)
            .tcp(
                segment.from.port(),
                segment.to.port(),
                segment.sequence,
                WINDOW,
            );
        if let Some(number) = segment.acknowledges {
            packet = packet.ack(number);
        }
        if segment.syn {
            packet = packet.syn();
        }
        if let Some((own, echo)) = segment.stamps {
            packet = packet.options(&[
                TcpOptionElement::Noop,
                TcpOptionElement::Noop,
                TcpOptionElement::Timestamp(own, echo),
            ])?;
        }
        let mut frame = Vec::new();
        packet.write(&mut frame, &vec![0; segment.payload])?;
        self.frames.send(&frame).context("send a segment")
    }
}
