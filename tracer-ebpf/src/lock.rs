//! Locks for what two CPUs may want to write at the same time.

use crate::{
    maps::{LOCK_MASK, LOCKS},
    record::add_u32,
};

/// How often a lock is asked for before giving up: on a virtual machine the CPU that holds it may
/// stand still for milliseconds.
const TRIES: u32 = 32;

/// A lock that is held, until it is dropped.
///
/// Whoever adds one and then finds one is alone; whoever finds more takes his own back. That needs
/// no atomic that returns a value, which BPF has since Linux 5.12 only, and two who ask at the same
/// moment may both be refused.
pub(crate) struct Lock(*mut u32);

impl Lock {
    /// The lock of a set of the packet table; none when it is held all the time.
    #[inline(always)]
    pub(crate) fn of_packets(place: u32) -> Option<Self> {
        Self::hold(place & LOCK_MASK)
    }

    /// The lock of a set of the handover table.
    #[inline(always)]
    pub(crate) fn of_handover(place: u32) -> Option<Self> {
        Self::hold((place & LOCK_MASK) + LOCK_MASK + 1)
    }

    #[inline(always)]
    fn hold(number: u32) -> Option<Self> {
        let word = LOCKS.get_ptr_mut(number)?;
        let mut tries = 0;
        while tries < TRIES {
            // SAFETY: the map's memory.
            unsafe {
                add_u32(word, 1);
                if core::ptr::read_volatile(word) == 1 {
                    return Some(Self(word));
                }
                add_u32(word, u32::MAX);
            }
            tries += 1;
        }
        None
    }
}

impl Drop for Lock {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the map's memory.
        unsafe { add_u32(self.0, u32::MAX) };
    }
}
