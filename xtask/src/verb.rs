//! One file for each verb.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod dist;
pub(crate) mod drill;
pub(crate) mod ebpf;
pub(crate) mod fuzz;
pub(crate) mod lint;
pub(crate) mod setup;
pub(crate) mod test;
pub(crate) mod vm;
