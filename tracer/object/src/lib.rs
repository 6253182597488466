//! Which sources, flags and toolchain made the eBPF object, and how to make it again.
//!
//! A user of tracer needs stable Rust alone, so a prebuilt object stands in this folder, beside a
//! [`Manifest`] that says what it was made of. `tracer`'s build script and `cargo xtask ebpf`
//! share these rooms, so that both judge by the same hash and compile with the same command.

mod compile;
mod manifest;
mod sources;
mod toolchain;

pub use compile::{FLAGS, clippy, compile};
pub use manifest::{Manifest, sha256};
pub use sources::KernelHalf;
pub use toolchain::{INSTALL, Toolchain};
