//! The rooms' borders, and what else the house promises of its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A room of the agent: who it may name.
struct Room {
    name: &'static str,
    /// Rooms and crates of ours.
    may_name: &'static [&'static str],
    /// Other rooms, but of these only their settings.
    settings_of: &'static [&'static str],
    /// Crates and paths that stay outside, whoever they belong to.
    never: &'static [&'static str],
}

const EVERYONE: &[&str] = &[
    "app", "cli", "config", "detect", "judge", "model", "sink", "source", "store",
];

const ROOMS: [Room; 10] = [
    Room {
        name: "model",
        may_name: &["tracer_common"],
        settings_of: &[],
        never: DRY,
    },
    Room {
        name: "source",
        may_name: &["model", "tracer_common"],
        settings_of: &[],
        never: &[],
    },
    Room {
        name: "detect",
        may_name: &["model"],
        settings_of: &[],
        never: DRY,
    },
    Room {
        name: "judge",
        may_name: &["detect", "model"],
        settings_of: &[],
        never: DRY,
    },
    Room {
        name: "sink",
        may_name: &["model"],
        settings_of: &[],
        never: KERNEL,
    },
    Room {
        name: "store",
        may_name: &["model"],
        settings_of: &[],
        never: KERNEL,
    },
    Room {
        name: "config",
        may_name: &["model"],
        settings_of: EVERYONE,
        never: KERNEL,
    },
    Room {
        name: "cli",
        may_name: &["config", "model"],
        settings_of: EVERYONE,
        never: KERNEL,
    },
    Room {
        name: "fuzz",
        may_name: &["config", "source", "store"],
        settings_of: &[],
        never: KERNEL,
    },
    Room {
        name: "app",
        may_name: &[
            "cli",
            "config",
            "detect",
            "judge",
            "model",
            "sink",
            "source",
            "store",
            "tracer_common",
        ],
        settings_of: &[],
        never: KERNEL,
    },
];

/// Only `source` speaks with the kernel.
const KERNEL: &[&str] = &["aya", "aya_log", "unsafe"];

/// What can fail, or would make the same input give another result.
const DRY: &[&str] = &[
    "aya",
    "aya_log",
    "unsafe",
    "log",
    "serde",
    "serde_json",
    "tokio",
    "tracing",
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Names that say nothing about what a file is for.
const NAMELESS: [&str; 6] = ["common", "helper", "helpers", "manager", "util", "utils"];

const TOP_LEVEL: [&str; 18] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "tracer",
    "tracer-common",
    "tracer-ebpf",
    "xtask",
];

#[test]
fn rooms_name_only_those_they_may() {
    let agent = workspace().join("tracer/src");
    let mut wrong = Vec::new();
    for path in rust_files(&agent) {
        let Some(module) = module(path.strip_prefix(&agent).unwrap()) else {
            continue;
        };
        let Some(room) = ROOMS.iter().find(|room| room.name == module[0]) else {
            wrong.push(format!(
                "{}: no row of ROOMS says what this room may name",
                path.display()
            ));
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        let broken = trespasses(room, &module, &text);
        wrong.extend(
            broken
                .iter()
                .map(|what| format!("{}: names {what}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent = |path: &PathBuf| !fs::read_to_string(path).unwrap().starts_with("//! ");
    let silent: Vec<_> = rust_files(&workspace())
        .into_iter()
        .filter(silent)
        .collect();
    assert!(silent.is_empty(), "without a `//!` sentence: {silent:#?}");
}

#[test]
fn every_room_has_a_telling_name() {
    let nameless = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        NAMELESS.contains(&name.as_str())
    };
    let files = rust_files(&workspace().join("tracer/src"));
    let nameless: Vec<_> = files.into_iter().filter(nameless).collect();
    assert!(nameless.is_empty(), "say what is in them: {nameless:#?}");
}

#[test]
fn the_top_level_holds_only_what_is_listed() {
    // The tests may run as root in a user's clone, which git would refuse.
    let git = ["-c", "safe.directory=*", "ls-files"];
    let listed = Command::new("git")
        .args(git)
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tops = listed.lines().filter_map(|path| path.split('/').next());
    let mut strange: Vec<_> = tops.filter(|top| !TOP_LEVEL.contains(top)).collect();
    strange.dedup();
    assert!(
        strange.is_empty(),
        "list them in TOP_LEVEL, or find them a place: {strange:?}"
    );
}

#[test]
fn a_trespass_is_seen_however_it_is_written() {
    check(
        "model",
        "use tracer_common::hop::Hop;\nuse std::net::IpAddr;",
        &[],
    );
    check(
        "model",
        "use std::{fmt, fs::{self, File}};",
        &["std::fs::self", "std::fs::File"],
    );
    check(
        "model",
        "let now = std::time::Instant::now();",
        &["std::time::Instant::now"],
    );
    check(
        "model",
        "#[derive(serde::Serialize)]",
        &["serde::Serialize"],
    );
    check("model", "use serde::Serialize;", &["serde::Serialize"]);
    check("model", "unsafe { read(at) }", &["unsafe"]);
    check(
        "model",
        "#![forbid(unsafe_code)]\n// unsafe is for source\n/* std::fs */",
        &[],
    );
    check(
        "model",
        "fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }",
        &[],
    );
    check("detect", "use crate::model::{Finding, Report};", &[]);
    check(
        "detect",
        "use crate::{model::Finding, sink::{json, tui}};",
        &["crate::sink::json", "crate::sink::tui"],
    );
    check(
        "detect",
        "use super::super::sink::json;",
        &["crate::sink::json"],
    );
    check("detect", "use super::Question;", &[]);
    check(
        "detect",
        "use tracer_common::hop::Hop;",
        &["tracer_common::hop::Hop"],
    );
    check("source", "use aya::Ebpf; unsafe { mmap() }", &[]);
    check(
        "sink",
        "fn show(report: &crate::source::Live) {}",
        &["crate::source::Live"],
    );
    check(
        "config",
        "use crate::{detect::Settings, sink::prometheus};",
        &["crate::sink::prometheus"],
    );
    check("app", "use crate::{detect, sink, source::live};", &[]);
    check(
        "app",
        r#"let text = "crate::nowhere and unsafe"; aya::start();"#,
        &["aya::start"],
    );
}

#[track_caller]
fn check(room: &str, text: &str, expected: &[&str]) {
    let module = [room.to_owned(), "file".to_owned()];
    let room = ROOMS.iter().find(|known| known.name == room).unwrap();
    assert_eq!(trespasses(room, &module, text), expected, "{text}");
}

/// What `text`, the file of `module`, names and its room may not.
fn trespasses(room: &Room, module: &[String], text: &str) -> Vec<String> {
    let text = code(text);
    let mut named: Vec<_> = words(&text)
        .filter(|word| *word == "unsafe")
        .map(str::to_owned)
        .collect();
    named.extend(paths(&text).iter().map(|path| absolute(path, module)));
    named.retain(|path| is_trespass(room, path));
    named
}

fn is_trespass(room: &Room, path: &str) -> bool {
    let is_below = |above: &str| {
        path.strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if room.never.iter().any(|never| is_below(never)) {
        return true;
    }
    let ours = path.strip_prefix("crate::").unwrap_or(path);
    let first = ours.split("::").next().unwrap_or_default();
    let is_room = path.starts_with("crate::") && EVERYONE.contains(&first);
    let is_border = (is_room && first != room.name) || first == "tracer_common";
    let is_settings = room.settings_of.contains(&first) && path.to_lowercase().contains("settings");
    is_border && !room.may_name.contains(&first) && !is_settings
}

/// `crate::sink::json` for `super::super::sink::json` in a file of `crate::detect`.
fn absolute(path: &str, module: &[String]) -> String {
    let rest = path.trim_start_matches("super::");
    let up = (path.len() - rest.len()) / "super::".len();
    if up == 0 {
        return path.to_owned();
    }
    let kept = &module[..module.len().saturating_sub(up)];
    [&["crate".to_owned()], kept, &[rest.to_owned()]]
        .concat()
        .join("::")
}

/// The code alone: no comments, no strings, no tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => string(rest),
            '\'' if rest.starts_with("'\"'") => 3,
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
        }
        rest = &rest[skipped.max(c.len_utf8())..];
    }
    code
}

/// The length of the string literal that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
}

/// Every path in `text`, groups like `a::{b, c::d}` written out.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let is_start = is_word(c) && !is_word(before) && before != ':';
        let length = if is_start {
            tree(rest, "", &mut found)
        } else {
            0
        };
        let length = length.max(c.len_utf8());
        before = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
    }
    found.retain(|path| path.contains("::"));
    found
}

/// Reads one `a::b`, `a::{b, c}` or `a::*` below `above`; returns how long it is.
fn tree(text: &str, above: &str, found: &mut Vec<String>) -> usize {
    let space = text.len() - text.trim_start().len();
    let text = &text[space..];
    if text.starts_with('{') {
        return space + group(text, above, found);
    }
    let end = text
        .find(|c: char| !is_word(c) && c != '*')
        .unwrap_or(text.len());
    let path = format!("{above}{}", &text[..end]);
    let below = text[end..].strip_prefix("::");
    let is_more = |below: &&str| below.starts_with(|c: char| is_word(c) || "{*".contains(c));
    if let Some(below) = below.filter(is_more) {
        return space + end + 2 + tree(below, &format!("{path}::"), found);
    }
    found.push(path);
    space + end
}

fn group(text: &str, above: &str, found: &mut Vec<String>) -> usize {
    let mut at = 1;
    while at < text.len() && !text[at..].trim_start().starts_with('}') {
        at += tree(&text[at..], above, found).max(1);
        at += usize::from(text[at..].starts_with(','));
    }
    at + text[at..].find('}').map_or(0, |end| end + 1)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `[detect, slow_hop]` for `detect/slow_hop.rs`; the crate's own roots are in no room.
fn module(path: &Path) -> Option<Vec<String>> {
    let parts = path.with_extension("");
    let parts: Vec<_> = parts
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    (!["lib", "main"].contains(&parts[0].as_str())).then_some(parts)
}

/// Rust files below `folder`, hidden folders and build results left out.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}
