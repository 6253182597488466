//! A TUN device: where a wire meets a namespace.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, ensure};
use nix::libc;

use crate::namespace::Ns;

/// Packets that wait in the device while the wire's thread does not run.
const QUEUE: u32 = 16 << 10;

/// The part of `struct ifreq` that `TUNSETIFF` reads, padded to its size.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

nix::ioctl_write_ptr_bad!(attach, libc::TUNSETIFF, Request);

/// Makes a device in the namespace, up; it lives as long as the file. Reading does not block.
pub(super) fn open(ns: &Ns, dev: &str) -> Result<File> {
    let file = ns
        .run(|| make(dev, libc::IFF_TUN))
        .with_context(|| format!("make TUN device {dev} in {}", ns.name()))?;
    ns.queue_len(dev, QUEUE)?;
    ns.up(dev)?;
    Ok(file)
}

impl Ns {
    /// Makes a TAP device, up; it lives as long as the file. What is written is received by the
    /// device, one Ethernet frame each time.
    pub fn tap(&self, dev: &str) -> Result<File> {
        let file = self
            .run(|| make(dev, libc::IFF_TAP))
            .with_context(|| format!("make TAP device {dev} in {}", self.name()))?;
        self.up(dev)?;
        Ok(file)
    }
}

fn make(dev: &str, kind: libc::c_int) -> Result<File> {
    ensure!(dev.len() < libc::IFNAMSIZ, "the name {dev} is too long");
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("open /dev/net/tun")?;
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        flags: (kind | libc::IFF_NO_PI) as i16,
        rest: [0; 22],
    };
    request.name[..dev.len()].copy_from_slice(dev.as_bytes());
    // SAFETY: `request` has the size of an ifreq, and TUNSETIFF writes no more than that back
    // (drivers/net/tun.c, `__tun_chr_ioctl`).
    unsafe { attach(file.as_raw_fd(), &raw const request) }?;
    Ok(file)
}
