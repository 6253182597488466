//! Where in the file something is wrong: its line and its key.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::Error;
use super::file::Wrong;
use super::keys;

/// The error with its line, key, and what is allowed there.
pub(super) fn error(wrong: Wrong, text: &str, path: &Path) -> Error {
    let path = path.to_owned();
    let offset = wrong.span.map_or(0, |span| span.start).min(text.len());
    let line = 1 + text.get(..offset).unwrap_or(text).matches('\n').count();
    let problem = wrong.problem;
    let document = DeTable::parse(text).ok();
    let Some(key) = document.and_then(|document| key_at(document.get_ref(), offset)) else {
        return Error::Syntax {
            path,
            line,
            problem,
        };
    };
    match keys::allowed(&key) {
        Some(allowed) => Error::Value {
            path,
            line,
            key,
            problem,
            allowed: allowed.to_owned(),
        },
        None => Error::Value {
            path,
            line,
            allowed: keys::beside(&key),
            problem: "there is no such key".to_owned(),
            key,
        },
    }
}

/// The innermost key whose name or value stands at a byte of the text.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let key = name.get_ref();
        if let Some(inner) = inside(value.get_ref(), offset) {
            return Some(format!("{key}.{inner}"));
        }
        let here = name.span().contains(&offset) || value.span().contains(&offset);
        here.then(|| key.to_string())
    })
}

fn inside(value: &DeValue<'_>, offset: usize) -> Option<String> {
    match value {
        DeValue::Table(table) => key_at(table, offset),
        DeValue::Array(all) => all.iter().find_map(|it| inside(it.get_ref(), offset)),
        _ => None,
    }
}
