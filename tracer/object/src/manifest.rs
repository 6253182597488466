//! What the prebuilt object was made of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{FLAGS, Toolchain};

/// The origin of a prebuilt object, written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// SHA-256 of the kernel half's sources, as [`KernelHalf::fingerprint`] computes it.
    ///
    /// [`KernelHalf::fingerprint`]: crate::KernelHalf::fingerprint
    pub sources: String,
    /// SHA-256 of the object itself.
    pub object: String,
    /// `rustc --version` of the compiler that built it.
    pub rustc: String,
    /// `bpf-linker --version`, and the LLVM it runs on.
    pub linker: String,
}

impl Manifest {
    /// What an `object` made by `toolchain` from `sources` is made of.
    pub fn of(sources: String, object: &[u8], toolchain: &Toolchain) -> Self {
        Self {
            sources,
            object: sha256(object),
            rustc: toolchain.rustc.clone(),
            linker: toolchain.linker.clone(),
        }
    }

    /// Whether `toolchain` is the one that built the object, so that it must build it again.
    pub fn is_by(&self, toolchain: &Toolchain) -> bool {
        self.rustc == toolchain.rustc && self.linker == toolchain.linker
    }

    /// # Errors
    /// Where the file can't be read or lacks a value.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("read the object's manifest {}", path.display()))?;
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("parse the object's manifest {}", path.display()))?;
        let value = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_str);
            value.map(str::to_owned).with_context(|| {
                let path = path.display();
                format!("read {key} in {path}: it isn't there; run cargo xtask ebpf build")
            })
        };
        Ok(Self {
            sources: value("sources")?,
            object: value("object")?,
            rustc: value("rustc")?,
            linker: value("linker")?,
        })
    }

    /// # Errors
    /// Where the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text())
            .with_context(|| format!("write the object's manifest {}", path.display()))
    }

    fn text(&self) -> String {
        let Self {
            sources,
            object,
            rustc,
            linker,
        } = self;
        let flags = FLAGS
            .map(|flag| format!("    {},\n", toml::Value::from(flag)))
            .concat();
        format!(
            "# What tracer.bpf.o was made of; written by `cargo xtask ebpf build`.\n\
             sources = \"{sources}\"\n\
             object = \"{object}\"\n\
             rustc = \"{rustc}\"\n\
             linker = \"{linker}\"\n\
             flags = [\n{flags}]\n"
        )
    }
}

/// The prebuilt object and its manifest, in the workspace of that folder.
impl Manifest {
    pub fn object_path(agent: &Path) -> PathBuf {
        agent.join("object/tracer.bpf.o")
    }

    pub fn path(agent: &Path) -> PathBuf {
        agent.join("object/manifest.toml")
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = Manifest {
            sources: "aa".into(),
            object: "bb".into(),
            rustc: "rustc 1.96.0 (built from a source tarball)".into(),
            linker: "bpf-linker 0.13.0, LLVM 22.1.8".into(),
        };
        let path = std::env::temp_dir().join(format!("manifest-{}.toml", std::process::id()));
        manifest.write(&path).unwrap();
        let read = Manifest::read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap(), manifest);
    }
}
