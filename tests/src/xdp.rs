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
    /// Sends this share of the packets that a device receives back where they came from, in percent,
    /// each by chance, before the driver makes an `sk_buff` of them. The device counts them.
    pub fn steal(&self, device: &str, percent: u8) -> Result<Thief> {
        const PASS: i32 = 2;
        const TX: i32 = 3;
        const GET_PRANDOM_U32: i32 = 7;
        let code: [Instruction; 7] = [
            (0x85, 0, 0, GET_PRANDOM_U32),
            // r0 %= 100, of 32 bits
            (0x94, 0, 0, 100),
            // if r0 < percent, two further
            (0xa5, 0, 2, i32::from(percent)),
            (0xb7, 0, 0, PASS),
            (0x95, 0, 0, 0),
            (0xb7, 0, 0, TX),
            (0x95, 0, 0, 0),
        ];
        let program = load(&code).context("load an XDP program")?;
        let link = self
            .run(|| attach(&program, device))
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

fn attach(program: &OwnedFd, device: &str) -> io::Result<OwnedFd> {
    /// `BPF_XDP` of `enum bpf_attach_type`.
    const AT_XDP: u32 = 37;
    /// `XDP_FLAGS_DRV_MODE` of `include/uapi/linux/if_link.h`.
    const BY_THE_DRIVER: u32 = 4;
    let name = CString::new(device).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a terminated name.
    let ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if ifindex == 0 {
        return Err(io::Error::last_os_error());
    }
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
