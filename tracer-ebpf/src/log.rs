//! What the kernel half tells about its slow paths, to one who asks for it.
//!
//! Functions of their own with numbers only, so that their stack is not the probes'. The agent sets
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

/// A new node of a route tree.
#[inline(never)]
pub(crate) fn node(node: u32, parent: u32, stage: u32, ifindex: u32) -> u32 {
    debug!(
        (),
        "node {} after {}: stage {} of device {}", node, parent, stage, ifindex
    );
    0
}

/// A new class.
#[inline(never)]
pub(crate) fn class(class: u32, port: u32) -> u32 {
    debug!((), "class {} with port {}", class, port);
    0
}
