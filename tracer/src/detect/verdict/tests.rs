//! Evidence in, word out: each row of the table, and what is said beside the word.

#![expect(
    clippy::unnecessary_wraps,
    reason = "evidence holds options: what was not measured is none"
)]

use super::*;
use crate::model::journal::Age;
use crate::model::passing::TtlStep;
use crate::model::verdict::{
    Lost, Odd, Share, Side, SomeConnections, Timed, TurnedBack, Ways, Why,
};
use rstest::rstest;

const MS: u64 = 1_000_000;

fn timed(p50_ns: u64, n: u64) -> Option<Timed> {
    Some(Timed {
        p50_ns,
        p99_ns: p50_ns * 2,
        n,
    })
}

/// A client of a service that answers within a millisecond, over a short path.
fn healthy() -> Evidence {
    Evidence {
        exchanges: 400,
        opened: 3,
        packets: 1_200,
        asks_here: true,
        is_bounded: true,
        answer: timed(MS, 400),
        round_trip: timed(MS / 5, 60),
        round_trip_or_more: timed(MS, 300),
        measured: 360,
        peer_least: timed(0, 400),
        peer_most: timed(MS / 2, 400),
        reading: timed(MS / 20, 400),
        host: Some(HostTime {
            segment: "queue→xmit".to_owned(),
            place: "host eth0".to_owned(),
            time: Timed {
                p50_ns: 2_000,
                p99_ns: 9_000,
                n: 1_200,
            },
        }),
        ..Evidence::default()
    }
}

fn odd(by_loss: bool) -> Siblings {
    let side = |siblings, p50_ns, lost| Side {
        siblings,
        time: Timed {
            p50_ns,
            p99_ns: 2 * p50_ns,
            n: 300,
        },
        lost: Share {
            part: lost,
            of: 300,
        },
    };
    Siblings::Worse(Odd {
        by_loss,
        by_next_hop: true,
        worse: side(1, 20 * MS, 9),
        rest: side(2, MS / 2, 0),
    })
}

fn aged(seconds: u64) -> RouteState {
    RouteState {
        age: Some(Age {
            seconds,
            exact: true,
        }),
        changed_before_s: None,
    }
}

/// Behind one next hop it is slow.
fn slow_next_hop() -> Evidence {
    Evidence {
        answer: timed(21 * MS, 300),
        round_trip: timed(20 * MS, 40),
        siblings: odd(false),
        ..healthy()
    }
}

/// The peer thinks for 60 ms.
fn thinker() -> Evidence {
    Evidence {
        answer: timed(61 * MS, 300),
        peer_least: timed(20 * MS, 300),
        peer_most: timed(60 * MS, 300),
        ..healthy()
    }
}

fn grown(part: Word) -> Evidence {
    let time = |p50_ns| Timed {
        p50_ns,
        p99_ns: p50_ns,
        n: 500,
    };
    Evidence {
        has_baseline: true,
        grown: vec![Grown {
            part,
            before: time(MS),
            now: time(9 * MS),
            whole: false,
            found: true,
            place: None,
        }],
        ..healthy()
    }
}

fn third() -> SomeConnections {
    let time = |p50_ns| Timed {
        p50_ns,
        p99_ns: p50_ns,
        n: 900,
    };
    SomeConnections {
        bad: 33,
        of: 100,
        ways: Some((1, 3)),
        worse: time(40 * MS),
        rest: time(MS),
        ..SomeConnections::default()
    }
}

fn third_that_loses() -> SomeConnections {
    SomeConnections {
        by_loss: true,
        ..third()
    }
}

fn covered(seen: u64) -> Option<Covered> {
    Some(Covered {
        device: "host eth0".to_owned(),
        packets: Share {
            part: seen,
            of: 1_000,
        },
    })
}

fn dropped(packets: u64) -> Vec<Dropped> {
    vec![Dropped {
        reason: "QDISC_DROP".to_owned(),
        place: "host eth0".to_owned(),
        packets: Share {
            part: packets,
            of: 1_200,
        },
    }]
}

fn turned_back(times: u64, why: Why) -> Option<TurnedBack> {
    Some(TurnedBack {
        by: "10.12.0.1".parse().ok()?,
        why,
        times,
    })
}

fn full(times: u64) -> Option<NotAccepted> {
    Some(NotAccepted {
        namespace: "lab-db".to_owned(),
        times,
    })
}

fn ways(there_ns: u64, back_ns: u64) -> Option<Ways> {
    Some(Ways {
        there: timed(there_ns, 300)?,
        back: timed(back_ns, 300)?,
        wire: "db eth0 → router eth1".to_owned(),
        time: timed(there_ns.max(back_ns), 300)?,
    })
}

fn queued(p50_ns: u64) -> Option<HostTime> {
    Some(HostTime {
        time: timed(p50_ns, 300)?,
        ..healthy().host?
    })
}

#[rstest]
#[case::healthy(healthy(), Word::Healthy, Claim::Fine)]
#[case::nothing_seen(Evidence::default(), Word::CantTell, Claim::TooFew)]
#[case::a_trickle(Evidence { exchanges: 19, round_trip: timed(MS, 60), measured: 19, ..healthy() }, Word::CantTell, Claim::TooFew)]
#[case::an_old_route(Evidence { route: aged(143 * 86_400), ..slow_next_hop() }, Word::Path, Claim::StaleRoute)]
#[case::an_old_route_that_loses(Evidence { route: aged(7_200), siblings: odd(true), ..healthy() }, Word::Path, Claim::StaleRoute)]
#[case::a_route_just_changed(Evidence { route: RouteState { changed_before_s: Some(2), ..aged(40) }, ..slow_next_hop() }, Word::Path, Claim::AfterChange)]
#[case::a_young_route(Evidence { route: aged(40), ..slow_next_hop() }, Word::Path, Claim::AfterChange)]
#[case::a_route_of_unknown_age(slow_next_hop(), Word::Path, Claim::BehindNextHop)]
#[case::a_sibling_is_worse(Evidence { siblings: match odd(false) { Siblings::Worse(it) => Siblings::Better(it), it => it }, ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::siblings_differ(Evidence { siblings: Siblings::Different(3), ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_full_queue(Evidence { drops: dropped(60), ..healthy() }, Word::ThisHost, Claim::HostDrops)]
#[case::frames_for_another(Evidence { misdelivered: dropped(60), sent_again: 60, ..Evidence::default() }, Word::Path, Claim::WrongNeighbour)]
#[case::a_router_without_a_way(Evidence { routers: turned_back(9, Why::Unreachable), syn_again: 9, ..Evidence::default() }, Word::Path, Claim::RouterRefuses)]
#[case::a_router_that_rarely_says_so(Evidence { routers: turned_back(2, Why::Unreachable), sent_again: 9, ..Evidence::default() }, Word::Path, Claim::RouterRefuses)]
#[case::a_router_that_said_so_once(Evidence { routers: turned_back(1, Why::Unreachable), sent_again: 9, ..Evidence::default() }, Word::CantTell, Claim::Silent)]
#[case::what_passes_though_a_router_said_no(Evidence { routers: turned_back(2, Why::Unreachable), sent_again: 9, ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_circle_of_routers(Evidence { routers: turned_back(9, Why::TimeExceeded), sent_again: 9, ..healthy() }, Word::Path, Claim::RouterRefuses)]
#[case::a_path_mtu_that_was_learnt(Evidence { routers: turned_back(1, Why::TooBig { mtu: Some(1_400) }), sent_again: 1, ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::probes_of_a_way(Evidence { routers: turned_back(40, Why::TimeExceeded), ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_peer_that_turns_back(Evidence { peer: turned_back(9, Why::Unreachable), unopened: 9, ..Evidence::default() }, Word::Peer, Claim::PeerRefuses)]
#[case::a_slow_way_back(Evidence { ways: ways(MS / 5, 30 * MS), ..slow_next_hop() }, Word::Path, Claim::WayBackSlow)]
#[case::a_way_back_that_grew(Evidence { ways: ways(MS / 5, 9 * MS), ..grown(Word::Path) }, Word::Path, Claim::WayBackSlow)]
#[case::a_slow_way_there(Evidence { ways: ways(30 * MS, MS / 5), ..slow_next_hop() }, Word::Path, Claim::BehindNextHop)]
#[case::a_few_drops(Evidence { drops: dropped(4), ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_long_queue(Evidence { host: queued(30 * MS), answer: timed(32 * MS, 300), ..healthy() }, Word::ThisHost, Claim::HostWaits)]
#[case::a_host_that_grew(grown(Word::ThisHost), Word::ThisHost, Claim::HostGrew)]
#[case::a_peer_that_thinks(thinker(), Word::Peer, Claim::PeerThinks)]
#[case::a_peer_that_grew(grown(Word::Peer), Word::Peer, Claim::PeerGrew)]
#[case::a_peer_that_always_thinks(Evidence { has_baseline: true, ..thinker() }, Word::Healthy, Claim::Fine)]
#[case::a_peer_that_explains_its_next_hop(Evidence { siblings: odd(false), ..thinker() }, Word::Peer, Claim::PeerThinks)]
#[case::a_peer_without_a_bound(Evidence { is_bounded: false, round_trip: None, ..thinker() }, Word::CantTell, Claim::NothingToCompare)]
#[case::a_peer_beside_another_service(Evidence { is_bounded: false, round_trip: None, peer_least: timed(0, 300), held_back: 280, round_trip_beside: timed(MS, 300), ..thinker() }, Word::Peer, Claim::PeerThinks)]
#[case::a_way_that_others_need_not_take(Evidence { round_trip: None, peer_least: timed(0, 300), round_trip_beside: timed(MS, 300), ..thinker() }, Word::CantTell, Claim::NothingToCompare)]
#[case::a_peer_beside_a_service_that_waits_too(Evidence { is_bounded: false, round_trip: None, peer_least: timed(0, 300), held_back: 280, round_trip_beside: timed(50 * MS, 300), ..thinker() }, Word::CantTell, Claim::NothingToCompare)]
#[case::a_service_that_accepts_nobody(Evidence { exchanges: 0, syn_again: 9, not_accepted: full(9), ..Evidence::default() }, Word::App, Claim::AcceptsLate)]
#[case::a_listen_queue_that_nobody_feels(Evidence { not_accepted: full(9), ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_peer_that_refuses(Evidence { exchanges: 0, refused: 9, opened: 0, ..Evidence::default() }, Word::Peer, Claim::PeerRefuses)]
#[case::read_late_by_the_service(Evidence { waiting: timed(50 * MS, 300), answer: timed(52 * MS, 300), ..healthy() }, Word::App, Claim::ReadsLate)]
#[case::read_late_by_the_client(Evidence { reading: timed(50 * MS, 300), ..healthy() }, Word::App, Claim::ReadsLate)]
#[case::a_client_that_does_not_read(Evidence { own_window_shut: 8, ..healthy() }, Word::App, Claim::ReadsLate)]
#[case::only_the_service_is_seen(Evidence { asks_here: false, answer: None, peer_least: None, peer_most: None, thinking: timed(80 * MS, 90), ..healthy() }, Word::App, Claim::AppThinks)]
#[case::lost_packets(Evidence { disturbed: 12, sent_again: 13, ..healthy() }, Word::Path, Claim::PathLoses)]
#[case::a_lost_packet(Evidence { disturbed: 1, sent_again: 1, ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_stream_that_fills_its_path(Evidence { exchanges: 0, answer: None, sent_again: 60, ..healthy() }, Word::CantTell, Claim::StreamLoses)]
#[case::some_connections(Evidence { connections: Some(third()), ..healthy() }, Word::CantTell, Claim::SomeConnections)]
#[case::some_connections_lose(Evidence { connections: Some(third_that_loses()), disturbed: 12, ..healthy() }, Word::Path, Claim::SomeWaysLose)]
#[case::nothing_comes_back(Evidence { sent_again: 9, ..Evidence::default() }, Word::CantTell, Claim::Silent)]
#[case::late_answers(Evidence { one_sided: 40, ..healthy() }, Word::CantTell, Claim::PeerOrWayBack)]
#[case::late_answers_of_a_peer_that_thinks(Evidence { one_sided: 40, ..thinker() }, Word::CantTell, Claim::PeerOrWayBack)]
#[case::a_long_path(Evidence { answer: timed(41 * MS, 300), round_trip: timed(40 * MS, 300), ..healthy() }, Word::CantTell, Claim::NothingToCompare)]
#[case::a_path_that_always_was_long(Evidence { has_baseline: true, answer: timed(41 * MS, 300), round_trip: timed(40 * MS, 300), ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::a_path_that_grew(grown(Word::Path), Word::Path, Claim::PathGrew)]
#[case::a_path_that_grew_with_another_ttl(Evidence { ttl_step: Some(TtlStep { before: 63, after: 60, ago_ns: 9 * MS }), ..grown(Word::Path) }, Word::Path, Claim::WayBackMoved)]
#[case::another_ttl_alone(Evidence { ttl_step: Some(TtlStep { before: 63, after: 60, ago_ns: 9 * MS }), ..healthy() }, Word::Healthy, Claim::Fine)]
#[case::poor_coverage(Evidence { coverage: covered(900), ..healthy() }, Word::CantTell, Claim::NotSeen)]
#[case::good_coverage(Evidence { coverage: covered(960), ..healthy() }, Word::Healthy, Claim::Fine)]
fn evidence_has_its_word(#[case] seen: Evidence, #[case] word: Word, #[case] claim: Claim) {
    let judgement = judge(&seen);
    assert_eq!(
        (judgement.word, judgement.claim),
        (word, claim),
        "{judgement:#?}"
    );
}

#[test]
fn the_innocent_are_cleared_by_name() {
    let cleared = |seen: &Evidence| -> Vec<Word> {
        let all = judge(seen).cleared;
        all.into_iter().map(|(part, _)| part).collect()
    };
    let slow = Evidence {
        peer_most: timed(MS / 2, 300),
        ..slow_next_hop()
    };
    assert_eq!(cleared(&slow), [Word::Peer, Word::ThisHost, Word::App]);
    let thinks = thinker();
    assert_eq!(cleared(&thinks), [Word::Path, Word::ThisHost, Word::App]);
}

#[test]
fn what_passes_unseen_clears_no_path() {
    let poor = Evidence {
        coverage: covered(949),
        ..thinker()
    };
    let judgement = judge(&poor);
    assert_eq!((judgement.word, judgement.sure), (Word::Peer, Sure::Likely));
    let is_path = |(part, _): &(Word, Fact)| *part == Word::Path;
    assert!(!judgement.cleared.iter().any(is_path), "{judgement:?}");
    assert!(judgement.unknown.contains(&Unknown::Unseen));
    let slow = Evidence {
        coverage: covered(849),
        ..slow_next_hop()
    };
    assert_eq!(judge(&slow).sure, judge(&slow_next_hop()).sure);
}

#[test]
fn loss_that_shuts_the_peer_out_is_no_peers_time() {
    let lossy = Evidence {
        disturbed: 40,
        sent_again: 40,
        ..thinker()
    };
    let judgement = judge(&lossy);
    assert_eq!((judgement.word, judgement.sure), (Word::Peer, Sure::Likely));
    let loses = |fact: &Fact| matches!(fact, Fact::Loses { .. });
    assert!(judgement.against.iter().any(loses), "{judgement:?}");
}

#[test]
fn the_segment_that_grew_is_told_beside_the_siblings() {
    let mut seen = Evidence {
        siblings: odd(false),
        ..grown(Word::Path)
    };
    let place = Some("xmit→rx, lab-r2 r2-db → lab-db db-r2".to_owned());
    let slightly_less = Grown {
        now: Timed {
            p50_ns: 8 * MS,
            ..seen.grown[0].now
        },
        place: place.clone(),
        ..seen.grown[0].clone()
    };
    seen.grown.push(slightly_less);
    let judgement = judge(&seen);
    assert_eq!(judgement.claim, Claim::BehindNextHop);
    let told = Fact::Grew(Grown {
        place,
        ..seen.grown[0].clone()
    });
    assert!(judgement.evidence.contains(&told), "{judgement:#?}");

    assert_eq!(judge(&grown(Word::Peer)).sure, Sure::Sure);
    let mut unproven = grown(Word::Peer);
    unproven.grown[0].found = false;
    assert_eq!(judge(&unproven).sure, Sure::Likely);
}

#[test]
fn without_a_before_that_is_said() {
    assert!(judge(&healthy()).unknown.contains(&Unknown::Baseline));
    let known = grown(Word::Path);
    assert!(!judge(&known).unknown.contains(&Unknown::Baseline));
}

#[rstest]
#[case(20, 0, 0, Lost::There)]
#[case(0, 0, 20, Lost::Back)]
#[case(20, 20, 0, Lost::Back)]
#[case(20, 0, 9, Lost::NotSeparable)]
#[case(2, 0, 0, Lost::NotSeparable)]
fn which_way_is_lost_is_told_where_one_end_can(
    #[case] sent_again: u64,
    #[case] had_already: u64,
    #[case] gaps: u64,
    #[case] way: Lost,
) {
    let seen = Evidence {
        sent_again,
        had_already,
        gaps,
        ..healthy()
    };
    assert_eq!(seen.lost_way(), way);
}

#[test]
fn every_row_can_be_reached() {
    let empty: Vec<&Rule> = TABLE.iter().filter(|rule| rule.when.is_empty()).collect();
    assert_eq!(empty.len(), 1, "the last row alone always holds");
    assert!(TABLE.last().is_some_and(|rule| rule.when.is_empty()));
    for (at, rule) in TABLE.iter().enumerate() {
        let shadow = TABLE[..at].iter().find(|earlier| {
            earlier.unless.is_empty() && earlier.when.iter().all(|it| rule.when.contains(it))
        });
        assert!(shadow.is_none(), "{rule:?} stands behind {shadow:?}");
    }
}

/// The table as the documentation has it.
fn markdown() -> String {
    let signs = |signs: &[Sign], between: &str| -> String {
        let texts: Vec<&str> = signs.iter().map(|sign| sign.text()).collect();
        texts.join(between)
    };
    let rows = TABLE.iter().map(|rule| {
        format!(
            "| {} | {} | {} | `{}` | {} |\n",
            rule.word.text(),
            signs(rule.when, " **and** "),
            signs(rule.unless, " **or** "),
            rule.claim.name(),
            rule.sure.name()
        )
    });
    let head = "| word | when | unless | claim | sure |\n|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

#[test]
fn the_documentation_has_the_table() {
    let documentation = include_str!("../../../docs/verdict.md");
    assert!(documentation.contains(&markdown()), "{}", markdown());
}
