//! A kernel that lacks a kind of map: what it says when it is asked for one.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::thread;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command::{Said, tracer};

/// `BPF_MAP_CREATE` and `BPF_MAP_TYPE_RINGBUF` of include/uapi/linux/bpf.h.
const MAP_CREATE: u64 = 0;
const RING_BUFFER: u32 = 27;

/// Runs the command where the kernel answers as one would that knows no ring buffers.
fn without_ring_buffers(arguments: &'static [&str]) -> Said {
    thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        // The thread's own calls are asked about too, and those of what it starts.
        let running = scope.spawn(move || {
            sender.send(ask_about_bpf()).unwrap();
            tracer(arguments).output().unwrap().into()
        });
        let calls = receiver.recv().unwrap();
        let answering = scope.spawn(move || answer(&calls));
        let said = running.join().unwrap();
        assert!(
            answering.join().unwrap() > 0,
            "nobody asked for a ring buffer"
        );
        said
    })
}

/// From now on each `bpf` of this thread waits until it is answered at what is returned
/// (`seccomp_unotify(2)`).
fn ask_about_bpf() -> OwnedFd {
    // The number of the call stands first in `struct seccomp_data`.
    // SAFETY: these only compose numbers.
    let filter = unsafe {
        [
            libc::BPF_STMT((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0),
            libc::BPF_JUMP(
                (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
                libc::SYS_bpf as u32,
                0,
                1,
            ),
            libc::BPF_STMT(
                (libc::BPF_RET | libc::BPF_K) as u16,
                libc::SECCOMP_RET_USER_NOTIF,
            ),
            libc::BPF_STMT(
                (libc::BPF_RET | libc::BPF_K) as u16,
                libc::SECCOMP_RET_ALLOW,
            ),
        ]
    };
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its filter live as long as the call.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    assert!(listener >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel made it for this call, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(listener as i32) }
}

/// Refuses ring buffers and lets everything else pass, until nobody is left to ask; returns how many it
/// refused.
fn answer(calls: &OwnedFd) -> u32 {
    let mut refused = 0;
    loop {
        let mut waited = [PollFd::new(calls.as_fd(), PollFlags::POLLIN)];
        poll(&mut waited, PollTimeout::NONE).unwrap();
        if !waited[0].revents().unwrap().contains(PollFlags::POLLIN) {
            return refused;
        }
        // SAFETY: a structure of numbers, for which zeros are valid, and which the kernel asks for.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request takes a structure of this type.
        let came = unsafe {
            libc::ioctl(
                calls.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut call,
            )
        };
        if came != 0 {
            // Whoever asked was ended meanwhile.
            continue;
        }
        let is_refused = call.data.args[0] == MAP_CREATE && kind(&call) == Some(RING_BUFFER);
        refused += u32::from(is_refused);
        let (error, flags) = if is_refused {
            (-libc::EINVAL, 0)
        } else {
            (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32)
        };
        let mut reply = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error,
            flags,
        };
        // Whoever asked may have been ended meanwhile.
        // SAFETY: the request takes a structure of this type.
        let _ = unsafe {
            libc::ioctl(
                calls.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw mut reply,
            )
        };
    }
}

/// The kind of map that is asked for: the first word of `union bpf_attr`.
fn kind(call: &libc::seccomp_notif) -> Option<u32> {
    let memory = File::open(format!("/proc/{}/mem", call.pid)).ok()?;
    let mut word = [0; 4];
    memory.read_exact_at(&mut word, call.data.args[1]).ok()?;
    Some(u32::from_ne_bytes(word))
}

#[test]
fn a_kernel_without_ring_buffers_is_named_as_the_reason() {
    for arguments in [
        &["routes", "--duration", "1s"][..],
        &["run", "--listen", "127.0.0.1:0", "--socket", ""],
    ] {
        let said = without_ring_buffers(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert_eq!(
            said.err.lines().last(),
            Some(
                "tracer: create the kernel half's maps: this kernel has no ring buffers for programs; \
                 try Linux 5.10 or later"
            ),
            "{said:?}"
        );
    }
    let said = without_ring_buffers(&["doctor"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("no ring buffers"), "{said:?}");
}
