//! What is wrong with a configuration: where, and what is allowed there.

use std::io;
use std::path::PathBuf;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("read configuration {}: {cause}; try --config with a file that you may read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The web configuration could not be read, or something in it is wrong.
    #[error("read web configuration {}: {because}; try {advice}", path.display())]
    Web {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        because: String,
        /// What to try, as it follows "try".
        advice: &'static str,
    },
    /// The file is no TOML.
    #[error("read configuration {}, line {line}: {problem}; allowed: TOML, https://toml.io", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        problem: String,
    },
    /// A key is not known, or its value is wrong.
    #[error("read configuration {}, line {line}: {key}: {problem}; allowed: {allowed}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key with its section: `limits.packets`.
        key: String,
        /// What is wrong.
        problem: String,
        /// What is allowed.
        allowed: String,
    },
}
