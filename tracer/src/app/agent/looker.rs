//! Looks at open incidents by itself, as whoever types `tracer` would, so that both say the same.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::api::Api;
use super::verdict::{judged, readings};
use crate::judge::Looked;
use crate::model::Reading;
use crate::model::answer::Answer;
use crate::model::verdict::Word;
use crate::sink::verdict_text;

/// For how long it looks.
const TAKES: Duration = Duration::from_secs(6);

/// How often it is asked whether there is something to look at.
const EACH: Duration = Duration::from_secs(1);

/// How soon it looks again at incidents that it knows.
const AGAIN: Duration = Duration::from_secs(20);

/// … and so many times as long as the last look kept a processor busy: a large host has many routes.
const REST: u32 = 50;

/// Looks for as long as the agent runs.
pub(super) async fn run(api: Arc<Api>) {
    let mut known = HashSet::new();
    let mut again = Instant::now();
    loop {
        sleep(EACH).await;
        let open = api.state.docket.open();
        let is_new = !open.is_subset(&known);
        if open.is_empty() || (!is_new && Instant::now() < again) {
            continue;
        }
        // Without one nobody looks: tracing is detached for a while.
        if let Some(readings) = readings(&api, TAKES).await {
            let _one_report = api.reports.acquire().await;
            let shared = Arc::clone(&api);
            let busy = spawn_blocking(move || look(&shared, &readings)).await;
            again = Instant::now() + (busy.unwrap_or_default() * REST).max(AGAIN);
        }
        known = open;
    }
}

/// Tells each incident what was seen of it; returns how long that took.
fn look(api: &Api, readings: &[Arc<Reading>; 3]) -> Duration {
    let start = Instant::now();
    let answer = judged(api, readings);
    for (number, _) in api.state.docket.open() {
        if let Some(looked) = of_incident(&answer, number) {
            api.state.docket.looked(number, looked);
        }
    }
    start.elapsed()
}

/// The judgement of the worst dependency that is a part of an incident; none where none is accused.
///
/// Who only waits for another is not accused, and comes behind all that are.
fn of_incident(answer: &Answer, number: u64) -> Option<Looked> {
    let mut cases = answer.cases.iter();
    let case =
        cases.find(|case| case.incidents.contains(&number) && case.judgement.word.accuses())?;
    let (word, evidence) = match &case.waits_for {
        None => (case.judgement.word, verdict_text::sentences(case)),
        Some(other) => {
            let waits = format!("{} waits for {other}", case.name());
            (Word::CantTell, vec![waits])
        }
    };
    Some(Looked {
        word,
        place: case.place(),
        evidence,
        waits: case.waits_for.is_some(),
    })
}
