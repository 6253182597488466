//! Where the members of the running kernel's structures are, from its BTF.
//!
//! Members that moved between versions have their alternatives in one place, [`OFFSETS`].

use std::collections::BTreeMap;

use btf_rs::{Btf, Member, Type};
use tracer_common::settings::Offsets;

use crate::source::Error;

/// The kernel's own description of its types.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The running kernel's version, as far as it matters; zeros where it can't be read.
pub(super) fn release() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(&release).unwrap_or_default()
}

/// The first two numbers of a release.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What is asked of the running kernel's types.
pub(super) struct KernelTypes {
    btf: Btf,
}

/// One offset: what takes it, and the ways to it, the first that exists.
struct Wanted {
    set: fn(&mut Offsets, u32),
    ways: &'static [(&'static str, &'static str)],
}

macro_rules! wanted {
    ($($field:ident: $(($structure:literal, $path:literal)),+;)+) => {
        [$(Wanted {
            set: |offsets, offset| offsets.$field = offset,
            ways: &[$(($structure, $path)),+],
        }),+]
    };
}

/// Every offset that the kernel half needs.
const OFFSETS: [Wanted; 27] = wanted! {
    skb_dev: ("sk_buff", "dev");
    skb_len: ("sk_buff", "len");
    skb_data_len: ("sk_buff", "data_len");
    skb_iif: ("sk_buff", "skb_iif");
    skb_protocol: ("sk_buff", "protocol");
    skb_network_header: ("sk_buff", "network_header");
    skb_transport_header: ("sk_buff", "transport_header");
    skb_mac_header: ("sk_buff", "mac_header");
    skb_head: ("sk_buff", "head");
    skb_data: ("sk_buff", "data");
    skb_end: ("sk_buff", "end");
    shinfo_gso_size: ("skb_shared_info", "gso_size");
    shinfo_gso_segs: ("skb_shared_info", "gso_segs");
    dev_ifindex: ("net_device", "ifindex");
    dev_net: ("net_device", "nd_net");
    dev_name: ("net_device", "name");
    dev_type: ("net_device", "type");
    dev_flags: ("net_device", "flags");
    dev_link_ops: ("net_device", "rtnl_link_ops");
    link_ops_kind: ("rtnl_link_ops", "kind");
    // A u64 since Linux 5.12, an atomic64_t that is filled on demand before.
    net_cookie: ("net", "net_cookie");
    net_inum: ("net", "ns.inum");
    // A bit field before Linux 5.6.
    sk_protocol: ("sock", "sk_protocol");
    sk_family: ("sock", "__sk_common.skc_family");
    sk_num: ("sock", "__sk_common.skc_num");
    sk_dport: ("sock", "__sk_common.skc_dport");
    sk_receive_tail: ("sock", "sk_receive_queue.prev");
};

/// Offsets that finer hops alone need, of what a kernel may have been built without.
const FINER_OFFSETS: [Wanted; 2] = wanted! {
    // Four bytes on 5.10, one on 6.1.
    nf_state_hook: ("nf_hook_state", "hook");
    nf_state_protocol: ("nf_hook_state", "pf");
};

impl KernelTypes {
    /// Reads the running kernel's types.
    ///
    /// # Errors
    /// When the kernel describes none: it was built without `CONFIG_DEBUG_INFO_BTF`.
    pub(super) fn read() -> Result<Self, Error> {
        let btf = Btf::from_file(VMLINUX).map_err(|cause| Error::Kernel {
            doing: format!("read the kernel's types from {VMLINUX}"),
            because: cause.to_string(),
            advice: "a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned(),
        })?;
        Ok(Self { btf })
    }

    /// All offsets that the kernel half needs.
    ///
    /// # Errors
    /// When this kernel has a member nowhere that is known.
    pub(super) fn offsets(&self) -> Result<Offsets, Error> {
        let mut offsets = Offsets::ZERO;
        for wanted in &OFFSETS {
            let offset = self.offset_of(wanted);
            let (name, path) = wanted.ways[0];
            let offset = offset.ok_or_else(|| lacks(name, path))?;
            (wanted.set)(&mut offsets, offset);
        }
        for wanted in &FINER_OFFSETS {
            (wanted.set)(&mut offsets, self.offset_of(wanted).unwrap_or_default());
        }
        // The queues that several CPUs fill and one empties (include/linux/udp.h, since Linux 6.18).
        if self.has_type("udp_prod_queue") {
            offsets.skb_prev = self.offset("sk_buff", "prev").unwrap_or_default();
        }
        Ok(offsets)
    }

    fn offset_of(&self, wanted: &Wanted) -> Option<u32> {
        let mut ways = wanted.ways.iter();
        ways.find_map(|(name, path)| self.offset(name, path))
    }

    /// The values of an enumeration by number; empty where the kernel has no such.
    pub(super) fn enumeration(&self, name: &str) -> BTreeMap<u32, String> {
        let types = self.btf.resolve_types_by_name(name).unwrap_or_default();
        let found = types.into_iter().find_map(|found| match found {
            Type::Enum(found) => Some(found),
            _ => None,
        });
        let Some(found) = found else {
            return BTreeMap::new();
        };
        found
            .members
            .iter()
            .filter_map(|member| Some((member.val(), self.btf.resolve_name(member).ok()?)))
            .collect()
    }

    /// Whether the kernel has a tracepoint that programs can be attached to by type.
    pub(super) fn has_tracepoint(&self, name: &str) -> bool {
        self.btf
            .resolve_ids_by_name(&format!("btf_trace_{name}"))
            .is_ok_and(|ids| !ids.is_empty())
    }

    fn has_type(&self, name: &str) -> bool {
        let found = self.btf.resolve_ids_by_name(name);
        found.is_ok_and(|ids| !ids.is_empty())
    }

    /// Whether the kernel knows a function that fentry can be attached to.
    pub(super) fn has_function(&self, name: &str) -> bool {
        self.btf.resolve_types_by_name(name).is_ok_and(|types| {
            types
                .iter()
                .any(|found| matches!(found, btf_rs::Type::Func(_)))
        })
    }

    /// How many arguments a tracepoint has, its context not counted.
    pub(super) fn tracepoint_arguments(&self, name: &str) -> Option<usize> {
        let types = self
            .btf
            .resolve_types_by_name(&format!("btf_trace_{name}"))
            .ok()?;
        let typedef = types.into_iter().find_map(|found| match found {
            Type::Typedef(typedef) => Some(typedef),
            _ => None,
        })?;
        let Ok(Type::Ptr(pointer)) = self.btf.resolve_chained_type(&typedef) else {
            return None;
        };
        match self.btf.resolve_chained_type(&pointer) {
            Ok(Type::FuncProto(function)) => Some(function.parameters.len().saturating_sub(1)),
            _ => None,
        }
    }

    /// The offset of a member that every kernel has.
    ///
    /// # Errors
    /// When this one has not.
    pub(super) fn required(&self, structure: &str, path: &str) -> Result<u32, Error> {
        let offset = self.offset(structure, path);
        offset.ok_or_else(|| lacks(structure, path))
    }

    /// The offset of a member in bytes; the path names members of members.
    pub(super) fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let types = self.btf.resolve_types_by_name(structure).ok()?;
        types.into_iter().find_map(|found| {
            let Type::Struct(_) = &found else { return None };
            let (mut current, mut bits) = (found, 0);
            for name in path.split('.') {
                let (member, offset) = self.member(&current, name)?;
                bits += offset;
                current = self.plain(&member)?;
            }
            Some(bits / 8)
        })
    }

    /// A member by name and its offset in bits, looked for in unnamed members too.
    fn member(&self, structure: &Type, name: &str) -> Option<(Member, u32)> {
        let (Type::Struct(structure) | Type::Union(structure)) = structure else {
            return None;
        };
        structure.members.iter().find_map(|member| {
            let own = self.btf.resolve_name(member).unwrap_or_default();
            if own == name {
                return Some((member.clone(), member.bit_offset()));
            }
            if !own.is_empty() {
                return None;
            }
            let (found, offset) = self.member(&self.plain(member)?, name)?;
            Some((found, offset + member.bit_offset()))
        })
    }

    /// A member's type without its names and qualifiers.
    fn plain(&self, member: &Member) -> Option<Type> {
        let mut current = self.btf.resolve_chained_type(member).ok()?;
        loop {
            current = match current {
                Type::Typedef(named) => self.btf.resolve_chained_type(&named).ok()?,
                Type::Const(named) | Type::Volatile(named) => {
                    self.btf.resolve_chained_type(&named).ok()?
                }
                other => return Some(other),
            };
        }
    }
}

fn lacks(structure: &str, path: &str) -> Error {
    Error::Kernel {
        doing: format!("find {structure}.{path} in the kernel's types"),
        because: "this kernel has no such member".to_owned(),
        advice: "a kernel from 5.10 on, or a newer tracer".to_owned(),
    }
}
