//! `/api/verdict`: looks for a while at what the agent counts, and says what is wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State as Known};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::api::Api;
use super::journal::now;
use crate::app::verdict::{Form, TARGET, show, to_header};
use crate::config::value;
use crate::detect;
use crate::detect::verdict::{Moved, Window};
use crate::model::answer::Answer;
use crate::model::incident::{Incident, Name};
use crate::model::journal::Changes;
use crate::model::{Reading, Report};
use crate::sink::Look;

/// How far back changes are looked for.
const BACK_NS: u64 = 6 * 3_600 * 1_000_000_000;

/// What may stand behind `/api/verdict?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    /// For how long to look.
    duration: String,
    /// What it is about; empty for everything.
    about: String,
    /// `json`, `text` for one screen, `long`, or `evidence` for a hand-over.
    form: AskedForm,
    /// The screen's columns.
    width: usize,
    /// Whether it has colours.
    colour: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AskedForm {
    #[default]
    Json,
    Text,
    Long,
    Evidence,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            duration: "10s".to_owned(),
            about: String::new(),
            form: AskedForm::Json,
            width: 80,
            colour: false,
        }
    }
}

impl Asked {
    fn form(&self) -> (Form, &'static str) {
        let look = Look {
            width: self.width.clamp(50, 1_000),
            colour: self.colour,
        };
        let text = "text/plain; charset=utf-8";
        match self.form {
            AskedForm::Json => (Form::Json, "application/json"),
            AskedForm::Text => (Form::Screen(look), text),
            AskedForm::Long => (Form::Long(look), text),
            AskedForm::Evidence => (Form::Evidence, "text/markdown; charset=utf-8"),
        }
    }
}

pub(super) async fn verdict(Known(api): Known<Arc<Api>>, Query(asked): Query<Asked>) -> Response {
    let duration = match value::duration(&asked.duration) {
        Ok(duration) => duration,
        Err(problem) => {
            let text = format!("duration: {problem}; allowed: {}\n", value::DURATION);
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    if let Some(refusal) = not_now(&api, &asked.about) {
        return refusal;
    }
    let Ok(_one_of_few) = api.looks.try_acquire() else {
        let text = "others look already; ask again when they have seen enough\n";
        return (StatusCode::TOO_MANY_REQUESTS, text).into_response();
    };
    let Some(readings) = readings(&api, duration).await else {
        let text = "there is no reading: it did not begin yet, or is detached for a while\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let _one_report = api.reports.acquire().await;
    let (shared, (form, kind)) = (Arc::clone(&api), asked.form());
    let page = spawn_blocking(move || {
        let answer = answer(&shared, &readings, &asked.about);
        let target = answer.target().as_ref().map(to_header);
        (show(&answer, form), target.unwrap_or_default())
    });
    match page.await {
        Ok((text, target)) => {
            let kind = (header::CONTENT_TYPE.as_str(), kind);
            ([kind, (TARGET, target.as_str())], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Why an incident can't be looked at.
fn not_now(api: &Api, about: &str) -> Option<Response> {
    let name = Name::from_full_text(about)?;
    let (incidents, _) = api.state.docket.incidents(0);
    let found = incidents.into_iter().find(|it| it.number == name.0);
    let (code, text) = match found {
        None => (StatusCode::NOT_FOUND, format!("there is no {name}\n")),
        Some(it) if !it.is_active() => (StatusCode::CONFLICT, format!("{name} is over\n")),
        Some(_) => return None,
    };
    Some((code, text).into_response())
}

/// At the beginning, in the middle, and at the end.
pub(super) async fn readings(api: &Api, duration: Duration) -> Option<[Arc<Reading>; 3]> {
    let begin = api.look.now().await?;
    tokio::time::sleep(duration / 2).await;
    let middle = api.look.now().await?;
    tokio::time::sleep(duration / 2).await;
    Some([begin, middle, api.look.now().await?])
}

fn answer(api: &Api, readings: &[Arc<Reading>; 3], about: &str) -> Answer {
    let mut answer = judged(api, readings);
    if !about.is_empty() {
        answer.about(about);
    }
    answer
}

/// What was seen from the first reading to the last, with all that the agent knows beside.
pub(super) fn judged(api: &Api, readings: &[Arc<Reading>; 3]) -> Answer {
    let [begin, middle, mut end] = readings.each_ref().map(|it| Report::from_reading(it));
    api.state.journal.date(&mut end);
    let window = Window::new(&begin, &middle, &end);
    let mut past = api.state.docket.remember(&readings[2]);
    past.at = now();
    // Nothing is said of the time in which nobody watched.
    let back = BACK_NS.min(end.duration_ns);
    let changes = api.state.journal.changes(past.at.saturating_sub(back));
    past.moved = moved(&changes);
    let mut answer = detect::verdict::answer(&window, &past);
    answer.incidents = api.state.docket.incidents(0).0;
    let is_recent = |it: &Incident| it.recovered().is_none_or(|at| at + BACK_NS >= past.at);
    answer.incidents.retain(is_recent);
    answer.by_agent = true;
    answer.changes = Some(changes);
    answer
}

fn moved(changes: &Changes) -> Vec<Moved> {
    let all = changes.changes.iter().flat_map(|told| {
        told.moved.iter().map(|route| Moved {
            namespace: told.entry.namespace.clone(),
            dependency: route.name.clone(),
            at: told.entry.last,
        })
    });
    all.collect()
}
