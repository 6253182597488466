//! Whether tracing can work here, as JSON in the schema `tracer.doctor/1`.

use serde::Serialize;

use super::json;
use crate::model::{Availability, State, reading};

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.doctor/1";

/// All rows and the verdict as one line of JSON.
pub fn to_text(rows: &[Availability]) -> String {
    json::line(&Doctor {
        schema: SCHEMA,
        works: reading::works(rows),
        rows: rows.iter().map(Row::of).collect(),
    })
}

#[derive(Serialize)]
struct Doctor<'a> {
    schema: &'static str,
    works: bool,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    meaning: &'a str,
    state: &'static str,
    because: Option<&'a str>,
    advice: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(row: &'a Availability) -> Self {
        let (state, because, advice) = match &row.state {
            State::Works => ("works", None, None),
            State::Unavailable { because, advice } => {
                ("unavailable", Some(because.as_str()), Some(advice.as_str()))
            }
            State::Missing { because, advice } => {
                ("missing", Some(because.as_str()), Some(advice.as_str()))
            }
        };
        Self {
            name: &row.name,
            meaning: &row.meaning,
            state,
            because,
            advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn the_lab_as_json() {
        let value: serde_json::Value =
            serde_json::from_str(&to_text(&example::lab().availability)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }
}
