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
use crate::model::answer::{Answer, Case};
use crate::model::verdict::{Claim, Word};
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

/// The judgement of the worst dependency that is a part of an incident, and of those that have the word of
/// most; none where nothing new can be said.
///
/// What is wrong with one place is so for all that go there, while those who wait for one of these, which
/// not every host can see that they do, are another matter. Who is known to wait is not accused, and comes
/// behind all that are. Where nothing comes back any more nobody can say so of what was the matter before.
fn of_incident(answer: &Answer, number: u64) -> Option<Looked> {
    let parts = || {
        answer
            .cases
            .iter()
            .filter(|it| it.incidents.contains(&number))
    };
    let accused = || parts().filter(|it| it.judgement.word.accuses());
    let to_blame = || accused().filter(|it| it.waits_for.is_none());
    let with = |word| to_blame().filter(|it| it.judgement.word == word).count();
    // Of as many it is the worst one's: the first, which is what the last of a turned order is.
    let most = to_blame().rev().max_by_key(|it| with(it.judgement.word));
    let is_silent = |case: &&Case| case.judgement.claim == Claim::Silent;
    let silent = || {
        let are_most = 2 * parts().filter(is_silent).count() >= parts().count();
        parts().find(is_silent).filter(|_| are_most)
    };
    let case = most.or_else(|| accused().next()).or_else(silent)?;
    let names = |has: &dyn Fn(Word) -> bool| {
        let those = parts().filter(|it| has(it.judgement.word));
        those.map(Case::name).collect()
    };
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
        takes_back: !word.accuses(),
        said_of: names(&|it| it == case.judgement.word),
        clear: names(&|it| it != Word::CantTell),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::answer::example;

    /// One incident of several dependencies: those of the path first in number, and last in what is waited for.
    fn shared(words: &[Word]) -> Answer {
        let mut answer = example::outdated();
        let case = answer.cases[0].clone();
        let of = |&word: &Word| {
            let mut case = case.clone();
            case.incidents = vec![7];
            case.judgement.word = word;
            case
        };
        answer.cases = words.iter().map(of).collect();
        answer
    }

    #[test]
    fn an_incident_has_the_word_of_most_that_have_a_part_in_it() {
        let word = |words: &[Word]| of_incident(&shared(words), 7).map(|it| it.word);
        assert_eq!(word(&[Word::App, Word::Path, Word::Path]), Some(Word::Path));
        assert_eq!(word(&[Word::App, Word::Path]), Some(Word::App));
        assert_eq!(
            word(&[Word::CantTell, Word::CantTell, Word::Peer]),
            Some(Word::Peer)
        );
        assert_eq!(word(&[Word::Healthy]), None);
        assert_eq!(of_incident(&shared(&[Word::Path]), 8), None);
    }

    #[test]
    fn where_nothing_comes_back_any_more_what_was_said_before_is_taken_back() {
        let mut answer = shared(&[Word::CantTell, Word::CantTell]);
        answer.cases[1].judgement.claim = Claim::Silent;
        let looked = of_incident(&answer, 7).unwrap();
        assert!(
            looked.takes_back && looked.word == Word::CantTell,
            "{looked:?}"
        );
    }

    #[test]
    fn it_is_told_of_whom_it_is_said_and_of_whom_anything_can_be() {
        let looked = of_incident(&shared(&[Word::App, Word::Healthy, Word::CantTell]), 7).unwrap();
        assert_eq!((looked.said_of.len(), looked.clear.len()), (1, 2));
    }

    #[test]
    fn who_waits_for_another_is_not_accused() {
        let mut answer = shared(&[Word::Peer, Word::Peer, Word::Path]);
        for case in &mut answer.cases[..2] {
            case.waits_for = Some("app → db tcp/5432".to_owned());
        }
        assert_eq!(of_incident(&answer, 7).unwrap().word, Word::Path);
        answer.cases.truncate(2);
        let looked = of_incident(&answer, 7).unwrap();
        assert!(
            looked.takes_back && looked.word == Word::CantTell,
            "{looked:?}"
        );
    }
}
