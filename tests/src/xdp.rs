//! An XDP program that takes a share of a device's packets away before any hop sees them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use nix::libc;

use crate::namespace::Ns;

/// Takes packets away from a device; dropping it lets all pass again.
pub struct Thief {
    _link: OwnedFd,
    _program: OwnedFd,
}

/// `struct bpf_insn` of include/uapi/linux/bpf.h: code, registers, offset, immediate.
type Instruction = (u8, u8, i16, i32);

impl Ns {
    /// Takes away so many of each hundred IPv4 packets that a device receives, by the last two digits
    /// of their identifiers, before the driver makes an `sk_buff` of them: they are redirected back
    /// where they came from. The device counts them.
    pub fn steal(&self, device: &str, percent: u8) -> Result<Thief> {
        const PASS: i32 = 2;
        const REDIRECT: i32 = 23;
        /// Where an Ethernet frame has the identifier of its IPv4 header.
        const IDENTIFIER: i16 = 14 + 4;
        let ifindex = self.run(|| number(device))?;
        let code: [Instruction; 15] = [
            // r2 = data, r3 = its end
            (0x61, 0x12, 0, 0),
            (0x61, 0x13, 4, 0),
            // r4 = r2 + 20; if r4 > r3, to the pass
            (0xbf, 0x24, 0, 0),
            (0x07, 4, 0, i32::from(IDENTIFIER) + 2),
            (0x2d, 0x34, 4, 0),
            // r0 = the identifier, of network order, modulo 100
            (0x69, 0x20, IDENTIFIER, 0),
            (0xdc, 0, 0, 16),
            (0x94, 0, 0, 100),
            // if r0 < percent, two further
            (0xa5, 0, 2, i32::from(percent)),
            (0xb7, 0, 0, PASS),
            (0x95, 0, 0, 0),
            // bpf_redirect(ifindex, 0)
            (0xb7, 1, 0, ifindex.cast_signed()),
            (0xb7, 2, 0, 0),
            (0x85, 0, 0, REDIRECT),
            (0x95, 0, 0, 0),
        ];
        let program = load(&code).context("load an XDP program")?;
        let link = self
            .run(|| attach(&program, ifindex))
            .with_context(|| format!("attach an XDP program to {device}"))?;
        Ok(Thief {
            _link: link,
            _program: program,
        })
    }
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        code: u64,
        license: u64,
    }
    const XDP: u32 = 6;
    let words: Vec<u64> = code.iter().map(|it| word(*it)).collect();
    let load = Load {
        kind: XDP,
        instructions: words.len() as u32,
        code: words.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
    };
    bpf(5, &load)
}

fn word((code, registers, offset, immediate): Instruction) -> u64 {
    u64::from(code)
        | u64::from(registers) << 8
        | u64::from(offset as u16) << 16
        | u64::from(immediate as u32) << 32
}

/// A device's number in this thread's namespace.
fn number(device: &str) -> io::Result<u32> {
    let name = CString::new(device).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a terminated name.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        ifindex => Ok(ifindex),
    }
}

fn attach(program: &OwnedFd, ifindex: u32) -> io::Result<OwnedFd> {
    /// `BPF_XDP` of `enum bpf_attach_type`.
    const AT_XDP: u32 = 37;
    /// `XDP_FLAGS_DRV_MODE` of `include/uapi/linux/if_link.h`.
    const BY_THE_DRIVER: u32 = 4;
    bpf(
        28,
        &[program.as_raw_fd() as u32, ifindex, AT_XDP, BY_THE_DRIVER],
    )
}

/// `bpf(2)` with one of the commands that answer with a file.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes live as long as the call and have the size that is given.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attributes,
            size_of::<T>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new file, which is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
