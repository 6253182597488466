//! Where the journal is kept, and how much it may hold.

use std::path::PathBuf;

/// Where the journal is kept, and how much it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its folder.
    pub directory: PathBuf,
    /// The largest size of its file, in bytes.
    pub max_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/tracer"),
            max_size: 256 << 20,
        }
    }
}
