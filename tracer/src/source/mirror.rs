//! A mirror of every network namespace: what its kernel has, followed as it changes.
//!
//! Two netlink sockets in each namespace: one listens, one takes dumps. A dump is taken when a
//! namespace is found, when the kernel had more to tell than it could keep, and of the parts that
//! changed, some time after the change: the kernel changes more than it tells.

mod attributes;
pub mod bypass;
pub mod counters;
mod decode;
mod dump;
mod ethtool;
mod follow;
mod look_up;
mod namespace;
mod recent;
mod socket;
mod waiting;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use super::live::makers::Listeners;
use super::live::rights;
use crate::model::Namespace;
use crate::model::journal::known::Snapshot;
use crate::model::network::{Change, Fact, Family, Network, Route};

pub use crate::model::Mirrored as Counts;
pub use socket::Message;
pub use ways::Ways;

pub(super) use attributes::Attributes;
pub(super) use socket::Asker;

/// The mirror; it stops when this is dropped.
pub struct Mirror {
    seen: Arc<Mutex<Seen>>,
    wake: waiting::Wake,
    thread: Option<JoinHandle<()>>,
}

/// All that the mirror holds.
#[derive(Default)]
pub struct Seen {
    /// The namespaces, by inode: one that is followed keeps its own.
    pub namespaces: BTreeMap<u32, Followed>,
    /// What happened since the mirror began.
    pub counts: Counts,
}

impl Seen {
    /// A namespace, where it is followed.
    fn at(&self, namespace: &Namespace) -> Option<&Followed> {
        let followed = self.namespaces.get(&namespace.inode)?;
        // An inode is used again.
        (followed.namespace.cookie == namespace.cookie).then_some(followed)
    }
}

/// A namespace that is followed.
pub struct Followed {
    /// Which one it is.
    pub namespace: Namespace,
    /// What it has.
    pub network: Network,
    /// A file that stands for it.
    path: PathBuf,
    /// The tables that packets use.
    used: BTreeSet<(Family, u32)>,
    /// What changed lately that routes may depend on.
    recent: recent::Recent,
}

impl Followed {
    /// The file that stands for it: with the right to look into processes, since those of a process
    /// open for nobody else.
    pub(in crate::source) fn open(&self) -> io::Result<File> {
        let _rights = rights::ForNames::take_up();
        File::open(&self.path)
    }
}

/// What the mirror notes as it happens.
#[derive(Clone, Debug)]
pub struct Note {
    /// When it was known.
    pub at: SystemTime,
    /// Where.
    pub namespace: Namespace,
    /// What.
    pub event: Event,
}

/// What happened in a namespace.
#[derive(Clone, Debug)]
pub enum Event {
    /// It was found.
    Appeared,
    /// What it had when it was found.
    Begun(Box<Snapshot>),
    /// It is gone.
    Vanished,
    /// Something in it changed.
    Changed(Box<Changed>),
    /// Messages were read; after the changes that they told.
    Heard(Heard),
    /// What changed since then was not told: the changes that come with it happened in between.
    Gap {
        /// The last moment whose changes were heard.
        since: SystemTime,
    },
}

/// A change, and what it is called by.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The change.
    pub change: Change,
    /// The message that told it, or told what it follows from.
    pub message: Option<Message>,
    /// The names of the devices that it speaks of.
    pub devices: BTreeMap<u32, String>,
}

impl Changed {
    fn of(made: namespace::Made, network: &Network) -> Self {
        let namespace::Made { change, message } = made;
        let facts = || change.before.iter().chain(&change.after);
        // One that is gone is known by the change itself.
        let own = facts().filter_map(|fact| match fact {
            Fact::Link(link) => Some((link.index, link.name.clone())),
            _ => None,
        });
        let known = facts()
            .flat_map(Fact::devices)
            .filter_map(|index| Some((index, network.link(index)?.name.clone())));
        let devices = known.chain(own).collect();
        Self {
            change,
            message,
            devices,
        }
    }
}

/// Messages that were read from a listening socket.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The listening socket's cookie, where it is written down who makes its messages.
    pub listener: Option<u64>,
    /// The messages.
    pub messages: Vec<Message>,
    /// All were read that there were, and the kernel half has written down who made each: so many
    /// runs.
    pub made: Option<u64>,
    /// There will be no more.
    pub ended: bool,
}

/// Who is told what the mirror notes; called on its thread, which waits for it.
pub type Tell = Box<dyn FnMut(Note) + Send>;

impl Mirror {
    /// Starts to follow all namespaces; returns when those that there are have been dumped.
    ///
    /// # Errors
    /// When the system has no descriptors or threads left.
    pub fn start(tell: Tell) -> io::Result<Self> {
        Self::start_by(tell, None)
    }

    /// The same, and the kernel half writes down who makes what these listeners hear.
    ///
    /// # Errors
    /// As above.
    pub(super) fn start_by(tell: Tell, listeners: Option<Listeners>) -> io::Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (wake, waiting) = waiting::pair()?;
        let mut follower = follow::Follower::new(Arc::clone(&seen), waiting, tell, listeners);
        follower.scan();
        let thread = std::thread::Builder::new()
            .name("mirror".to_owned())
            .spawn(move || {
                rights::give_up_tracing();
                follower.run();
            })?;
        Ok(Self {
            seen,
            wake,
            thread: Some(thread),
        })
    }

    /// What asks about the sockets of a namespace that is followed.
    ///
    /// # Errors
    /// When it is not followed, or can't be entered.
    pub(super) fn socket_asker(&self, namespace: &Namespace) -> io::Result<Asker> {
        let file = {
            let seen = self.seen();
            let followed = seen.namespaces.get(&namespace.inode);
            let is_it = |it: &&Followed| it.namespace.cookie == namespace.cookie;
            followed
                .filter(is_it)
                .ok_or(io::ErrorKind::NotFound)?
                .open()?
        };
        let asker = Asker::of_sockets(&file)?;
        match asker.cookie() {
            // A path may lead elsewhere by now.
            Some(cookie) if cookie != namespace.cookie => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(asker),
        }
    }

    /// What it holds now. The mirror stands still for as long as this is kept.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.wake.end();
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, the panic was shown.
            let _ = thread.join();
        }
    }
}

/// What a namespace has now, by dumps alone.
///
/// # Errors
/// When there is no such file, or the namespace can't be entered.
pub fn dump(namespace: &Path) -> io::Result<Network> {
    dump::all(&mut Asker::of_routes(&File::open(namespace)?)?)
}

/// What the agent calls the namespace of a file; none where that can't be told.
pub fn name_of(namespace: &Path) -> Option<String> {
    let inode = std::fs::metadata(namespace).ok()?.ino();
    let mut found = super::netns::find::all();
    Some(found.remove(&u32::try_from(inode).ok()?)?.name)
}

/// The route that a packet of a namespace's own to an address takes, or the kernel's refusal.
///
/// # Errors
/// When there is no such file, or the namespace can't be entered.
pub fn route_to(namespace: &Path, destination: IpAddr) -> io::Result<io::Result<Route>> {
    let mut asker = Asker::of_routes(&File::open(namespace)?)?;
    let question = look_up::Question {
        source: match destination {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        },
        destination,
        transport: None,
        input: None,
        output: None,
        mark: 0,
    };
    Ok(look_up::ask(&mut asker, &question))
}

/// Messages as the kernel might tell them, each with its length, type and flags in front.
#[cfg(feature = "fuzz")]
pub fn fuzz(mut bytes: &[u8]) {
    const KINDS: [u16; 12] = [16, 17, 20, 21, 24, 25, 28, 29, 32, 33, 104, 105];
    let mut network = crate::model::network::Network::default();
    while let Some((&[length, kind, low, high], rest)) = bytes.split_first_chunk() {
        let (body, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        if let Ok(Some(told)) = decode::message(kind, u16::from_le_bytes([low, high]), body) {
            network.apply(told);
        }
    }
}
