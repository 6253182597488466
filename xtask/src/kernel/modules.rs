//! The modules that a test's network needs, in the order in which they load.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// What the lab builds networks of. A module that a kernel lacks is left out: it may be built in.
const WANTED: &[&str] = &[
    // The checksum that conntrack asks the crypto API for, by name and not by dependency.
    "crc32c_generic",
    "8021q",
    "act_mirred",
    "bridge",
    "cls_matchall",
    "dummy",
    "ifb",
    "ip_gre",
    "ipip",
    "nf_conntrack_netlink",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_dup_ipv4",
    "nft_masq",
    "nft_nat",
    "nft_reject_inet",
    "sch_fq",
    "sch_fq_codel",
    "sch_htb",
    "sch_ingress",
    "sch_netem",
    "sch_tbf",
    "tun",
    "veth",
    "virtio_net",
    "virtio_pci",
    "vrf",
    "vxlan",
];

/// Writes the wanted modules and their dependencies into `to`, uncompressed; returns their file
/// names, dependencies first.
pub(super) fn copy(shell: &Shell, kernel: &Path, to: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    walk(kernel, &mut files)?;
    let modules = Modules {
        shell,
        files: files
            .into_iter()
            .filter_map(|path| Some((name(&path)?, path)))
            .collect(),
        to,
    };
    let mut order = Vec::new();
    for wanted in WANTED {
        modules.add(wanted, &mut HashSet::new(), &mut order)?;
    }
    Ok(order)
}

struct Modules<'a> {
    shell: &'a Shell,
    files: BTreeMap<String, PathBuf>,
    to: &'a Path,
}

impl Modules<'_> {
    fn add(
        &self,
        module: &str,
        above: &mut HashSet<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        let file = format!("{module}.ko");
        let Some(path) = self.files.get(module) else {
            return Ok(());
        };
        if order.contains(&file) || !above.insert(module.to_owned()) {
            return Ok(());
        }
        let bytes = self.uncompressed(path)?;
        for dependency in dependencies(&bytes) {
            self.add(&dependency, above, order)?;
        }
        fs::write(self.to.join(&file), bytes).with_context(|| format!("write {file}"))?;
        order.push(file);
        Ok(())
    }

    fn uncompressed(&self, path: &Path) -> Result<Vec<u8>> {
        if path.extension().is_some_and(|extension| extension == "xz") {
            let output = cmd!(self.shell, "xz --decompress --stdout {path}")
                .quiet()
                .output()?;
            return Ok(output.stdout);
        }
        fs::read(path).with_context(|| format!("read {}", path.display()))
    }
}

/// `nf_nat` for `nf_nat.ko.xz`; the kernel takes `-` and `_` for the same.
fn name(path: &Path) -> Option<String> {
    let (stem, kind) = path.file_name()?.to_str()?.split_once(".ko")?;
    ["", ".xz"].contains(&kind).then(|| stem.replace('-', "_"))
}

/// What the module says in `.modinfo`; Debian's packages hold no `modules.dep`.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let at = module.windows(KEY.len()).position(|window| window == KEY);
    let value = at.map(|at| &module[at + KEY.len()..]).unwrap_or_default();
    let end = value.iter().position(|byte| *byte == 0).unwrap_or_default();
    let names = String::from_utf8_lossy(&value[..end]).replace('-', "_");
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Every file below `folder`, links left out.
pub(super) fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::dependencies;

    #[test]
    fn a_module_names_its_dependencies_in_modinfo() {
        let module =
            b"\x7fELF..alias=rtnl-link-vxlan\0depends=udp_tunnel,ip6-udp-tunnel\0name=vxlan\0";
        assert_eq!(dependencies(module), ["udp_tunnel", "ip6_udp_tunnel"]);
    }

    #[test]
    fn a_module_may_depend_on_nothing() {
        assert!(dependencies(b"license=GPL\0depends=\0name=veth\0").is_empty());
    }
}
