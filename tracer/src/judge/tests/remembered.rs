//! What is remembered of before, and what becomes of it on the one screen.

use super::*;
use crate::detect::verdict::{Claim, Fact, KnownBy, Slower, Window, answer};
use crate::model::Report;
use crate::model::answer::Case;

impl Host {
    /// What is said of the only dependency, after ten more seconds.
    fn looked(&mut self) -> Case {
        let report = |host: &Self| Report::from_reading(host.world.reading());
        let begin = report(self);
        let middle = report(self.run(5));
        let end = report(self.run(5));
        let mut past = self.judge.remember(self.world.reading());
        past.at = self.at;
        let mut found = answer(&Window::new(&begin, &middle, &end), &past);
        assert_eq!(found.cases.len(), 1, "{found:#?}");
        found.cases.remove(0)
    }
}

fn asking() -> Host {
    let mut host = Host::new(1);
    host.world.with_exchanges = true;
    host
}

#[test]
fn a_peer_that_is_slower_than_it_was_is_told_with_its_before_and_its_incident() {
    let mut host = asking();
    host.run(LEARNT_S).world.peer = 5.0;
    host.until_told(30);
    let case = host.looked();
    let judgement = &case.judgement;
    assert_eq!(
        (judgement.word, judgement.claim),
        (Word::Peer, Claim::PeerGrew)
    );
    assert_eq!(case.incidents, [host.only().number]);
    let grown = case.grown.iter().find(|it| it.part == Word::Peer).unwrap();
    let near = |ns: u64, ms: u64| ns.abs_diff(ms * 1_000_000) < ms * 150_000;
    assert!(near(grown.before.p50_ns, 20), "{grown:?}");
    assert!(near(grown.now.p50_ns, 100), "{grown:?}");
    // Of nothing that is said nobody knows on how much it stands.
    assert!(grown.before.n > 1_000 && grown.now.n > 100, "{grown:?}");
}

#[test]
fn an_incident_that_lasts_is_told_though_too_little_passes() {
    let mut host = asking();
    host.run(LEARNT_S).world.peer = 5.0;
    host.until_told(30);
    host.world.packets = 1;
    let case = host.looked();
    assert_eq!(case.judgement.claim, Claim::TooFew, "{case:#?}");
    assert_eq!(case.incidents, [host.only().number]);
}

#[test]
fn a_leap_is_told_before_anything_is_found_and_less_is_not() {
    let mut host = asking();
    host.run(LEARNT_S).world.peer = 40.0;
    // What is known before the judge has seen a single slow second.
    let mut past = host.judge.remember(host.world.reading());
    assert!(!past.slower.is_empty());
    let unproven = |it: &Slower| it.known_by == KnownBy::Window;
    assert!(past.slower.iter().all(unproven), "{:#?}", past.slower);
    let report = |host: &Host| Report::from_reading(host.world.reading());
    let begin = report(&host);
    let middle = report(host.run(5));
    let end = report(host.run(5));
    past.at = host.at;
    let case = answer(&Window::new(&begin, &middle, &end), &past)
        .cases
        .remove(0);
    assert_eq!(case.judgement.claim, Claim::PeerGrew, "{case:#?}");

    let mut host = asking();
    host.run(LEARNT_S).world.peer = 1.3;
    let case = host.looked();
    assert!(case.grown.is_empty(), "{case:#?}");
}

#[test]
fn what_grew_by_next_to_nothing_of_an_answer_is_no_complaint() {
    let mut host = asking();
    host.run(LEARNT_S).world.fault = Some(Fault::slow("rx", 10.0));
    host.until_told(30);
    let case = host.looked();
    // Half a millisecond of 20.
    assert!(
        case.grown.iter().any(|it| it.part == Word::Path),
        "{case:#?}"
    );
    let grew = |fact: &Fact| matches!(fact, Fact::Grew(_));
    assert!(!case.judgement.evidence.iter().any(grew), "{case:#?}");
}

#[test]
fn a_way_that_is_new_is_held_against_the_one_that_it_replaced() {
    let mut host = asking();
    host.run(LEARNT_S).world.moved = Some(50.0);
    let case = host.run(10).looked();
    assert_eq!(case.judgement.claim, Claim::PathGrew, "{case:#?}");
    let grown = case.grown.iter().find(|it| it.part == Word::Path).unwrap();
    assert!(grown.before.p50_ns < 300_000, "{grown:?}");
    assert!(grown.now.p50_ns > 8_000_000, "{grown:?}");

    let mut host = asking();
    host.run(LEARNT_S).world.moved = Some(1.1);
    let case = host.run(10).looked();
    assert_ne!(case.judgement.word, Word::Path, "{case:#?}");
}

#[test]
fn as_usual_is_said_after_an_hour_and_not_before() {
    let mut host = asking();
    host.world.peer = 3.0;
    let case = host.run(LEARNT_S).looked();
    assert_eq!(case.judgement.claim, Claim::NothingToCompare, "{case:#?}");
    let case = host.run(3_600).looked();
    assert_eq!(case.judgement.word, Word::Healthy, "{case:#?}");
}
