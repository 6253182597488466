//! Traffic whose every packet, request and byte is counted by both ends.

pub(crate) mod advertise;
pub(crate) mod bulk;
mod frame;
pub(crate) mod garbage;
pub(crate) mod icmp;
pub(crate) mod pace;
pub(crate) mod segment;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod users;

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
