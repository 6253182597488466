//! Who made a change, as far as that is certain.

use std::fmt;
use std::sync::Arc;

use crate::model::network::{Change, Fact, Family, NeighbourState, Path};
use crate::model::owner::Owner;

/// Who made a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// A process.
    Process(Arc<Process>),
    /// The kernel itself: a carrier was lost, a router advertised, a neighbour answered.
    Kernel,
    /// Several processes; only counts of what they did are kept.
    Several,
    /// It can't be told for certain.
    #[default]
    Unknown,
}

/// A process that made a change, as it was at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// It, its parent, and so on up; the first process is left out.
    pub ancestry: Vec<Task>,
    /// The user that it ran as.
    pub uid: u32,
    /// The user that once logged in (`/proc/PID/loginuid`), by number.
    pub login_uid: Option<u32>,
    /// That user's name.
    pub login: Option<String>,
    /// Its systemd unit or container.
    pub owner: Option<Owner>,
}

/// A process, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number in the first pid namespace.
    pub pid: u32,
    /// When it was started, in nanoseconds since the boot.
    pub start_ns: u64,
    /// Its name, never its arguments, which may hold passwords.
    pub command: String,
}

impl fmt::Display for Who {
    /// `ip ← bash ← sshd (alice)`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => out.write_str("the kernel"),
            Self::Several => out.write_str("several"),
            Self::Unknown => out.write_str("unknown"),
            Self::Process(process) => process.fmt(out),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for task in &self.ancestry {
            // sshd ← sshd ← sshd
            if last == Some(&task.command) {
                continue;
            }
            if last.is_some() {
                out.write_str(" ← ")?;
            }
            out.write_str(&task.command)?;
            last = Some(&task.command);
        }
        match (&self.login, self.login_uid) {
            (Some(name), _) => write!(out, " ({name})"),
            (None, Some(uid)) => write!(out, " (uid {uid})"),
            (None, None) => Ok(()),
        }
    }
}

/// What is known of the moment in which a change was told.
#[derive(Clone, Debug)]
pub struct Telling {
    /// The port of the netlink socket that asked for the change, 0 for none. It is no pid.
    pub port: u32,
    /// What ran when the kernel told it.
    pub current: Option<Current>,
    /// Whether an address that was set by hand or by a program can be told from others: it says who
    /// set it (`IFA_PROTO`, Linux 5.18), and is no temporary one.
    pub by_hand: bool,
}

/// What ran on the CPU.
#[derive(Clone, Debug)]
pub enum Current {
    /// A thread of the kernel's own.
    KernelThread,
    /// A process; an interrupt may have interrupted it.
    Process(Arc<Process>),
}

/// `IFAPROT_KERNEL_LO`, `_RA`, `_LL` of `include/uapi/linux/if_addr.h`.
const ADDRESSES_OF_THE_KERNEL: std::ops::RangeInclusive<u8> = 1..=3;

impl Telling {
    /// Who made the change.
    ///
    /// A request by netlink is answered, and what it changed is told, in the context of whoever
    /// sent it. What is told with no request may come from an interrupt, with any process beneath;
    /// but devices, IPv4's addresses and routes, and rules change under a mutex (`rtnl_lock`), which
    /// no interrupt can take: there it is the current process too, by ioctl, by sysctl, or as what
    /// follows from its request.
    pub fn who(&self, change: &Change) -> Who {
        let Some(fact) = change.after.as_ref().or(change.before.as_ref()) else {
            return Who::Unknown;
        };
        if self.is_by_kernel(change, fact) {
            return Who::Kernel;
        }
        match &self.current {
            Some(Current::KernelThread) => Who::Kernel,
            Some(Current::Process(process)) if self.port != 0 || self.is_locked(change, fact) => {
                Who::Process(Arc::clone(process))
            }
            _ => Who::Unknown,
        }
    }

    fn is_by_kernel(&self, change: &Change, fact: &Fact) -> bool {
        match fact {
            Fact::Link(_) => is_carrier_alone(change),
            Fact::Route(route) if route.slot.family() == Family::V6 => {
                let path = &route.path;
                self.port == 0 && [Path::BY_ADVERTISEMENT, Path::BY_KERNEL].contains(&path.protocol)
            }
            Fact::Address(address) => {
                self.port == 0
                    && change.after.is_some()
                    && ADDRESSES_OF_THE_KERNEL.contains(&address.protocol)
            }
            Fact::Neighbour(it) => self.port == 0 && it.state != NeighbourState::Permanent,
            // Nobody else can make one; a change of its route takes it away.
            Fact::Exception(_) => change.after.is_some(),
            Fact::Route(_) | Fact::Rule(_) | Fact::NextHop(_) => false,
        }
    }

    /// Whether it can only have been made with the mutex, so that no interrupt made it.
    fn is_locked(&self, change: &Change, fact: &Fact) -> bool {
        match fact {
            Fact::Link(_) | Fact::Rule(_) | Fact::NextHop(_) => true,
            Fact::Route(route) => route.slot.family() == Family::V4,
            // IPv6's go under it, and may come from an advertisement, which an interrupt handles.
            Fact::Address(it) => {
                Family::of(it.address) == Family::V4 || change.after.is_none() || self.by_hand
            }
            Fact::Neighbour(_) | Fact::Exception(_) => false,
        }
    }
}

/// Whether a device only lost or got its carrier: whoever asks for a device's state next has the
/// kernel tell it (`linkwatch_sync_dev`), and did not make it.
fn is_carrier_alone(change: &Change) -> bool {
    let (Some(Fact::Link(before)), Some(Fact::Link(after))) = (&change.before, &change.after)
    else {
        return false;
    };
    let mut same = before.clone();
    (same.carrier, same.running, same.speed_mbps) =
        (after.carrier, after.running, after.speed_mbps);
    same == *after
}

/// Whether it is what the kernel does without telling anyone: it sets the hop limit and the MTU of an
/// advertised route after it told of the route (`ndisc_router_discovery`, `net/ipv6/ndisc.c`, 6.18).
pub fn is_set_in_silence(change: &Change) -> bool {
    /// `RTAX_MTU`, `RTAX_HOPLIMIT`.
    const SET: [u16; 2] = [2, 10];
    let (Some(Fact::Route(before)), Some(Fact::Route(after))) = (&change.before, &change.after)
    else {
        return false;
    };
    let without = |path: &Path| {
        let mut path = path.clone();
        path.metrics.retain(|(kind, _)| !SET.contains(kind));
        path
    };
    after.path.protocol == Path::BY_ADVERTISEMENT
        && before.slot == after.slot
        && without(&before.path) == without(&after.path)
}
