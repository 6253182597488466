//! Who makes what the kernel tells by rtnetlink.
//!
//! The kernel puts a notification into each listening socket in the context of whoever made the
//! change (`rtnl_notify`, `nlmsg_multicast`, `do_one_broadcast`, `__netlink_sendskb`): when that
//! socket's `sk_data_ready` runs, the current process is the maker, unless an interrupt is. Which
//! of the two it was the agent tells by what the message says.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_cgroup_id, bpf_get_current_task},
    macros::map,
    maps::{Array, RingBuf},
};
use tracer_common::maker::{
    ANCESTRY, HEAD, LISTENER_WAYS, LISTENERS as PLACES, Listener, Making, NO_MEMBER, NO_USER,
    Offsets, Task,
};

use crate::{
    kernel::{self, Bytes, Sock, copy, fetch},
    record::add,
};

#[unsafe(no_mangle)]
static MAKER_OFFSETS: Offsets = Offsets::ZERO;

/// The agent's listening sockets, whose cookies it writes.
#[map]
static LISTENERS: Array<Listener> = Array::with_max_entries(PLACES as u32, BPF_F_MMAPABLE);

#[map]
static MAKINGS: RingBuf = RingBuf::with_byte_size(1 << 12, 0);

/// An offset, as a constant that the verifier knows.
macro_rules! offset {
    ($member:ident) => {
        // SAFETY: the agent wrote the offsets before the object was loaded; they never change.
        unsafe { core::ptr::read_volatile(&raw const MAKER_OFFSETS.$member) }
    };
}

/// A netlink socket got a message: if it is one of the agent's, who put it there is written down.
#[inline(always)]
pub(crate) fn told(sock: Sock) {
    let cookie = sock.word(offset!(sk_cookie));
    let Some(listener) = listener(cookie) else {
        return;
    };
    let Some(mut entry) = MAKINGS.reserve::<Making>(0) else {
        // The agent misses who made the message, and says so.
        return;
    };
    // SAFETY: the reservation is as large as a `Making`; every member that is read is written.
    unsafe { write(&mut *entry.as_mut_ptr(), cookie, sock) };
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    // Last, so that whoever sees the count finds the entry.
    // SAFETY: the map lives as long as the program.
    unsafe { add(&raw mut (*listener).runs, 1) };
}

#[inline(always)]
fn listener(cookie: u64) -> Option<*mut Listener> {
    let mut way = 0;
    while way < LISTENER_WAYS as u32 {
        let place = (cookie as u32).wrapping_add(way) & (PLACES as u32 - 1);
        let listener = LISTENERS.get_ptr_mut(place)?;
        // SAFETY: a place of the map; the agent writes its cookie as one word.
        let found = unsafe { core::ptr::read_volatile(&raw const (*listener).cookie) };
        if cookie != 0 && found == cookie {
            return Some(listener);
        }
        way += 1;
    }
    None
}

#[inline(always)]
fn write(making: &mut Making, cookie: u64, sock: Sock) {
    // First: the agent may take it out of the queue at any moment.
    making.head = [0; HEAD];
    let queue = sock.address() + u64::from(offset!(sk_receive_queue));
    let last = sock.last_queued();
    // An empty queue points to itself.
    if last.address() != queue {
        copy(making.head.as_mut_ptr(), HEAD as u32, last.data());
    }
    // SAFETY: the helpers have no precondition.
    let (task, cgroup) = unsafe { (bpf_get_current_task(), bpf_get_current_cgroup_id()) };
    making.at_ns = kernel::now();
    making.listener = cookie;
    making.cgroup = cgroup;
    making.task_flags = fetch(task, offset!(flags));
    making.uid = fetch(fetch(task, offset!(cred)), offset!(uid));
    making.login_uid = match offset!(login_uid) {
        NO_MEMBER => NO_USER,
        member => fetch(task, member),
    };
    making.processes = ancestry(task, &mut making.ancestry);
}

/// The processes from the current one up; returns how many.
#[inline(always)]
fn ancestry(mut task: u64, processes: &mut [Task; ANCESTRY]) -> u32 {
    let mut count = 0;
    while count < ANCESTRY {
        let leader: u64 = fetch(task, offset!(group_leader));
        let tgid: u32 = fetch(leader, offset!(tgid));
        if leader == 0 || tgid == 0 {
            break;
        }
        let process = &mut processes[count];
        process.start_ns = fetch(leader, offset!(start));
        process.tgid = tgid;
        process.zero = 0;
        let comm = Bytes::at(leader).add(u64::from(offset!(comm)));
        copy(process.comm.as_mut_ptr(), 16, comm);
        task = fetch(leader, offset!(real_parent));
        count += 1;
    }
    count as u32
}
