//! A wire type as one line of JSON.

use serde::Serialize;

/// One line, with its end.
pub(super) fn line(value: &impl Serialize) -> String {
    let mut text =
        serde_json::to_string(value).expect("wire types have string keys and fail in no other way");
    text.push('\n');
    text
}
