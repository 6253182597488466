//! What the kernel half can do, as a person reads it.

use std::fmt::Write;

use super::units;
use crate::model::object::Object;

/// Hashes, programs, helpers and maps, a line each.
pub fn to_text(object: &Object) -> String {
    let mut text = String::new();
    let sources = object.sources_sha256.as_deref();
    for (name, value) in [
        ("object   sha256", object.sha256.as_str()),
        (
            "sources  sha256",
            sources.unwrap_or("unknown: a packager's own object"),
        ),
        ("licence", &object.licence),
    ] {
        line(&mut text, format_args!("{name:<16} {value}"));
    }
    let instructions = units::count(object.instructions as u64);
    let programs = object.programs.len();
    line(
        &mut text,
        format_args!("\n{programs} programs, {instructions} instructions"),
    );
    for program in &object.programs {
        line(
            &mut text,
            format_args!("  {:<7} {}", program.kind, program.name),
        );
    }
    line(
        &mut text,
        format_args!("\nfunctions of the kernel that they call"),
    );
    for helper in &object.helpers {
        let times = if helper.calls == 1 { "place" } else { "places" };
        line(
            &mut text,
            format_args!("  {:<26} in {} {times}", helper.name, helper.calls),
        );
    }
    line(
        &mut text,
        format_args!("\nmaps, with bytes of key and value, and entries before the configuration"),
    );
    for map in &object.maps {
        let entries = units::count(map.entries.into());
        line(
            &mut text,
            format_args!(
                "  {:<14} {:<13} {:>4} {:>8} {entries:>9}",
                map.name, map.kind, map.key_bytes, map.value_bytes
            ),
        );
    }
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("text grows as it is written to");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{Helper, Map, Program};
    use crate::sink::object_json;

    fn object() -> Object {
        Object {
            sha256: "aa".repeat(32),
            sources_sha256: Some("bb".repeat(32)),
            licence: "Dual MIT/GPL".to_owned(),
            instructions: 12_345,
            programs: vec![Program {
                name: "net_dev_queue".to_owned(),
                kind: "tp_btf".to_owned(),
            }],
            helpers: vec![Helper {
                name: "bpf_ktime_get_ns".to_owned(),
                calls: 3,
            }],
            maps: vec![Map {
                name: "CELLS".to_owned(),
                kind: "array".to_owned(),
                key_bytes: 4,
                value_bytes: 976,
                entries: 16_384,
            }],
        }
    }

    #[test]
    fn an_object_as_text() {
        insta::assert_snapshot!(to_text(&object()));
    }

    #[test]
    fn an_object_as_json() {
        insta::assert_snapshot!(object_json::to_text(&object()));
    }

    #[test]
    fn an_object_of_unknown_sources_says_so() {
        let object = Object {
            sources_sha256: None,
            ..object()
        };
        assert!(to_text(&object).contains("sources  sha256  unknown: a packager's own object\n"));
        assert!(object_json::to_text(&object).contains("\"sources_sha256\":null"));
    }
}
