//! What can be asked of the agent, by its path.

mod incidents;
mod known;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Query, State as Known};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use super::journal::now;
use super::pages::Pages;
use super::reader::Look;
use super::state::{Following, State};
use crate::config::value;
use crate::model::Report;
use crate::model::about::About;
use crate::sink::prometheus::Form;
use crate::sink::{changes_json, changes_text, look, routes_json};

pub(in crate::app) use incidents::REVISION;

/// How old the last reading of a healthy agent is at most.
const OLDEST: Duration = Duration::from_secs(30);

/// What is said while the governor has detached the programs.
const DETACHED: &str = "detached for a while: the programs took more than agent.max_cpu\n";

/// How many reports are made at one moment: each takes a reading of its own.
const REPORTS: usize = 1;

/// How many look at the same time for a verdict: each holds three readings.
const LOOKS: usize = 4;

/// What requests are answered from.
pub(super) struct Api {
    pub(super) state: Arc<State>,
    pages: Pages,
    pub(super) look: Look,
    pub(super) reports: Semaphore,
    pub(super) looks: Semaphore,
}

impl Api {
    pub(super) fn new(state: Arc<State>, look: Look) -> Arc<Self> {
        Arc::new(Self {
            state,
            look,
            pages: Pages::default(),
            reports: Semaphore::new(REPORTS),
            looks: Semaphore::new(LOOKS),
        })
    }

    /// Gives back room that nobody needs any more.
    pub(super) fn tidy(&self) {
        self.pages.tidy(&self.state);
    }
}

/// What may be asked by whom: whoever may use the socket may also say that something is normal.
pub(super) fn router_of_socket(api: Arc<Api>) -> Router {
    let accept = post(incidents::accept).with_state(Arc::clone(&api));
    let known = get(known::known).with_state(Arc::clone(&api));
    router(api)
        .route("/api/incidents/{id}/accept", accept)
        .route("/api/known", known)
}

pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/api/routes", get(routes))
        .route("/api/changes", get(changes))
        .route("/api/verdict", get(super::verdict::verdict))
        .route("/api/incidents", get(incidents::all))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(api)
}

async fn metrics(Known(api): Known<Arc<Api>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<_> = accept.filter_map(|it| it.to_str().ok()).collect();
    let form = Form::accepted(&accept.join(","));
    match api.pages.get(&api.state, form).await {
        Some(page) => {
            let kind = (header::CONTENT_TYPE, form.content_type());
            ([kind, (header::VARY, "Accept")], Body::new(Slices(page))).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What may stand behind `/api/routes?`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Routes {
    /// Whose routes; empty for everybody's.
    about: String,
}

async fn routes(Known(api): Known<Arc<Api>>, Query(asked): Query<Routes>) -> Response {
    let _one_of_few = api.reports.acquire().await;
    let Some(reading) = api.look.now().await else {
        return match api.state.following() {
            Following::None => (StatusCode::SERVICE_UNAVAILABLE, DETACHED).into_response(),
            Following::OneIn(_) => not_yet(),
        };
    };
    let state = Arc::clone(&api.state);
    let text = spawn_blocking(move || {
        let mut report = if asked.about.is_empty() {
            Report::from_reading(&reading)
        } else {
            let classes = About::of(&asked.about).classes(&reading);
            Report::of_classes(&reading, |class| classes.get(class) == Some(&true))
        };
        state.journal.date(&mut report);
        routes_json::to_text(&report)
    })
    .await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What may stand behind `/api/changes?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// How far to look back.
    since: String,
    /// `json`, or `text` for a screen.
    form: ChangesForm,
    /// The screen's columns.
    width: usize,
    /// Whether it has colours.
    colour: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChangesForm {
    #[default]
    Json,
    Text,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            since: "1h".to_owned(),
            form: ChangesForm::Json,
            width: 80,
            colour: false,
        }
    }
}

async fn changes(Known(api): Known<Arc<Api>>, Query(asked): Query<Asked>) -> Response {
    let back = match value::since(&asked.since) {
        Ok(back) => u64::try_from(back.as_nanos()).unwrap_or(u64::MAX),
        Err(problem) => {
            let text = format!("since: {problem}; allowed: {}\n", value::SINCE);
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let _one_of_few = api.reports.acquire().await;
    let state = Arc::clone(&api.state);
    let page = spawn_blocking(move || {
        let changes = state.journal.changes(now().saturating_sub(back));
        match asked.form {
            ChangesForm::Json => (changes_json::to_text(&changes), "application/json"),
            ChangesForm::Text => {
                let look = look::Look {
                    width: asked.width.clamp(50, 1_000),
                    colour: asked.colour,
                };
                let text = changes_text::to_text(&changes, look);
                (text, "text/plain; charset=utf-8")
            }
        }
    });
    match page.await {
        Ok((text, kind)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn healthy(Known(api): Known<Arc<Api>>) -> Response {
    match api.state.age() {
        Some(age) if age > OLDEST => {
            let seconds = age.as_secs();
            let text = format!("the last reading is {seconds} s old\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        _ => "healthy\n".into_response(),
    }
}

async fn ready(Known(api): Known<Arc<Api>>) -> Response {
    match api.state.age() {
        None => not_yet(),
        Some(_) => match api.state.following() {
            Following::OneIn(1) => "ready\n".into_response(),
            Following::OneIn(each) => {
                format!("ready; 1 packet in {each} is followed\n").into_response()
            }
            Following::None => format!("ready; {DETACHED}").into_response(),
        },
    }
}

/// A page that is sent in parts, since a connection takes a copy of what it is handed.
struct Slices(Bytes);

/// Bytes of a part.
const PART: usize = 64 * 1024;

impl HttpBody for Slices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(PART);
        let part = (length > 0).then(|| self.0.split_to(length));
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "no reading came yet\n").into_response()
}
