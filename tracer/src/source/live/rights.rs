//! The capabilities that tracing needs, and those that a thread may keep.

use caps::{CapSet, Capability, CapsHashSet};

use super::kernel_types;

/// A capability.
pub(super) struct Right {
    capability: Capability,
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) meaning: &'static str,
}

/// Nothing works without these.
pub(super) const REQUIRED: [Right; 2] = [
    Right {
        capability: Capability::CAP_BPF,
        name: "CAP_BPF",
        meaning: "loads the programs",
    },
    Right {
        capability: Capability::CAP_PERFMON,
        name: "CAP_PERFMON",
        meaning: "attaches them to tracepoints and reads the kernel's structures",
    },
];

/// Names are a comfort: without these the inodes are shown.
pub(super) const FOR_NAMES: [Right; 3] = [
    Right {
        capability: Capability::CAP_SYS_ADMIN,
        name: "CAP_SYS_ADMIN",
        meaning: "enters network namespaces to learn which of them a name stands for",
    },
    Right {
        capability: Capability::CAP_SYS_PTRACE,
        name: "CAP_SYS_PTRACE",
        meaning: "finds the processes of network namespaces that have no name, and of sockets",
    },
    Right {
        capability: Capability::CAP_DAC_READ_SEARCH,
        name: "CAP_DAC_READ_SEARCH",
        meaning: "finds the processes of sockets that are other users'",
    },
];

impl Right {
    /// Whether this thread has got it, or may take it up.
    pub(super) fn is_held(&self) -> bool {
        caps::has_cap(None, CapSet::Permitted, self.capability).unwrap_or(false)
    }
}

/// Whether this thread may look into other processes.
///
/// Landlock forbids that to whoever it confines (Linux 5.13), whatever capabilities they have.
pub fn looks_into_processes() -> bool {
    FOR_NAMES[1].is_held()
}

/// Gives up, on this thread and those that it starts from now on, what tracing can do without.
///
/// What only names need is laid aside, until the thread that needs it takes it up.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_for_tracing() -> Result<(), String> {
    raise_memory_limit();
    keep(&REQUIRED, &FOR_NAMES)
}

/// Gives up, on this thread and those that it starts from now on, every capability.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_none() -> Result<(), String> {
    keep(&[], &[])
}

/// Gives up, on this thread and those that it starts from now on, what tracing itself needs.
pub(in crate::source) fn give_up_tracing() {
    for right in REQUIRED {
        for set in [CapSet::Effective, CapSet::Permitted] {
            // Giving up what one has is never refused.
            let _ = caps::drop(None, set, right.capability);
        }
    }
}

fn keep(in_effect: &[Right], laid_aside: &[Right]) -> Result<(), String> {
    let held = |rights: &[Right]| -> CapsHashSet {
        let held = rights.iter().filter(|right| right.is_held());
        held.map(|right| right.capability).collect()
    };
    let effective = held(in_effect);
    let permitted = effective.union(&held(laid_aside)).copied().collect();
    let set = |set, value| {
        caps::set(None, set, value).map_err(|cause| format!("give up capabilities: {cause}"))
    };
    let none = CapsHashSet::new();
    rustix::thread::set_no_new_privs(true)
        .map_err(|cause| format!("give up new privileges: {cause}"))?;
    // Only with CAP_SETPCAP may a thread see to it that nothing it starts gets any; without, it has
    // to rely on no_new_privs.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding)
            .map_err(|cause| format!("give up the bounding set: {cause}"))?;
    }
    set(CapSet::Ambient, &none)?;
    set(CapSet::Inheritable, &none)?;
    set(CapSet::Effective, &effective)?;
    set(CapSet::Permitted, &permitted)
}

/// Since when maps count as the control group's memory, and no longer against `RLIMIT_MEMLOCK`.
pub(super) const MAPS_ARE_MEMORY: (u32, u32) = (5, 11);

/// Raises `RLIMIT_MEMLOCK` where maps count against it, for as long as there is the right to.
///
/// Where there is none, creating the maps says so.
fn raise_memory_limit() {
    if kernel_types::release() >= MAPS_ARE_MEMORY {
        return;
    }
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limit lives as long as the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

/// What names need, taken up on this thread until it is dropped.
pub(in crate::source) struct ForNames(Vec<Capability>);

impl ForNames {
    /// Takes up what names of namespaces need, where it was laid aside; where there is none, names
    /// are fewer.
    pub(in crate::source) fn take_up() -> Self {
        Self::of(&FOR_NAMES[..2])
    }

    /// Takes up what names of processes need.
    pub(in crate::source) fn of_processes() -> Self {
        Self::of(&FOR_NAMES[1..])
    }

    fn of(rights: &[Right]) -> Self {
        let rights = rights.iter().map(|right| right.capability);
        let is_aside = |&capability: &Capability| {
            let has = |set| caps::has_cap(None, set, capability).unwrap_or(false);
            has(CapSet::Permitted) && !has(CapSet::Effective)
        };
        let raised =
            |&capability: &Capability| caps::raise(None, CapSet::Effective, capability).is_ok();
        Self(rights.filter(is_aside).filter(raised).collect())
    }
}

impl Drop for ForNames {
    fn drop(&mut self) {
        for &capability in &self.0 {
            // It was raised just so; should the kernel refuse, the next one raises nothing.
            let _ = caps::drop(None, CapSet::Effective, capability);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(capability: Capability) -> bool {
        caps::has_cap(None, CapSet::Effective, capability).unwrap()
    }

    /// On a thread of its own: capabilities are a thread's.
    fn apart(check: fn()) {
        std::thread::spawn(check).join().unwrap();
    }

    #[test]
    fn a_tracing_thread_has_two_capabilities_and_takes_up_two_for_a_moment() {
        apart(|| {
            keep_for_tracing().unwrap();
            let all = caps::read(None, CapSet::Effective).unwrap();
            assert_eq!(
                all,
                CapsHashSet::from([Capability::CAP_BPF, Capability::CAP_PERFMON])
            );
            let names = ForNames::take_up();
            assert!(has(Capability::CAP_SYS_ADMIN) && has(Capability::CAP_SYS_PTRACE));
            drop(names);
            assert!(!has(Capability::CAP_SYS_ADMIN) && !has(Capability::CAP_SYS_PTRACE));
        });
    }

    #[test]
    fn what_was_given_up_is_not_got_back() {
        apart(|| {
            keep_none().unwrap();
            assert!(caps::read(None, CapSet::Bounding).unwrap().is_empty());
            assert!(caps::raise(None, CapSet::Effective, Capability::CAP_BPF).is_err());
            keep_for_tracing().unwrap();
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        });
    }
}
