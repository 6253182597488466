//! The capabilities that tracing needs.

use std::fs;

/// A capability.
pub(super) struct Right {
    /// Its number (include/uapi/linux/capability.h).
    number: u32,
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) meaning: &'static str,
}

/// Nothing works without these.
pub(super) const REQUIRED: [Right; 2] = [
    Right {
        number: 39,
        name: "CAP_BPF",
        meaning: "loads the programs",
    },
    Right {
        number: 38,
        name: "CAP_PERFMON",
        meaning: "attaches them to tracepoints and reads the kernel's structures",
    },
];

/// Names are a comfort: without this one the inodes are shown.
pub(super) const FOR_NAMES: Right = Right {
    number: 21,
    name: "CAP_SYS_ADMIN",
    meaning: "enters network namespaces to learn their names",
};

impl Right {
    /// Whether this process has got it.
    pub(super) fn is_held(&self) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let held = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        held.is_some_and(|held| held >> self.number & 1 != 0)
    }
}
