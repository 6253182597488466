//! Netlink messages, written by hand: the few that a lab needs, and their answers.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::libc::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

const HEADER: usize = 16;
/// `NLA_F_NESTED`: the attribute holds attributes.
const NESTED: u16 = 1 << 15;

/// A request under construction: header, fixed body, attributes.
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A request with an acknowledgement, whose body begins with the family's own header.
    pub(crate) fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        Self::plain(kind, flags | NLM_F_ACK, body)
    }

    /// A request that is not acknowledged: a query, or the edge of a batch.
    pub(crate) fn plain(kind: u16, flags: i32, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend(body);
        Self(bytes)
    }

    pub(crate) fn attr(mut self, kind: u16, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.extend((value.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.align();
        self
    }

    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.attr(kind, value.to_ne_bytes())
    }

    /// A number in network order, as nfnetlink wants them.
    pub(crate) fn big_endian(self, kind: u16, value: u32) -> Self {
        self.attr(kind, value.to_be_bytes())
    }

    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        self.attr(kind, [value.as_bytes(), &[0]].concat())
    }

    pub(crate) fn nest(mut self, kind: u16, inside: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; 4]);
        let mut message = inside(self);
        let len = (message.0.len() - start) as u16;
        message.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        message.0[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        message
    }

    /// A fixed structure inside a nest, before its attributes.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self.align();
        self
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn wants_answer(&self) -> bool {
        i32::from(u16::from_ne_bytes([self.0[6], self.0[7]])) & NLM_F_ACK != 0
    }

    fn finish(&mut self, sequence: u32) {
        let len = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
    }
}

/// A netlink socket; it speaks for the namespace in which it was opened, from any thread.
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open(protocol: SockProtocol) -> Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )
        .context("open a netlink socket")?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Sends one request and waits for its acknowledgement.
    pub(crate) fn ask(&mut self, message: Message) -> io::Result<()> {
        self.batch(vec![message])
    }

    /// Sends several requests at once, as a transaction of nfnetlink, and waits for all.
    pub(crate) fn batch(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let wanted = messages.iter().filter(|m| m.wants_answer()).count();
        self.send(messages)?;
        let mut seen = 0;
        let mut buffer = vec![0; 32 << 10];
        while seen < wanted {
            let len = self.receive(&mut buffer)?;
            for (kind, body) in Messages(&buffer[..len]) {
                if i32::from(kind) == NLMSG_ERROR {
                    acknowledged(body)?;
                    seen += 1;
                }
            }
        }
        Ok(())
    }

    /// Sends a query and returns the body of its one answer.
    pub(crate) fn query(&mut self, message: Message) -> io::Result<Vec<u8>> {
        self.send(vec![message])?;
        let mut buffer = vec![0; 32 << 10];
        let len = self.receive(&mut buffer)?;
        let (kind, body) = Messages(&buffer[..len])
            .next()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if i32::from(kind) == NLMSG_ERROR {
            acknowledged(body)?;
        }
        Ok(body.to_vec())
    }

    fn send(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for mut message in messages {
            self.sequence += 1;
            message.finish(self.sequence);
            bytes.extend(message.0);
        }
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty())?)
    }
}

/// The messages of one datagram: (type, body).
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.get(..HEADER)?;
        let len = u32::from_ne_bytes(header[0..4].try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(header[4..6].try_into().ok()?);
        let body = self.0.get(HEADER..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    }
}

/// The attributes of a body: (type, value).
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.get(..4)?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & !NESTED;
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The verdict of an `NLMSG_ERROR`: zero, or a negative error number.
fn acknowledged(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk().map_or(0, |c| i32::from_ne_bytes(*c));
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(-code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nest_is_as_long_as_its_attributes() {
        let message = Message::new(16, 0, &[]).nest(18, |m| m.text(1, "veth"));
        let nest: Vec<_> = Attributes(&message.0[HEADER..]).collect();
        assert_eq!(nest.len(), 1);
        let (kind, inside) = nest[0];
        assert_eq!(kind, 18);
        assert_eq!(
            Attributes(inside).collect::<Vec<_>>(),
            [(1, &b"veth\0"[..])]
        );
    }

    #[test]
    fn a_refusal_is_an_error_and_a_zero_is_none() {
        assert!(acknowledged(&0i32.to_ne_bytes()).is_ok());
        let refused = acknowledged(&(-17i32).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
