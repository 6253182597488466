//! Why a source failed: what it was doing, to what, and what to try.

use std::io;
use std::path::PathBuf;

/// Why a source could not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{doing} {}: {cause}; try {advice}", path.display())]
    File {
        /// The verb: "read", "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// What to try, as it follows "try".
        advice: &'static str,
    },
    /// A file is no recorded reading, or one that contradicts itself.
    #[error("read {}: {because}; try a file that `tracer routes --record` wrote", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        because: String,
    },
    /// Something that the kernel was asked to do.
    #[error("{doing}: {because}; try {advice}")]
    Kernel {
        /// What was being done, and to what: "load the programs".
        doing: String,
        /// Why it failed.
        because: String,
        /// What to try, as it follows "try".
        advice: String,
    },
}
