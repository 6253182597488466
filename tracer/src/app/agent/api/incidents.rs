//! Incidents, to be read by all and accepted by those who may use the socket.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Known};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use crate::model::incident::Name;
use crate::sink::{incident_report, incidents_json, incidents_text, look};

/// The last revision of what is answered, so that one can ask for what came after.
pub(in crate::app) const REVISION: &str = "tracer-revision";

/// What may stand behind `/api/incidents?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    /// `json`, `text` for a screen, or `report` for the draft of one incident's postmortem.
    form: Form,
    /// The screen's columns.
    width: usize,
    /// Whether it has colours.
    colour: bool,
    /// Only what changed after this revision.
    after: u64,
    /// Only this one.
    id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Json,
    Text,
    Report,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            form: Form::Json,
            width: 80,
            colour: false,
            after: 0,
            id: None,
        }
    }
}

pub(super) async fn all(Known(api): Known<Arc<Api>>, Query(asked): Query<Asked>) -> Response {
    let docket = &api.state.docket;
    let (mut found, revision) = docket.incidents(asked.after);
    if let Some(id) = &asked.id {
        let Some(name) = Name::from_text(id) else {
            return no_name(id);
        };
        found.retain(|it| it.number == name.0);
        if found.is_empty() {
            return (StatusCode::NOT_FOUND, format!("there is no {name}\n")).into_response();
        }
    }
    let about = docket.about();
    let (text, kind) = match asked.form {
        Form::Json => (incidents_json::to_text(&found, &about), "application/json"),
        Form::Text => {
            let look = look::Look {
                width: asked.width.clamp(50, 1_000),
                colour: asked.colour,
            };
            let problem = about.not_on_disk.as_deref();
            let text = incidents_text::to_text(&found, problem, look);
            (text, "text/plain; charset=utf-8")
        }
        Form::Report => {
            let all: Vec<String> = found.iter().map(incident_report::to_text).collect();
            (all.join("\n"), "text/markdown; charset=utf-8")
        }
    };
    let revision = (REVISION, revision.to_string());
    (
        [(header::CONTENT_TYPE.as_str(), kind.to_owned()), revision],
        text,
    )
        .into_response()
}

pub(super) async fn accept(Known(api): Known<Arc<Api>>, Path(id): Path<String>) -> Response {
    let Some(name) = Name::from_text(&id) else {
        return no_name(&id);
    };
    match api.state.docket.accept(name) {
        Ok(()) => {
            format!("{name} is accepted: what it does now is normal from here on\n").into_response()
        }
        Err(because) => (StatusCode::CONFLICT, because + "\n").into_response(),
    }
}

fn no_name(id: &str) -> Response {
    let text = format!("{id:?} is no incident; allowed: INC-7 or 7\n");
    (StatusCode::BAD_REQUEST, text).into_response()
}
