//! What the kernel half tells about packets that it can't follow, to one who asks for it.
//!
//! Functions of their own with numbers only, called by probes alone: a chain of calls has 512 bytes
//! of stack. The agent sets
//! the level before it loads the object; at 0 the verifier removes them.

use aya_log_ebpf::debug;

/// A packet whose beginning was not seen.
#[inline(never)]
pub(crate) fn orphan(stage: u32, stood: u32, flags: u32) -> u32 {
    debug!(
        (),
        "orphan at stage {}; its address stood at {}, flags {}", stage, stood, flags
    );
    0
}
