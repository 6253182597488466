//! Other kernels than this machine's: Debian's, each started with our programs in it.

mod debian;
mod initramfs;
mod modules;
mod qemu;

use std::path::PathBuf;

pub(crate) use initramfs::{Guest, Program};
pub(crate) use qemu::{Outcome, boot};

/// A kernel that the tracer has to work on.
pub(crate) struct Kernel {
    pub name: &'static str,
    /// Debian's suite whose cloud kernel it is.
    suite: &'static str,
}

/// The oldest first.
pub(crate) const KERNELS: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
    },
    Kernel {
        name: "7.2",
        suite: "sid",
    },
];

/// A kernel's files on this machine.
pub(crate) struct Files {
    pub image: PathBuf,
    /// The folder that holds the modules, at whatever depth.
    pub modules: PathBuf,
}
