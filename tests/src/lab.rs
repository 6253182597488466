//! The lab: it owns the namespaces, and removes them whatever happens.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ledger::{self, Entry, Ledger};
use crate::link::Macs;
use crate::namespace::{NAMES, Ns, WeakNs};

/// A set of namespaces that live and die together.
///
/// Dropping it removes them, a panic, SIGINT and SIGTERM do too, and what a killed process left
/// is removed by the next lab of the machine.
pub struct Lab {
    name: String,
    ledger: Ledger,
    macs: Arc<Macs>,
    namespaces: Mutex<Vec<WeakNs>>,
}

impl Lab {
    /// A lab whose namespaces are named `<name>-<pid>-<n>-…`: several can run side by side.
    pub fn new(name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::fixed(&format!("{name}-{}-{n}", std::process::id()))
    }

    /// A lab whose namespaces are named `<name>-…`, for people to read; one at a time.
    pub fn fixed(name: &str) -> Result<Self> {
        ledger::remove_leftovers();
        Ok(Self {
            name: name.to_owned(),
            ledger: Ledger::open(name)?,
            macs: Arc::default(),
            namespaces: Mutex::default(),
        })
    }

    /// Makes an empty namespace; `/run/netns` shows it as `<lab>-<name>`.
    ///
    /// Only `lo` is up. IPv6 is as quiet as it can be: no duplicate address detection, no router
    /// solicitations, no link-local addresses. Reverse path filters and ICMP rate limits are off.
    pub fn namespace(&self, name: &str) -> Result<Ns> {
        let full = format!("{}-{name}", self.name);
        self.note(Entry::Namespace, &Path::new(NAMES).join(&full))?;
        let ns = Ns::create(&full, self.macs.clone())
            .with_context(|| format!("make namespace {full}"))?;
        self.namespaces().push(ns.downgrade());
        Ok(ns)
    }

    /// Waits until no device has carried a packet for a while: fresh IPv6 addresses announce the
    /// groups that they join. At most a few seconds.
    pub fn settle(&self) -> Result<()> {
        let mut before = None;
        for _ in 0..100 {
            let now = self.packets()?;
            if before.replace(now) == Some(now) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        bail!("the namespaces of {} do not become quiet", self.name);
    }

    /// Removes a namespace's name. Its devices go when the last [`Ns`] and wire of it is dropped.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the handle must not outlive the name"
    )]
    pub fn delete(&self, namespace: Ns) {
        ledger::remove_namespace(&Path::new(NAMES).join(namespace.name()));
    }

    /// What the names of its namespaces begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes down what has to be removed with the lab, before it is made.
    pub(crate) fn note(&self, entry: Entry, path: &Path) -> Result<()> {
        self.ledger.note(entry, path)
    }

    fn packets(&self) -> Result<u64> {
        let alive: Vec<_> = self
            .namespaces()
            .iter()
            .filter_map(WeakNs::upgrade)
            .collect();
        alive.iter().map(Ns::packets).sum()
    }

    fn namespaces(&self) -> MutexGuard<'_, Vec<WeakNs>> {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
