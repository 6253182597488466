//! The screen for each first word.

use super::*;
use crate::model::answer::example;

/// It is right at 80 columns, and has no line too many.
#[track_caller]
fn screen(answer: &Answer) -> String {
    let text = to_text(answer, Look::default());
    for line in text.lines() {
        assert!(fit::width(line) <= 80, "{line}");
        assert_eq!(line.trim_end(), line);
    }
    assert!(text.lines().count() <= 24, "{text}");
    text
}

#[test]
fn path() {
    insta::assert_snapshot!(screen(&example::outdated()));
}

#[test]
fn peer() {
    insta::assert_snapshot!(screen(&example::thinking()));
}

#[test]
fn this_host() {
    insta::assert_snapshot!(screen(&example::dropping()));
}

#[test]
fn app() {
    insta::assert_snapshot!(screen(&example::reading_late()));
}

#[test]
fn healthy() {
    insta::assert_snapshot!(screen(&example::healthy()));
}

#[test]
fn cant_tell() {
    insta::assert_snapshot!(screen(&example::trickle()));
}

#[test]
fn some_connections() {
    insta::assert_snapshot!(screen(&example::one_way_of_three(false)));
}

#[test]
fn some_ways_lose() {
    insta::assert_snapshot!(screen(&example::one_way_of_three(true)));
}

#[test]
fn nothing_seen() {
    insta::assert_snapshot!(screen(&Answer::default()));
}

#[test]
fn an_agent_knows_what_changed() {
    let answer = Answer {
        by_agent: true,
        changes: Some(crate::model::example::changes()),
        ..example::outdated()
    };
    insta::assert_snapshot!(screen(&answer));
}

#[test]
fn an_agent_knows_what_was_before() {
    insta::assert_snapshot!(screen(&example::remembered()));
}

#[test]
fn a_hand_over_has_no_names() {
    insta::assert_snapshot!(to_evidence(&example::remembered()));
}

#[test]
fn why_tells_of_each() {
    insta::assert_snapshot!(to_long_text(&example::outdated(), Look::default()));
}

#[test]
fn a_narrow_screen_holds_it_too() {
    let look = Look {
        width: 50,
        colour: false,
    };
    let text = to_text(&example::outdated(), look);
    assert!(text.lines().all(|line| fit::width(line) <= 50), "{text}");
}

#[test]
fn colours_are_only_added() {
    let look = Look {
        width: 80,
        colour: true,
    };
    let painted = to_text(&example::outdated(), look);
    let mut plain = String::new();
    let mut rest = painted.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').expect("the code's end").1;
    }
    plain += rest;
    assert_eq!(plain, to_text(&example::outdated(), Look::default()));
}

mod arbitrary {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::model::End;
    use crate::model::passing::TtlStep;
    use crate::model::verdict::{Claim, Fact, Sure, TurnedBack, Unknown, Why};

    fn examples() -> Vec<Answer> {
        vec![
            example::outdated(),
            example::remembered(),
            example::thinking(),
            example::dropping(),
            example::reading_late(),
            example::healthy(),
            example::trickle(),
        ]
    }

    /// What no example has.
    fn said_by_routers() -> Vec<Fact> {
        let by = "fd00:1234:5678:9abc:def0:1234:5678:9abc".parse().unwrap();
        let all = [
            Why::Unreachable,
            Why::TimeExceeded,
            Why::TooBig { mtu: Some(1_280) },
            Why::TooBig { mtu: None },
        ];
        let turned = all.map(|why| Fact::Turned(TurnedBack { by, why, times: 12 }));
        let step = TtlStep {
            before: 255,
            after: 250,
            ago_ns: 40_000_000_000,
        };
        turned.into_iter().chain([Fact::OtherTtl(step)]).collect()
    }

    fn facts() -> Vec<Fact> {
        let examples = examples();
        let cases = examples.iter().flat_map(|it| &it.cases);
        let judgements = cases.map(|it| &it.judgement);
        let all = judgements.flat_map(|it| {
            let cleared = it.cleared.iter().map(|(_, fact)| fact);
            it.evidence.iter().chain(&it.against).chain(cleared)
        });
        let mut facts: Vec<Fact> = said_by_routers();
        for fact in all {
            if !facts.contains(fact) {
                facts.push(fact.clone());
            }
        }
        facts
    }

    /// What programs, containers, people and namespaces may be called.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof![".{0,90}", "[a-z0-9-]{1,70}", "[a-z]{1,8} [a-z]{1,8}"]
    }

    /// Each that there is.
    const CLAIMS: [Claim; 29] = [
        Claim::StaleRoute,
        Claim::AfterChange,
        Claim::BehindNextHop,
        Claim::PathGrew,
        Claim::PathLoses,
        Claim::WayBackSlow,
        Claim::WayBackMoved,
        Claim::WrongNeighbour,
        Claim::RouterRefuses,
        Claim::HostDrops,
        Claim::HostWaits,
        Claim::HostGrew,
        Claim::ReadsLate,
        Claim::AcceptsLate,
        Claim::AppGrew,
        Claim::AppThinks,
        Claim::PeerThinks,
        Claim::PeerGrew,
        Claim::PeerRefuses,
        Claim::PeerReadsLate,
        Claim::PeerOrWayBack,
        Claim::StreamLoses,
        Claim::SomeConnections,
        Claim::SomeWaysLose,
        Claim::Silent,
        Claim::NothingToCompare,
        Claim::NotSeen,
        Claim::TooFew,
        Claim::Fine,
    ];

    prop_compose! {
        /// A case with anything in it.
        fn case()(
            answer in select(examples()),
            names in vec(name(), 5),
            word in select(Word::ALL.to_vec()),
            claim in select(CLAIMS.to_vec()),
            sure in select(vec![Sure::Sure, Sure::Likely, Sure::Possible]),
            evidence in subsequence(facts(), 0..=facts().len()),
            against in subsequence(facts(), 0..=facts().len()),
            unknown in subsequence(vec![
                Unknown::Baseline, Unknown::Way, Unknown::RouteAge, Unknown::Siblings,
                Unknown::Peer, Unknown::Unseen,
            ], 0..=6),
            numbers in vec(0..1u64 << 50, 4),
            siblings in 0usize..9,
        ) -> Case {
            let mut case = answer.cases[0].clone();
            case.class.source = End::Component(names[0].clone());
            case.class.destination = End::Component(names[1].clone());
            case.namespace.clone_from(&names[2]);
            case.device.clone_from(&names[3]);
            case.waits_for = Some(names[4].clone());
            case.next_hop = "fd00:1234:5678:9abc:def0:1234:5678:9abc".parse().ok();
            case.judgement.word = word;
            case.judgement.claim = claim;
            case.judgement.sure = sure;
            case.judgement.cleared = against.iter().map(|it| (Word::Peer, it.clone())).collect();
            case.judgement.evidence = evidence;
            case.judgement.against = against;
            case.judgement.unknown = unknown;
            case.exchanges = numbers[0];
            case.undisturbed = numbers[1];
            case.connections = numbers[2] as usize;
            case.clients = numbers[3] as usize;
            let all = case.siblings.iter().cycle().take(siblings * case.siblings.len().min(1));
            case.siblings = all.cloned().collect();
            for sibling in &mut case.siblings {
                sibling.client.clone_from(&names[0]);
            }
            case
        }
    }

    proptest! {
        #[test]
        fn whatever_it_is_about_it_fits_the_screen(
            cases in vec(case(), 0..4),
            about in proptest::option::of(name()),
            by_agent in any::<bool>(),
            numbers in vec(0..1u64 << 50, 3),
            has_changes in any::<bool>(),
        ) {
            let answer = Answer {
                cases,
                about,
                by_agent,
                followed: (numbers[0] % 1_001) as f64 / 1_000.0,
                more: numbers[1] as usize,
                not_judged: numbers[2],
                changes: has_changes.then(crate::model::example::changes),
                losses: [("orphan".to_owned(), numbers[0])].into(),
                ..example::remembered()
            };
            for width in [50, 80, 1_000] {
                let look = Look { width, colour: false };
                let text = to_text(&answer, look);
                for line in text.lines() {
                    prop_assert!(fit::width(line) <= width.min(80), "{}", line);
                }
                if width >= 80 {
                    prop_assert!(text.lines().count() <= 24, "{}", text);
                    // The last line says when, and how it is known.
                    prop_assert!(text.contains("agent"), "{}", text);
                }
            }
        }
    }
}
