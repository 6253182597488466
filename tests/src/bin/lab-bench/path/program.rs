//! Programs to compare with, written down as instructions: no compiler stands between.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use nix::libc;

/// `struct bpf_insn` of `include/uapi/linux/bpf.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// The destination in the low half, the source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A program under construction.
#[derive(Default)]
pub(super) struct Code(Vec<Instruction>);

/// Helpers, by their numbers (`include/uapi/linux/bpf.h`).
const MAP_LOOKUP: i32 = 1;
const MAP_UPDATE: i32 = 2;
const KTIME_GET_NS: i32 = 5;

/// Where the stack frame ends.
const FRAME: u8 = 10;

impl Code {
    fn put(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> usize {
        self.0.push(Instruction {
            code,
            registers: to | from << 4,
            offset,
            immediate,
        });
        self.0.len() - 1
    }

    fn set(&mut self, to: u8, value: i32) {
        self.put(0xb7, to, 0, 0, value);
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.put(0xbf, to, from, 0, 0);
    }

    fn add(&mut self, to: u8, value: i32) {
        self.put(0x07, to, 0, 0, value);
    }

    fn load(&mut self, to: u8, from: u8, offset: i16) {
        self.put(0x79, to, from, offset, 0);
    }

    fn store(&mut self, to: u8, offset: i16, from: u8) {
        self.put(0x7b, to, from, offset, 0);
    }

    fn call(&mut self, helper: i32) {
        self.put(0x85, 0, 0, 0, helper);
    }

    /// The first two arguments: a map, and an address on the stack.
    fn map_and_key(&mut self, map: RawFd, key: i32) {
        // A load of 64 bits takes two; 1 is BPF_PSEUDO_MAP_FD.
        self.put(0x18, 1, 1, 0, map);
        self.put(0, 0, 0, 0, 0);
        self.copy(2, FRAME);
        self.add(2, key);
    }

    /// Jumps forward if a register is 0; [`Code::land`] says where to.
    fn jump_if_zero(&mut self, register: u8) -> usize {
        self.put(0x15, register, 0, 0, 0)
    }

    fn land(&mut self, jump: usize) {
        let distance = self.0.len() - jump - 1;
        self.0[jump].offset = i16::try_from(distance).expect("these programs are short");
    }

    fn end(&mut self) {
        self.set(0, 0);
        self.put(0x95, 0, 0, 0, 0);
    }
}

/// A program that does nothing.
pub(super) fn empty() -> Code {
    let mut code = Code::default();
    code.end();
    code
}

/// A program that reads the clock.
pub(super) fn clock() -> Code {
    let mut code = Code::default();
    code.call(KTIME_GET_NS);
    code.end();
    code
}

/// The maps of [`hash`].
pub(super) struct HashMaps {
    times: OwnedFd,
    buckets: OwnedFd,
}

impl HashMaps {
    pub(super) fn new() -> Result<Self> {
        const HASH: u32 = 1;
        const PERCPU_ARRAY: u32 = 6;
        Ok(Self {
            times: create_map(HASH, 8, 8, 1 << 16)?,
            buckets: create_map(PERCPU_ARRAY, 4, 8, 64)?,
        })
    }
}

/// What one writes first: the time of the last hop in a hash map by the address of the `sk_buff`,
/// and a histogram by powers of two.
pub(super) fn hash(maps: &HashMaps) -> Code {
    const KEY: i16 = -8;
    const NOW: i16 = -16;
    const BUCKET: i16 = -24;
    let (times, buckets) = (maps.times.as_raw_fd(), maps.buckets.as_raw_fd());
    let mut code = Code::default();
    // The first argument of each of these tracepoints is the sk_buff.
    code.load(6, 1, 0);
    code.store(FRAME, KEY, 6);
    code.call(KTIME_GET_NS);
    code.store(FRAME, NOW, 0);
    code.copy(7, 0);
    code.map_and_key(times, i32::from(KEY));
    code.call(MAP_LOOKUP);
    let is_first = code.jump_if_zero(0);
    code.load(8, 0, 0);
    // r7 -= r8; r9 = log2(r7)
    code.put(0x1f, 7, 8, 0, 0);
    code.set(9, 0);
    for bits in [32, 16, 8, 4, 2, 1] {
        code.copy(1, 7);
        code.put(0x77, 1, 0, 0, bits);
        let is_less = code.jump_if_zero(1);
        code.copy(7, 1);
        code.add(9, bits);
        code.land(is_less);
    }
    code.store(FRAME, BUCKET, 9);
    code.map_and_key(buckets, i32::from(BUCKET));
    code.call(MAP_LOOKUP);
    let is_missing = code.jump_if_zero(0);
    code.load(1, 0, 0);
    code.add(1, 1);
    code.store(0, 0, 1);
    code.land(is_missing);
    code.land(is_first);
    code.map_and_key(times, i32::from(KEY));
    code.copy(3, FRAME);
    code.add(3, i32::from(NOW));
    code.set(4, 0);
    code.call(MAP_UPDATE);
    code.end();
    code
}

/// A program at a raw tracepoint; closing it detaches it.
pub(super) struct Attached {
    _program: OwnedFd,
    _link: OwnedFd,
}

impl Code {
    /// Loads it, and attaches it where the kernel has such a tracepoint.
    pub(super) fn attach(&self, tracepoint: &str) -> Result<Attached> {
        const RAW_TRACEPOINT: u32 = 17;
        #[repr(C)]
        #[derive(Default)]
        struct Load {
            kind: u32,
            instructions: u32,
            code: u64,
            license: u64,
            log_level: u32,
            log_size: u32,
            log: u64,
            kernel_version: u32,
            flags: u32,
            name: [u8; 16],
        }
        #[repr(C)]
        struct Open {
            name: u64,
            program: u32,
            zero: u32,
        }
        let mut load = Load {
            kind: RAW_TRACEPOINT,
            instructions: self.0.len() as u32,
            code: self.0.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            ..Load::default()
        };
        // As the kernel keeps the names of programs.
        let name = &tracepoint.as_bytes()[..tracepoint.len().min(15)];
        load.name[..name.len()].copy_from_slice(name);
        let program = bpf(5, &load).with_context(|| format!("load a program for {tracepoint}"))?;
        let terminated = std::ffi::CString::new(tracepoint)?;
        let open = Open {
            name: terminated.as_ptr() as u64,
            program: program.as_raw_fd() as u32,
            zero: 0,
        };
        let link = bpf(17, &open).with_context(|| format!("attach to {tracepoint}"))?;
        Ok(Attached {
            _program: program,
            _link: link,
        })
    }
}

fn create_map(kind: u32, key: u32, value: u32, entries: u32) -> Result<OwnedFd> {
    bpf(0, &[kind, key, value, entries, 0]).context("create a map")
}

/// `bpf(2)` with one of the commands that answer with a file.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes live as long as the call and have the size that is given; what the
    // kernel writes of them it does not write for these commands.
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
