//! What devices carried against what was seen of it, as JSON.

use serde::Serialize;

use crate::model::coverage;

/// What a device carried in one direction, and what was seen of it.
#[derive(Serialize)]
pub(super) struct Coverage<'a> {
    netns: &'a str,
    netns_cookie: u64,
    device: &'a str,
    ifindex: u32,
    direction: &'static str,
    seen: u64,
    carried: u64,
    ratio: Option<f64>,
}

impl<'a> Coverage<'a> {
    pub(super) fn of(coverage: &'a coverage::Coverage) -> Self {
        Self {
            netns: &coverage.namespace.name,
            netns_cookie: coverage.namespace.cookie,
            device: &coverage.device,
            ifindex: coverage.ifindex,
            direction: coverage.direction.name(),
            seen: coverage.seen,
            carried: coverage.carried,
            ratio: coverage.ratio(),
        }
    }
}
