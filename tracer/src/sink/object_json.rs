//! What the kernel half can do, as JSON in the schema `tracer.object/1`.

use serde::Serialize;

use super::json;
use crate::model::object::{Helper, Map, Object, Program};

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.object/1";

/// The object as one line of JSON.
pub fn to_text(object: &Object) -> String {
    json::line(&Wire {
        schema: SCHEMA,
        sha256: &object.sha256,
        sources_sha256: object.sources_sha256.as_deref(),
        licence: &object.licence,
        instructions: object.instructions,
        programs: object.programs.iter().map(WireProgram::of).collect(),
        helpers: object.helpers.iter().map(WireHelper::of).collect(),
        maps: object.maps.iter().map(WireMap::of).collect(),
    })
}

#[derive(Serialize)]
struct Wire<'a> {
    schema: &'static str,
    sha256: &'a str,
    sources_sha256: Option<&'a str>,
    licence: &'a str,
    instructions: usize,
    programs: Vec<WireProgram<'a>>,
    helpers: Vec<WireHelper<'a>>,
    maps: Vec<WireMap<'a>>,
}

#[derive(Serialize)]
struct WireProgram<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<'a> WireProgram<'a> {
    fn of(program: &'a Program) -> Self {
        Self {
            name: &program.name,
            kind: &program.kind,
        }
    }
}

#[derive(Serialize)]
struct WireHelper<'a> {
    name: &'a str,
    calls: usize,
}

impl<'a> WireHelper<'a> {
    fn of(helper: &'a Helper) -> Self {
        Self {
            name: &helper.name,
            calls: helper.calls,
        }
    }
}

#[derive(Serialize)]
struct WireMap<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    key_bytes: u32,
    value_bytes: u32,
    max_entries: u32,
}

impl<'a> WireMap<'a> {
    fn of(map: &'a Map) -> Self {
        Self {
            name: &map.name,
            kind: &map.kind,
            key_bytes: map.key_bytes,
            value_bytes: map.value_bytes,
            max_entries: map.entries,
        }
    }
}
