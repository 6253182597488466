//! Segmentation and merging offloads of a device, by the ethtool ioctl.

use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use nix::libc;

use crate::namespace::{Ns, socket_to_ask};

/// What a device may do to several segments at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// TCP segmentation by the device (`tso`).
    Tso,
    /// Segmentation just before the device (`gso`).
    Gso,
    /// Merging of received segments (`gro`); veth then receives by NAPI.
    Gro,
    /// Checksums of sent packets by the device (`tx`); without it there is no TSO.
    TxChecksum,
}

impl Offload {
    /// The command number of linux/ethtool.h.
    fn command(self) -> u32 {
        match self {
            Self::Tso => 0x1f,
            Self::Gso => 0x24,
            Self::Gro => 0x2c,
            Self::TxChecksum => 0x17,
        }
    }
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// The part of `struct ifreq` that `SIOCETHTOOL` uses, padded to its size.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: *mut Value,
    rest: [u8; 16],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

nix::ioctl_readwrite_bad!(ethtool, libc::SIOCETHTOOL, Request);

impl Ns {
    /// Turns an offload of a device on or off.
    pub fn offload(&self, dev: &str, offload: Offload, on: bool) -> Result<()> {
        self.run(|| set(dev, offload, on))
            .with_context(|| format!("set {offload:?} of {dev} in {}", self.name()))
    }
}

fn set(dev: &str, offload: Offload, on: bool) -> Result<()> {
    ensure!(dev.len() < libc::IFNAMSIZ, "the name {dev} is too long");
    let socket = socket_to_ask()?;
    let mut value = Value {
        command: offload.command(),
        data: u32::from(on),
    };
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        value: &raw mut value,
        rest: [0; 16],
    };
    request.name[..dev.len()].copy_from_slice(dev.as_bytes());
    // SAFETY: `request` has the size of an ifreq and its pointer leads to a live `Value`, which
    // is what these commands read (net/ethtool/ioctl.c, `ethtool_set_value`).
    unsafe { ethtool(socket.as_raw_fd(), &raw mut request) }?;
    Ok(())
}
