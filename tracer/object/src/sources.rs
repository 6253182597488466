//! The kernel half's sources, and one hash over all that shapes the object.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::FLAGS;

/// The crates whose files are compiled into the object.
const CRATES: [&str; 2] = ["tracer-ebpf", "tracer-common"];

/// The kernel half of a workspace.
#[derive(Debug, Clone)]
pub struct KernelHalf {
    workspace: PathBuf,
}

impl KernelHalf {
    /// The kernel half in `workspace`; `None` where the agent was packed without it.
    pub fn of(workspace: &Path) -> Option<Self> {
        let is_there = CRATES
            .iter()
            .all(|name| workspace.join(name).join("Cargo.toml").is_file());
        is_there.then(|| Self {
            workspace: workspace.to_owned(),
        })
    }

    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Files and folders that a build has to watch.
    pub fn watched(&self) -> impl Iterator<Item = PathBuf> {
        CRATES
            .into_iter()
            .chain(["Cargo.toml", "Cargo.lock"])
            .map(|name| self.workspace.join(name))
    }

    /// SHA-256 over every file of the two crates, the locked crates they use, what they inherit
    /// from the workspace, and the flags.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut part = |name: &str, bytes: &[u8]| {
            hash.update(format!("{name}\0{}\0", bytes.len()));
            hash.update(bytes);
        };
        for path in self.files()? {
            let name = path.strip_prefix(&self.workspace).unwrap_or(&path);
            part(&name.to_string_lossy(), &read(&path)?);
        }
        part("Cargo.lock", self.locked()?.as_bytes());
        part("Cargo.toml", self.inherited()?.as_bytes());
        part("flags", FLAGS.join("\n").as_bytes());
        Ok(format!("{:x}", hash.finalize()))
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for name in CRATES {
            collect(&self.workspace.join(name), &mut files)?;
        }
        files.sort();
        Ok(files)
    }

    /// The lines of `Cargo.lock` that the kernel half depends on, however far.
    fn locked(&self) -> Result<String> {
        let lock = self.table("Cargo.lock")?;
        let packages = lock.get("package").and_then(Value::as_array);
        let packages = packages.context("read the packages of Cargo.lock: it has none")?;
        Ok(closure(packages, CRATES[0]).into_values().collect())
    }

    /// What the two crates' manifests take from the workspace's: version, edition, profile.
    fn inherited(&self) -> Result<String> {
        let manifest = self.table("Cargo.toml")?;
        let at = |keys: [&str; 2]| manifest.get(keys[0]).and_then(|table| table.get(keys[1]));
        let parts = [["workspace", "package"], ["profile", "release"]].map(at);
        let parts: Vec<_> = parts.into_iter().flatten().map(Value::to_string).collect();
        Ok(parts.join("\n"))
    }

    fn table(&self, name: &str) -> Result<Table> {
        let path = self.workspace.join(name);
        let text = String::from_utf8(read(&path)?)?;
        text.parse()
            .with_context(|| format!("parse {}", path.display()))
    }
}

/// One line (name, version, checksum) for `root` and for every package it depends on, by the name
/// that `Cargo.lock` calls them.
fn closure(packages: &[Value], root: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut wanted = vec![root.to_owned()];
    while let Some(reference) = wanted.pop() {
        let Some(package) = packages
            .iter()
            .find(|package| is_named(package, &reference))
        else {
            continue;
        };
        let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
        let line = format!(
            "{} {} {}\n",
            text("name"),
            text("version"),
            text("checksum")
        );
        if found.insert(reference, line).is_none() {
            let dependencies = package.get("dependencies").and_then(Value::as_array);
            let names = dependencies.into_iter().flatten().filter_map(Value::as_str);
            wanted.extend(names.map(str::to_owned));
        }
    }
    found
}

/// A reference is a name, or a name and a version where the lock holds several.
fn is_named(package: &Value, reference: &str) -> bool {
    let mut words = reference.split(' ');
    let is = |key: &str, word: &str| package.get(key).and_then(Value::as_str) == Some(word);
    words.next().is_some_and(|name| is("name", name))
        && words.next().is_none_or(|version| is("version", version))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        [[package]]
        name = "probe"
        version = "1.0.0"
        dependencies = ["syn 2.0.0", "shared"]
        [[package]]
        name = "shared"
        version = "0.1.0"
        dependencies = ["syn 2.0.0"]
        [[package]]
        name = "syn"
        version = "1.0.0"
        checksum = "old"
        [[package]]
        name = "syn"
        version = "2.0.0"
        checksum = "new"
        [[package]]
        name = "agent"
        version = "1.0.0"
    "#;

    #[test]
    fn the_lock_counts_only_for_what_the_kernel_half_uses() {
        let lock: Table = LOCK.parse().unwrap();
        let lines: String = closure(lock["package"].as_array().unwrap(), "probe")
            .into_values()
            .collect();
        assert_eq!(lines, "probe 1.0.0 \nshared 0.1.0 \nsyn 2.0.0 new\n");
    }
}
