//! Who makes a change that the kernel tells by rtnetlink: what the kernel half writes down in the
//! maker's own context.

/// Processes of an ancestry, the maker's own included.
pub const ANCESTRY: usize = 8;

/// Bytes of a told message that are kept to find it again: its header, and what follows.
pub const HEAD: usize = 64;

/// Places of the table of listening sockets; a power of two.
pub const LISTENERS: usize = 1 << 14;

/// Places, from the one that its cookie names on, in which a listening socket may stand.
pub const LISTENER_WAYS: usize = 8;

/// Bytes of the ring buffer in which [`Making`]s wait for the agent.
pub const RING_BYTES: u32 = 4 << 20;

/// A listening socket of the agent's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// Its cookie; 0 in an empty place.
    pub cookie: u64,
    /// How many [`Making`]s were written down for it.
    pub runs: u64,
}

/// A process, as its `task_struct` says.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// When it was started (`CLOCK_BOOTTIME`, in nanoseconds).
    pub start_ns: u64,
    /// Its number in the first pid namespace.
    pub tgid: u32,
    /// Always 0.
    pub zero: u32,
    /// The name of its first thread, up to a zero.
    pub comm: [u8; 16],
}

/// One message that was put into a listening socket of ours, and by whom.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    /// When (`CLOCK_MONOTONIC`).
    pub at_ns: u64,
    /// The listening socket's cookie.
    pub listener: u64,
    /// The maker's control group (version 2), by inode.
    pub cgroup: u64,
    /// How many of [`Making::ancestry`] are filled.
    pub processes: u32,
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// The maker's user.
    pub uid: u32,
    /// The user that logged in (`/proc/PID/loginuid`), [`NO_USER`] for none.
    pub login_uid: u32,
    /// The last message of the socket's queue, as far as it fits; zeros where the queue was empty.
    pub head: [u8; HEAD],
    /// The maker, its parent, and so on.
    pub ancestry: [Task; ANCESTRY],
}

const _: () = assert!(size_of::<Task>() == 32);
const _: () = assert!(size_of::<Making>() == 40 + HEAD + 32 * ANCESTRY);

/// Nobody logged in.
pub const NO_USER: u32 = u32::MAX;

/// `PF_KTHREAD` of include/linux/sched.h: a thread of the kernel's own.
pub const KERNEL_THREAD: u32 = 0x0020_0000;

/// Where members are that are read of a maker, in bytes, from the running kernel's BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `sock.__sk_common.skc_cookie`
    pub sk_cookie: u32,
    /// `sock.sk_receive_queue`
    pub sk_receive_queue: u32,
    /// `task_struct.group_leader`
    pub group_leader: u32,
    /// `task_struct.real_parent`
    pub real_parent: u32,
    /// `task_struct.tgid`
    pub tgid: u32,
    /// `task_struct.start_boottime`
    pub start: u32,
    /// `task_struct.comm`
    pub comm: u32,
    /// `task_struct.flags`
    pub flags: u32,
    /// `task_struct.cred`
    pub cred: u32,
    /// `cred.uid`
    pub uid: u32,
    /// `task_struct.loginuid`; [`NO_MEMBER`] in a kernel without auditing.
    pub login_uid: u32,
    /// Not used yet.
    pub spare: u32,
}

/// The offset of what a kernel has not.
pub const NO_MEMBER: u32 = u32::MAX;

impl Offsets {
    /// Nothing, as it stands in the object before the agent writes it.
    pub const ZERO: Self = Self {
        sk_cookie: 0,
        sk_receive_queue: 0,
        group_leader: 0,
        real_parent: 0,
        tgid: 0,
        start: 0,
        comm: 0,
        flags: 0,
        cred: 0,
        uid: 0,
        login_uid: 0,
        spare: 0,
    };
}
