//! The kernel half as it is compiled: what it is made of, and what it can do.

/// An eBPF object, as its own bytes tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// SHA-256 of the object, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of the sources that it was made of, in hexadecimal; none where a packager brought it.
    pub sources_sha256: Option<String>,
    /// The licence that it declares to the kernel.
    pub licence: String,
    /// Its instructions, all programs together.
    pub instructions: usize,
    /// Its programs, by name.
    pub programs: Vec<Program>,
    /// The kernel's functions that it calls, by name: all that it can do beside reading the
    /// kernel's memory and writing its own (`bpf-helpers(7)`).
    pub helpers: Vec<Helper>,
    /// Its maps, by name.
    pub maps: Vec<Map>,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its type, as its section is called: `tp_btf`, `fentry`.
    pub kind: String,
}

/// A function of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// Its name: `bpf_ktime_get_ns`.
    pub name: String,
    /// In how many places it is called.
    pub calls: usize,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// Its type: `hash`, `array`.
    pub kind: String,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Entries, before the configuration's limits replace them.
    pub entries: u32,
}
