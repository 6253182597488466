//! What a lab left on the machine, written down before it is made, so that someone removes it.
//!
//! Each lab holds a lock on its own file under `/run/tracer-lab`. The kernel drops the lock when
//! the process dies, however it dies; whoever can take the lock may remove what the file names.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, umount2};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

const LEDGERS: &str = "/run/tracer-lab";

/// How often, and how far apart, something busy is tried.
const PATIENCE: u32 = 50;
const STEP: Duration = Duration::from_millis(10);

/// Ledgers of this process, for the signal handler.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Set by a signal: what keeps things busy has to let go.
static ENDING: AtomicBool = AtomicBool::new(false);

/// One lab's list of things to remove; dropping it removes them.
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
}

impl Ledger {
    /// Opens a ledger of this name; it fails while another process holds it.
    pub(crate) fn open(name: &str) -> Result<Self> {
        clean_on_signals();
        fs::create_dir_all(LEDGERS).with_context(|| format!("make {LEDGERS} (are you root?)"))?;
        let path = Path::new(LEDGERS).join(name);
        for _ in 0..PATIENCE {
            if let Some(file) = lock(&path)? {
                live().insert(path.clone());
                return Ok(Self { file, path });
            }
            // Someone who looks for leftovers holds the lock for a moment only.
            sleep(STEP);
        }
        bail!("a lab named {name} is already running; choose another name");
    }

    /// Writes down something that is about to be made; waits for ever once the process is ending.
    pub(crate) fn note(&self, entry: Entry, path: &Path) -> Result<()> {
        let _not_ending = live();
        writeln!(&self.file, "{} {}", entry.word(), path.display())
            .with_context(|| format!("write {} into {}", path.display(), self.path.display()))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        settle(&self.path);
        live().remove(&self.path);
    }
}

/// What kind of thing has to be removed, and so how.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    /// A file with a namespace mounted on it.
    Namespace,
    /// A directory that goes by `rmdir`, such as an instance of tracefs.
    Directory,
    /// A directory with a file system mounted on it.
    Mount,
}

impl Entry {
    fn word(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Directory => "directory",
            Self::Mount => "mount",
        }
    }
}

/// Whether a signal is ending this process.
pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// Removes what dead processes left behind.
pub(crate) fn remove_leftovers() {
    let Ok(ledgers) = fs::read_dir(LEDGERS) else {
        return;
    };
    for path in ledgers.flatten().map(|entry| entry.path()) {
        // The lock is held until the end of the turn, so nobody takes the name meanwhile.
        if let Ok(Some(_lock)) = lock(&path) {
            settle(&path);
        }
    }
}

/// The file, emptied, if its lock is ours now; none if it is another's.
fn lock(path: &Path) -> Result<Option<File>> {
    loop {
        let file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .with_context(|| format!("open {} (are you root?)", path.display()))?;
        match file.try_lock() {
            // Removed between opening and locking: the name means another file by now.
            Ok(()) if file.metadata()?.nlink() == 0 => {}
            Ok(()) => {
                // The name was a dead process's: what it left goes first.
                clear(path);
                file.set_len(0)?;
                return Ok(Some(file));
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
    }
}

fn settle(path: &Path) {
    clear(path);
    let _ = fs::remove_file(path);
}

/// Removes what a ledger names, last first. What is gone already is no error.
fn clear(path: &Path) {
    let mut text = String::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_string(&mut text);
    }
    for line in text.lines().rev() {
        match line.split_once(' ') {
            Some(("namespace", path)) => remove_namespace(Path::new(path)),
            Some(("directory", path)) => remove_directory(Path::new(path)),
            Some(("mount", path)) => unmount(Path::new(path)),
            _ => {}
        }
    }
}

/// Removes a namespace's name; the namespace lives on while anything holds it.
pub(crate) fn remove_namespace(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// Takes a file system away, with the directory made for it.
pub(crate) fn unmount(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_dir(path);
}

/// An instance of tracefs is busy while a reader holds one of its files, so try for a while.
pub(crate) fn remove_directory(path: &Path) {
    for _ in 0..PATIENCE {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                sleep(STEP);
            }
            _ => return,
        }
    }
}

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes everything at SIGINT and SIGTERM, then dies of the signal.
fn clean_on_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
            return;
        };
        std::thread::spawn(move || {
            for signal in signals.forever() {
                ENDING.store(true, Ordering::Relaxed);
                // Held until death, so that nothing new is made behind our back.
                let live = live();
                live.iter().for_each(|path| settle(path));
                let _ = emulate_default_handler(signal);
            }
        });
    });
}
