//! Bytes from outside, read as whatever they may be taken for: for `cargo xtask fuzz` alone.

use std::path::Path;

use crate::config::Config;
use crate::source::{configured, mirror, names, replay};
use crate::store;

/// The readers: a first byte chooses one of them.
const READERS: [fn(&[u8]); 6] = [
    mirror::fuzz,
    names::fuzz,
    configured::fuzz,
    store::fuzz,
    |bytes| {
        let _ = replay::parse(bytes);
    },
    |bytes| {
        let _ = str::from_utf8(bytes).map(|text| Config::parse(text, Path::new("fuzz")));
    },
];

/// Reads bytes: nothing but a panic, or memory without bounds, is wrong.
pub fn read(bytes: &[u8]) {
    if let Some((&which, bytes)) = bytes.split_first() {
        READERS[usize::from(which) % READERS.len()](bytes);
    }
}
