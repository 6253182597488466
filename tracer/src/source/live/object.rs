//! What the kernel half can do, read from its object.

use std::collections::BTreeMap;

use aya_obj::generated::{BPF_CALL, BPF_JMP, bpf_func_id, bpf_insn, bpf_map_type};
use aya_obj::{Object as Parsed, ProgramSection};
use sha2::{Digest, Sha256};

use super::load::{OBJECT, chain};
use crate::model::object::{Helper, Map, Object, Program};
use crate::source::Error;

/// The hash of the sources that the object was made of, as `build.rs` knows it; empty where the
/// object is a packager's own.
const SOURCES: &str = env!("TRACER_EBPF_SOURCES");

/// Reads the object that this program has inside.
///
/// # Errors
/// When it is none.
pub fn contents() -> Result<Object, Error> {
    let parsed = Parsed::parse(OBJECT).map_err(|cause| Error::Kernel {
        doing: "read the eBPF object".to_owned(),
        because: chain(&cause),
        advice: "to build the tracer anew".to_owned(),
    })?;
    let functions = || parsed.functions.values();
    Ok(Object {
        sha256: format!("{:x}", Sha256::digest(OBJECT)),
        sources_sha256: (!SOURCES.is_empty()).then(|| SOURCES.to_owned()),
        licence: parsed.license.to_string_lossy().into_owned(),
        instructions: functions().map(|it| it.instructions.len()).sum(),
        programs: programs(&parsed),
        helpers: helpers(functions().flat_map(|it| &it.instructions)),
        maps: maps(&parsed),
    })
}

fn programs(parsed: &Parsed) -> Vec<Program> {
    let programs = parsed.programs.iter().map(|(name, program)| Program {
        name: name.clone(),
        kind: match &program.section {
            ProgramSection::BtfTracePoint => "tp_btf".to_owned(),
            ProgramSection::FEntry { .. } => "fentry".to_owned(),
            other => format!("{other:?}"),
        },
    });
    let mut programs: Vec<_> = programs.collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

/// All calls that leave the object, those in functions that no program reaches included.
fn helpers<'a>(instructions: impl Iterator<Item = &'a bpf_insn>) -> Vec<Helper> {
    /// `BPF_PSEUDO_CALL` of include/uapi/linux/bpf.h: the object's own functions.
    const OWN: u8 = 1;
    let mut calls = BTreeMap::<String, usize>::new();
    for instruction in instructions {
        let is_call = u32::from(instruction.code) == BPF_JMP | BPF_CALL;
        match instruction.src_reg() {
            0 if is_call => *calls.entry(helper(instruction.imm)).or_default() += 1,
            kind if is_call && kind != OWN => {
                *calls
                    .entry(format!("kfunc {}", instruction.imm))
                    .or_default() += 1;
            }
            _ => {}
        }
    }
    let helpers = calls
        .into_iter()
        .map(|(name, calls)| Helper { name, calls });
    helpers.collect()
}

fn helper(number: i32) -> String {
    let known = u32::try_from(number)
        .ok()
        .filter(|&number| number < bpf_func_id::__BPF_FUNC_MAX_ID as u32);
    let Some(known) = known else {
        return format!("helper {number}");
    };
    // SAFETY: the enumeration is a `u32` without gaps from 0 to its maximum, as bindgen made it of
    // `__BPF_FUNC_MAPPER` of include/uapi/linux/bpf.h.
    let known = unsafe { std::mem::transmute::<u32, bpf_func_id>(known) };
    format!("{known:?}").replace("BPF_FUNC_", "bpf_")
}

fn maps(parsed: &Parsed) -> Vec<Map> {
    let maps = parsed.maps.iter().map(|(name, map)| Map {
        name: name.clone(),
        kind: kind(map.map_type()),
        key_bytes: map.key_size(),
        value_bytes: map.value_size(),
        entries: map.max_entries(),
    });
    let mut maps: Vec<_> = maps.collect();
    maps.sort_by(|a, b| a.name.cmp(&b.name));
    maps
}

fn kind(number: u32) -> String {
    if number >= bpf_map_type::__MAX_BPF_MAP_TYPE as u32 {
        return format!("type {number}");
    }
    // SAFETY: the enumeration is a `u32` without gaps from 0 to its maximum (`enum bpf_map_type` of
    // include/uapi/linux/bpf.h).
    let known = unsafe { std::mem::transmute::<u32, bpf_map_type>(number) };
    format!("{known:?}")
        .trim_start_matches("BPF_MAP_TYPE_")
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Helpers that read, tell the time, or work on the object's own maps.
    const HARMLESS: &[&str] = &[
        "bpf_get_current_comm",
        "bpf_get_current_cgroup_id",
        "bpf_get_current_pid_tgid",
        "bpf_get_current_task",
        "bpf_get_netns_cookie",
        "bpf_get_prandom_u32",
        "bpf_get_smp_processor_id",
        "bpf_get_socket_cookie",
        "bpf_ktime_get_ns",
        "bpf_map_delete_elem",
        "bpf_map_lookup_elem",
        "bpf_map_update_elem",
        "bpf_probe_read_kernel",
        "bpf_probe_read_kernel_str",
        "bpf_ringbuf_output",
        "bpf_ringbuf_reserve",
        "bpf_skc_to_tcp_sock",
    ];

    /// What hands over, or gives up, what was reserved.
    const ENDS_OF_RESERVATIONS: [&str; 2] = ["bpf_ringbuf_discard", "bpf_ringbuf_submit"];

    #[test]
    fn no_helper_writes_a_packet_or_anything_else_of_the_kernels() {
        let object = contents().unwrap();
        assert!(!object.helpers.is_empty());
        let is_known =
            |name: &str| HARMLESS.contains(&name) || ENDS_OF_RESERVATIONS.contains(&name);
        let others: Vec<_> = object
            .helpers
            .iter()
            .filter(|helper| !is_known(&helper.name))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn no_program_is_of_a_type_that_decides_over_packets() {
        let object = contents().unwrap();
        let kinds = object.programs.iter().map(|program| program.kind.as_str());
        let others: Vec<_> = kinds
            .filter(|kind| !["tp_btf", "fentry"].contains(kind))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn what_the_object_can_do() {
        let object = contents().unwrap();
        let programs = object
            .programs
            .iter()
            .map(|it| format!("{} {}", it.kind, it.name));
        let helpers = object.helpers.iter().map(|it| it.name.clone());
        let maps = object
            .maps
            .iter()
            .map(|it| format!("{} {}", it.kind, it.name));
        let all: Vec<_> = programs.chain(helpers).chain(maps).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    /// Unless the sources were edited since, and the object compiled with this program.
    #[test]
    fn the_hashes_are_the_manifests() {
        let manifest = include_str!("../../../object/manifest.toml");
        let object = contents().unwrap();
        let sources = object
            .sources_sha256
            .as_deref()
            .expect("made of the sources here");
        if manifest.contains(sources) {
            assert!(manifest.contains(&object.sha256), "{object:?}");
        }
    }

    #[test]
    fn a_call_of_the_future_has_its_number() {
        assert_eq!(helper(1), "bpf_map_lookup_elem");
        assert_eq!(helper(211), "bpf_cgrp_storage_delete");
        assert_eq!(helper(100_000), "helper 100000");
        assert_eq!(kind(1), "hash");
        assert_eq!(kind(1_000), "type 1000");
    }
}
