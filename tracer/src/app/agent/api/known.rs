//! `/api/known`: since when a route is as it is, and who made it so, for `tracer blame`.

use std::sync::Arc;

use axum::extract::{Query, State as Known};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use crate::model::journal::{Kind, Subject};
use crate::store;

/// What has to stand behind `/api/known?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The network namespace's name.
    netns: String,
    /// What the journal calls the route.
    route: String,
}

/// A row of the journal as it is on disk, or `null`.
pub(super) async fn known(Known(api): Known<Arc<Api>>, Query(asked): Query<Asked>) -> Response {
    let subject = Subject {
        kind: Kind::Route,
        name: asked.route,
    };
    let row = api.state.journal.known(&asked.netns, &subject);
    let row = row.map_or_else(|| b"null".to_vec(), |row| store::of_row(&row));
    ([(header::CONTENT_TYPE, "application/json")], row).into_response()
}
