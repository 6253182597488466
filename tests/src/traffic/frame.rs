//! Ethernet frames as they are, out of a device.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::namespace::Ns;

/// A packet socket that sends by one device.
pub(super) struct Frames {
    socket: OwnedFd,
    index: u32,
}

impl Frames {
    /// # Errors
    /// When there is no such device, or this process may not open packet sockets.
    pub(super) fn by(ns: &Ns, dev: &str) -> Result<Self> {
        let open = || {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
        };
        Ok(Self {
            socket: ns
                .run(open)
                .context("open a packet socket (are you root?)")?,
            index: ns.index(dev)?,
        })
    }

    /// Sends one; nix has no constructor for link-layer addresses.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), Errno> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: self.index.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: both pointers lead to live memory of the lengths given beside them.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        };
        Errno::result(sent).map(drop)
    }
}
