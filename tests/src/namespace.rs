//! A network namespace: entering it, and what identifies it.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, getsockopt, socket};
use nix::{getsockopt_impl, libc, sockopt_impl};

use crate::link::Macs;
use crate::netlink::Netlink;

/// Where `ip netns` looks for names.
pub(crate) const NAMES: &str = "/run/netns";

sockopt_impl!(
    NamespaceCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

/// What a namespace of ours has set before any device exists, so that nothing speaks unasked.
const QUIET: [(&str, &str); 20] = [
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/default/igmpv3_unsolicited_report_interval", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/autoconf", "0"),
    ("ipv6/conf/default/autoconf", "0"),
    ("ipv6/conf/all/router_solicitations", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    // Reports of joined groups cannot be turned off; their repetition comes at once.
    ("ipv6/conf/default/mldv2_unsolicited_report_interval", "1"),
    ("ipv6/conf/default/mldv1_unsolicited_report_interval", "1"),
    // 1 is IN6_ADDR_GEN_MODE_NONE: no link-local address by itself.
    ("ipv6/conf/all/addr_gen_mode", "1"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
];

/// A handle on a network namespace; clones are the same namespace.
#[derive(Clone)]
pub struct Ns(Arc<Inner>);

/// A handle that does not keep the namespace alive.
pub(crate) struct WeakNs(Weak<Inner>);

impl WeakNs {
    pub(crate) fn upgrade(&self) -> Option<Ns> {
        self.0.upgrade().map(Ns)
    }
}

struct Inner {
    name: String,
    handle: File,
    cookie: Option<u64>,
    inode: u64,
    route: Mutex<Netlink>,
    netfilter: Mutex<Netlink>,
    macs: Arc<Macs>,
}

impl Ns {
    pub(crate) fn create(name: &str, macs: Arc<Macs>) -> Result<Self> {
        let path = Path::new(NAMES).join(name);
        let inner = on_a_thread_of_its_own(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("unshare (are you root?)")?;
            publish(&path)?;
            quieten()?;
            let handle = File::open(&path).with_context(|| format!("open {}", path.display()))?;
            Ok::<_, anyhow::Error>(Inner {
                name: name.to_owned(),
                inode: handle.metadata()?.ino(),
                handle,
                cookie: own_cookie()?,
                route: Mutex::new(Netlink::open(SockProtocol::NetlinkRoute)?),
                netfilter: Mutex::new(Netlink::open(SockProtocol::NetlinkNetFilter)?),
                macs,
            })
        })?;
        let ns = Self(Arc::new(inner));
        ns.up("lo")?;
        Ok(ns)
    }

    /// Its name under `/run/netns`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The kernel's identity of the namespace, never used twice (`SO_NETNS_COOKIE`); none before
    /// Linux 5.14.
    pub fn cookie(&self) -> Option<u64> {
        self.0.cookie
    }

    /// The inode that `/proc/<pid>/ns/net` shows; the kernel reuses it.
    pub fn inode(&self) -> u64 {
        self.0.inode
    }

    /// Runs a closure inside the namespace, on a thread of its own, and returns its value.
    ///
    /// Sockets that the closure opens stay in the namespace, wherever they are used later.
    ///
    /// # Panics
    ///
    /// When the closure does, or when the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread_of_its_own(|| {
            self.enter();
            work()
        })
    }

    /// Runs a closure on a thread of its own, for which `/run/netns` shows this namespace and no
    /// other. What the closure starts sees the same.
    ///
    /// # Errors
    ///
    /// When mounts of the thread's own can't be made.
    pub fn seen_alone<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_a_thread_of_its_own(|| {
            unshare(CloneFlags::CLONE_NEWNS).context("unshare the mounts (are you root?)")?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
                .context("keep mounts from the host")?;
            mount(Some("tmpfs"), NAMES, Some("tmpfs"), MsFlags::empty(), none)
                .with_context(|| format!("hide what is in {NAMES}"))?;
            let at = Path::new(NAMES).join(self.name());
            File::create(&at).with_context(|| format!("make {}", at.display()))?;
            let handle = format!("/proc/self/fd/{}", self.0.handle.as_raw_fd());
            mount(Some(&*handle), &at, none, MsFlags::MS_BIND, none)
                .with_context(|| format!("show {}", at.display()))?;
            Ok(work())
        })
    }

    /// Starts a closure inside the namespace, for work that goes on.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let ns = self.clone();
        thread::spawn(move || {
            ns.enter();
            work()
        })
    }

    /// Moves the calling thread into the namespace, for good.
    pub(crate) fn enter(&self) {
        setns(&self.0.handle, CloneFlags::CLONE_NEWNET)
            .unwrap_or_else(|error| panic!("enter namespace {}: {error}", self.name()));
    }

    /// Writes a setting below `/proc/sys/net`, such as `("ipv4/ip_forward", "1")`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(|| write_sysctl(key, value))
    }

    /// Forwards packets between its devices, or stops it.
    pub fn forwarding(&self, on: bool) -> Result<()> {
        let value = if on { "1" } else { "0" };
        self.sysctl("ipv4/ip_forward", value)?;
        self.sysctl("ipv6/conf/all/forwarding", value)
    }

    pub(crate) fn downgrade(&self) -> WeakNs {
        WeakNs(Arc::downgrade(&self.0))
    }

    /// Packets that its devices have received and sent since they exist.
    pub(crate) fn packets(&self) -> Result<u64> {
        let table = self.run(|| fs::read_to_string("/proc/thread-self/net/dev"));
        let table = table.context("read /proc/thread-self/net/dev")?;
        // `  eth0: bytes packets … (8 columns of receiving), then the same of sending`
        let devices = table.lines().filter_map(|line| line.split_once(':'));
        Ok(devices
            .map(|(_, columns)| {
                let columns = numbers(columns);
                columns.get(1).unwrap_or(&0) + columns.get(9).unwrap_or(&0)
            })
            .sum())
    }

    pub(crate) fn rtnetlink(&self) -> MutexGuard<'_, Netlink> {
        self.0.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn nfnetlink(&self) -> MutexGuard<'_, Netlink> {
        let netfilter = self.0.netfilter.lock();
        netfilter.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn handle(&self) -> &File {
        &self.0.handle
    }

    pub(crate) fn macs(&self) -> &Macs {
        &self.0.macs
    }
}

/// Gives this thread's namespace a name, as iproute2 does.
fn publish(path: &Path) -> Result<()> {
    fs::create_dir_all(NAMES).with_context(|| format!("make {NAMES}"))?;
    File::create_new(path).with_context(|| format!("make {}", path.display()))?;
    mount(
        Some("/proc/thread-self/ns/net"),
        path,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .with_context(|| format!("mount a namespace on {}", path.display()))
}

fn numbers(columns: &str) -> Vec<u64> {
    let columns = columns.split_whitespace();
    columns.map(|column| column.parse().unwrap_or(0)).collect()
}

/// A setting that this kernel does not have, or not in each namespace, is left out.
fn quieten() -> Result<()> {
    let mut known = QUIET.iter().filter(|(key, _)| sysctl_path(key).exists());
    known.try_for_each(|(key, value)| write_sysctl(key, value))
}

fn write_sysctl(key: &str, value: &str) -> Result<()> {
    let path = sysctl_path(key);
    fs::write(&path, value).with_context(|| format!("write {value} to {}", path.display()))
}

fn sysctl_path(key: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(key)
}

/// A socket of this thread's namespace, to ask the kernel by and to send nothing.
pub(crate) fn socket_to_ask() -> Result<OwnedFd> {
    socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .context("open a socket")
}

fn own_cookie() -> Result<Option<u64>> {
    let socket = socket_to_ask()?;
    match getsockopt(&socket, NamespaceCookie) {
        Ok(cookie) => Ok(Some(cookie)),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error).context("read the namespace's cookie"),
    }
}

/// Threads that changed their namespace are never given back to other work.
fn on_a_thread_of_its_own<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
