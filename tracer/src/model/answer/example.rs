//! Answers for tests: one for each first word.

use super::{Answer, Case, Part, Sibling};
use crate::model::connection::Connection;
use crate::model::forwarding::FibEntry;
use crate::model::journal::{Age, Who};
use crate::model::name::{self, Process};
use crate::model::owner::Owner;
use crate::model::verdict::{
    Claim, Fact, Grown, Judgement, Lost, Odd, Share, Side, SomeConnections, Sure, Timed, Unknown,
    Word,
};
use crate::model::{Class, End, Names, Protocol, Service, Tuple};

const MS: u64 = 1_000_000;

fn timed(p50_ns: u64, n: u64) -> Timed {
    Timed {
        p50_ns,
        p99_ns: p50_ns * 2,
        n,
    }
}

fn share(part: u64, of: u64) -> Share {
    Share { part, of }
}

fn judgement(word: Word, claim: Claim, sure: Sure, evidence: Vec<Fact>) -> Judgement {
    Judgement {
        word,
        claim,
        sure,
        evidence,
        against: Vec::new(),
        cleared: Vec::new(),
        unknown: vec![Unknown::Baseline],
    }
}

fn who(command: &str, unit: &str) -> name::Who {
    name::Who::Local(
        [Process {
            command: Some(command.to_owned()),
            owner: Some(Owner::Unit(unit.to_owned())),
        }]
        .into(),
    )
}

fn case(client: &str, server: &str, port: u16, judgement: Judgement) -> Case {
    Case {
        class: Class {
            source: End::Component(client.to_owned()),
            destination: End::Component(server.to_owned()),
            protocol: Protocol::Tcp,
            service: Some(Service::Destination(port)),
            first: Some(Tuple {
                source: "10.1.0.3".parse().expect("an address"),
                destination: "10.2.0.2".parse().expect("an address"),
                source_port: 40_001,
                destination_port: port,
            }),
            way_back: None,
        },
        names: Names {
            source: who("uwsgi", "app.service"),
            destination: name::Who::Remote("10.2.0.0/24".parse().expect("a prefix")),
        },
        namespace: "app".to_owned(),
        other_namespace: None,
        asks: true,
        device: "eth1".to_owned(),
        next_hop: "10.12.0.1".parse().ok(),
        mac: Some([2, 0, 0, 0, 0, 6]),
        entry: None,
        parts: vec![
            part("queue", timed(1_200, 640), false),
            part("network", timed(310_000, 60), false),
            part("peer", timed(240_000, 312), true),
            part("read", timed(13_000, 312), false),
        ],
        ways: None,
        exchanges: 324,
        undisturbed: 312,
        answer: Some(timed(MS, 312)),
        connections: 8,
        sample: vec![connection(40_001, 900_000), connection(40_002, 310_000)],
        ttl: Some(62),
        clients: 1,
        siblings: Vec::new(),
        began: None,
        waits_for: None,
        waited_ns: 324 * MS,
        coverage: None,
        judgement,
        grown: Vec::new(),
        incidents: Vec::new(),
    }
}

fn connection(port: u16, rtt_mean_ns: u64) -> Connection {
    Connection {
        tuple: Tuple {
            source: "10.2.0.2".parse().expect("an address"),
            destination: "10.1.0.3".parse().expect("an address"),
            source_port: 5432,
            destination_port: port,
        },
        rtts: 40,
        rtt_sum_ns: 40 * rtt_mean_ns,
        rtt_min_ns: 280_000,
        rtt_last_ns: rtt_mean_ns,
        retransmits: 3,
        exchanges: 40,
        disturbed: 2,
    }
}

fn part(name: &'static str, time: Timed, at_most: bool) -> Part {
    Part {
        name,
        time,
        at_most,
    }
}

fn answer(cases: Vec<Case>) -> Answer {
    Answer {
        // 2026-11-23 10:24:22 UTC
        at: 1_795_429_462_000_000_000,
        duration_ns: 10_000_000_000,
        kernel: "6.18.0".to_owned(),
        followed: 1.0,
        cases,
        ..Answer::default()
    }
}

fn fine(client: &str, server: &str, port: u16) -> Case {
    let judgement = Judgement {
        cleared: vec![
            (
                Word::Path,
                Fact::PathShort {
                    round_trip: timed(310_000, 60),
                },
            ),
            (
                Word::Peer,
                Fact::PeerShort {
                    most: timed(240_000, 312),
                },
            ),
            (
                Word::ThisHost,
                Fact::HostShort {
                    time: timed(1_200, 640),
                },
            ),
            (
                Word::App,
                Fact::ReadsSoon {
                    time: timed(13_000, 312),
                },
            ),
        ],
        ..judgement(Word::Healthy, Claim::Fine, Sure::Sure, Vec::new())
    };
    case(client, server, port, judgement)
}

/// PATH: the route to the database is older than anyone remembers, and its router is slow.
pub(crate) fn outdated() -> Answer {
    let side = |siblings, p50_ns, n, lost| Side {
        siblings,
        time: timed(p50_ns, n),
        lost: share(lost, n),
    };
    let odd = Odd {
        by_loss: false,
        by_next_hop: true,
        worse: side(1, 20_400_000, 312, 12),
        rest: side(2, 310_000, 1_640, 0),
    };
    let age = Age {
        seconds: 143 * 86_400,
        exact: false,
    };
    let mut judgement = judgement(
        Word::Path,
        Claim::StaleRoute,
        Sure::Sure,
        vec![Fact::NextHopWorse(odd), Fact::RouteOld(age)],
    );
    judgement.cleared = fine("app", "db", 5432).judgement.cleared.split_off(1);
    judgement.unknown.push(Unknown::Way);
    let sibling = |client: &str, gateway: &str, p50_ns, lost, is_worse| Sibling {
        client: client.to_owned(),
        namespace: client.to_owned(),
        next_hop: gateway.parse().ok(),
        time: Some(timed(p50_ns, 312)),
        lost: share(lost, 312),
        is_worse,
    };
    let mut case = case("app", "db", 5432, judgement);
    case.entry = Some(FibEntry {
        table: 254,
        rule: Some(32_766),
        mark: 0,
        prefix: "10.2.0.0/24".parse().expect("a prefix"),
        kind: 1,
        protocol: 4,
        scope: 0,
        metric: 0,
        mtu: None,
        path_mtu: None,
        redirect: None,
        gateway: "10.12.0.1".parse().ok(),
        leg: 1,
        legs: 1,
        age: Some(age),
        set_by: Some(Who::Unknown),
    });
    case.parts[1] = part("network", timed(20_400_000, 312), false);
    case.ways = Some([timed(20_300_000, 330), timed(61_000, 330)]);
    case.answer = Some(timed(20_800_000, 312));
    case.siblings = vec![
        sibling("app", "10.12.0.1", 20_400_000, 12, true),
        sibling("app2", "10.11.0.1", 330_000, 0, false),
        sibling("app3", "10.13.0.1", 290_000, 0, false),
    ];
    case.coverage = Some(share(4_980, 5_000));
    let waiting = Case {
        waits_for: Some(case.name()),
        ..fine("web", "app", 8080)
    };
    answer(vec![
        case,
        fine("app2", "db", 5432),
        fine("app3", "db", 5432),
        waiting,
    ])
}

/// The same, as an agent says it that knows what was before.
pub(crate) fn remembered() -> Answer {
    let mut answer = outdated();
    let mut lasting = crate::model::incident::example::incidents();
    lasting.retain(crate::model::incident::Incident::is_active);
    for incident in &mut lasting {
        let since = answer.at - 900_000 * MS - incident.change;
        incident.change += since;
        for event in &mut incident.preceded_by {
            event.at += since;
        }
    }
    let case = &mut answer.cases[0];
    case.incidents = lasting.iter().take(1).map(|it| it.number).collect();
    case.grown = vec![Grown {
        part: Word::Path,
        before: timed(310_000, 86_000),
        now: timed(20_400_000, 312),
        whole: false,
        found: true,
        place: Some("xmit→rx, app eth1 → db eth0".to_owned()),
    }];
    case.judgement.unknown.retain(|it| *it != Unknown::Baseline);
    answer.by_agent = true;
    answer.changes = Some(crate::model::example::changes());
    answer.incidents = lasting;
    answer
}

/// PEER: the database thinks for 60 ms.
pub(crate) fn thinking() -> Answer {
    let long = Fact::PeerLong {
        least: timed(21 * MS, 312),
        most: timed(60 * MS, 312),
        answer: timed(61 * MS, 312),
    };
    let mut judgement = judgement(Word::Peer, Claim::PeerThinks, Sure::Sure, vec![long]);
    judgement.cleared = fine("app", "db", 5432).judgement.cleared;
    judgement.cleared.remove(1);
    let mut case = case("app", "db", 5432, judgement);
    case.parts[2] = part("peer", timed(60 * MS, 312), true);
    case.answer = Some(timed(61 * MS, 312));
    answer(vec![case])
}

/// THIS HOST: a queue drops.
pub(crate) fn dropping() -> Answer {
    let drops = Fact::HostDrops {
        reason: "QDISC_DROP".to_owned(),
        place: "app eth1".to_owned(),
        packets: share(60, 1_200),
    };
    let mut judgement = judgement(Word::ThisHost, Claim::HostDrops, Sure::Likely, vec![drops]);
    judgement.against = vec![Fact::Loses {
        exchanges: share(40, 324),
        way: Lost::There,
    }];
    answer(vec![case("app", "db", 5432, judgement)])
}

/// APP: it reads late.
pub(crate) fn reading_late() -> Answer {
    let late = Fact::ReadsLate {
        serves: true,
        time: timed(50 * MS, 312),
    };
    let mut judgement = judgement(Word::App, Claim::ReadsLate, Sure::Sure, vec![late]);
    judgement.cleared = fine("app", "db", 5432).judgement.cleared;
    judgement.cleared.truncate(3);
    judgement.cleared.remove(1);
    let mut case = case("app", "db", 5432, judgement);
    case.other_namespace = Some("db".to_owned());
    case.parts[2] = part("peer", timed(240_000, 312), false);
    case.parts[3] = part("read", timed(50 * MS, 312), false);
    answer(vec![case])
}

/// HEALTHY.
pub(crate) fn healthy() -> Answer {
    answer(vec![fine("app", "db", 5432), fine("web", "app", 8080)])
}

/// CAN'T TELL: a trickle.
pub(crate) fn trickle() -> Answer {
    let few = Fact::Few {
        seen: 3,
        needed: 20,
    };
    let mut case = case(
        "app",
        "db",
        5432,
        judgement(Word::CantTell, Claim::TooFew, Sure::Sure, vec![few]),
    );
    (case.exchanges, case.undisturbed, case.connections) = (3, 3, 1);
    case.parts.clear();
    answer(vec![case])
}

/// One of three ways beyond the next hop loses, or what only its connections show is slow.
pub(crate) fn one_way_of_three(by_loss: bool) -> Answer {
    let some = SomeConnections {
        by_loss,
        bad: 33,
        of: 100,
        ways: Some((1, 3)),
        worse: timed(40 * MS, 3_960),
        rest: timed(310_000, 8_040),
        worse_lost: share(if by_loss { 204 } else { 0 }, 3_960),
        rest_lost: share(0, 8_040),
        bad_ports: (40_001..40_034).collect(),
        good_ports: (40_034..40_101).collect(),
    };
    let (word, claim, sure) = if by_loss {
        (Word::Path, Claim::SomeWaysLose, Sure::Likely)
    } else {
        (Word::CantTell, Claim::SomeConnections, Sure::Sure)
    };
    let mut judgement = judgement(word, claim, sure, vec![Fact::SomeConnections(some)]);
    judgement.cleared = fine("app", "db", 5432).judgement.cleared;
    judgement.cleared.remove(0);
    let mut case = case("app", "db", 5432, judgement);
    case.connections = 100;
    answer(vec![case])
}
