//! Facts and what is not known, as a person would say them: no number without its count.

use crate::model::verdict::{
    Fact, Lost, Share, Side, SomeConnections, Timed, TurnedBack, Unknown, Why, Word,
};
use crate::sink::units;

/// So many ports are told, where there are more.
const PORTS: usize = 4;

/// A fact in a few words.
#[expect(clippy::too_many_lines, reason = "a table: each fact has its words")]
pub(super) fn text(fact: &Fact) -> String {
    match fact {
        Fact::Few { seen, needed } => format!(
            "{} exchanges or round trips were seen, {needed} are needed",
            units::count(*seen)
        ),
        Fact::NextHopWorse(odd) => format!(
            "round trip {}, {} lost; its {} {}, {} lost",
            timed(odd.worse.time),
            units::count(odd.worse.lost.part),
            siblings(odd.rest),
            timed(odd.rest.time),
            units::count(odd.rest.lost.part)
        ),
        Fact::SiblingsAlike { siblings } => format!("{siblings} siblings do as well"),
        Fact::RouteOld(age) => format!("its route is {age} old"),
        Fact::ChangedBefore { seconds } => {
            format!("preceded by a change of its route, {seconds} s before the first sign")
        }
        Fact::RouteYoung(age) => {
            format!("its route changed {age} ago; since when it is bad is not known")
        }
        Fact::Grew(grown) => {
            let what = if grown.whole { "the whole answer " } else { "" };
            let (now, before) = (timed(grown.now), timed(grown.before));
            let place = grown.place.as_ref();
            let place = place.map_or_else(String::new, |it| format!(", most of it {it}"));
            let part = whose(grown.part);
            format!("{part} takes {now}, {what}{before} before{place}")
        }
        Fact::OtherTtl(step) => format!(
            "the TTL of what comes back was {} and became {}, {} ago: its way is another one",
            step.before,
            step.after,
            units::span(step.ago_ns)
        ),
        Fact::BackSlow(ways) => format!(
            "the way back takes {}, there {}; {}: {}",
            timed(ways.back),
            timed(ways.there),
            ways.wire,
            timed(ways.time)
        ),
        Fact::Misdelivered { place, packets } => format!(
            "{} packets dropped at {place}: their frames are for another Ethernet address",
            share(*packets)
        ),
        Fact::Turned(said) => turned_back(said),
        Fact::Loses { exchanges, way } => {
            format!("{} exchanges disturbed{}", share(*exchanges), lost(*way))
        }
        Fact::SendsAgain { segments, way } => {
            format!("{} packets sent again{}", share(*segments), lost(*way))
        }
        Fact::SomeConnections(some) => some_connections(some),
        Fact::Silent { sent_again } => {
            format!(
                "{} sent again, nothing came back",
                units::counted(*sent_again, "packet")
            )
        }
        Fact::NotAccepted { namespace, times } => format!(
            "{times} connections found no room in a listen queue of {namespace}: nobody accepted those before"
        ),
        Fact::Refused { connections } => format!("{} connections refused", share(*connections)),
        Fact::HostDrops {
            reason,
            place,
            packets,
        } => format!("{} packets dropped at {place}: {reason}", share(*packets)),
        Fact::HostWaits {
            segment,
            place,
            time,
        } => format!("{segment} at {place} takes {}", timed(*time)),
        Fact::HostShort { time } => format!("slowest queue {}", timed(*time)),
        Fact::ReadsLate { serves, time } => {
            let what = if *serves {
                "requests wait"
            } else {
                "answers wait"
            };
            format!("{what} {} to be read", timed(*time))
        }
        Fact::ReadsSoon { time } => format!("reads after {}", timed(*time)),
        Fact::WindowShut { here, times } => {
            let whose = if *here { "own" } else { "peer's" };
            format!(
                "the {whose} receive window became 0, {} times",
                units::count(*times)
            )
        }
        Fact::ThinksHere { time } => format!("it thinks for {}", timed(*time)),
        Fact::PeerLong {
            least,
            most,
            answer,
        } if least == most => format!(
            "it thinks {} of an answer's {}",
            timed(*most),
            timed(*answer)
        ),
        Fact::PeerLong {
            least,
            most,
            answer,
        } => format!(
            "it takes {} to {} of an answer's {}",
            units::latency(least.p50_ns),
            timed(*most),
            timed(*answer)
        ),
        Fact::PeerShort { most } => format!("at most {}", timed(*most)),
        Fact::PeerOrWayBack { exchanges } => {
            format!(
                "{} answers came 200ms late or more, as if sent twice",
                share(*exchanges)
            )
        }
        Fact::PathLong { round_trip } => format!("round trip {}", timed(*round_trip)),
        Fact::AnswerLong { answer } => format!("answers take {}", timed(*answer)),
        Fact::PathShort { round_trip } => {
            format!("round trip {}, nothing lost", timed(*round_trip))
        }
        Fact::Unseen { packets, device } => {
            format!("only {} packets of {device} were seen", share(*packets))
        }
        Fact::Usual => "it was like this before".to_owned(),
    }
}

/// Who is cleared, and by what.
pub(super) fn cleared(part: Word, fact: &Fact) -> String {
    let name = match part {
        Word::Path => "path",
        Word::Peer => "peer",
        Word::ThisHost => "this host",
        Word::App => "app",
        Word::Healthy | Word::CantTell => "",
    };
    format!("{name} ({})", text(fact))
}

/// What can't be known.
pub(super) fn unknown(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::Baseline => "how it was before (no baseline)",
        Unknown::Way => "whether it is lost there or back (not separable from here)",
        Unknown::RouteAge => "how old its route is",
        Unknown::Siblings => "how others do (no sibling has enough traffic)",
        Unknown::Peer => "the peer's own time",
        Unknown::Unseen => "what passes by the tracer's hops",
    }
}

/// `20.4ms (n 312)`: a median and its count, on one line.
pub(super) fn timed(time: Timed) -> String {
    format!(
        "{}\u{a0}(n\u{a0}{})",
        units::latency(time.p50_ns),
        units::count(time.n)
    )
}

/// `9 of 300 (3%)`
pub(super) fn share(share: Share) -> String {
    format!(
        "{} of {}\u{a0}({})",
        units::count(share.part),
        units::count(share.of),
        units::share(share.ratio())
    )
}

fn siblings(side: Side) -> String {
    match side.siblings {
        1 => "sibling".to_owned(),
        more => format!("{more} siblings"),
    }
}

fn lost(way: Lost) -> &'static str {
    match way {
        Lost::There => ", lost on the way there",
        Lost::Back => ", lost on the way back",
        Lost::NotSeparable => "",
    }
}

fn whose(part: Word) -> &'static str {
    match part {
        Word::Path => "the path",
        Word::Peer => "the peer",
        Word::ThisHost => "this host",
        Word::App => "the application",
        Word::Healthy | Word::CantTell => "it",
    }
}

fn turned_back(said: &TurnedBack) -> String {
    let why = match said.why {
        Why::Unreachable => "the destination is unreachable".to_owned(),
        Why::TimeExceeded => "the hop limit is used up".to_owned(),
        Why::TooBig { mtu: Some(mtu) } => format!("packets are larger than {mtu} bytes"),
        Why::TooBig { mtu: None } => "packets are too large".to_owned(),
    };
    format!("{} said {} by ICMP: {why}", said.by, times(said.times))
}

fn times(times: u64) -> String {
    match times {
        1 => "once".to_owned(),
        _ => format!("{} times", units::count(times)),
    }
}

/// Connections unlike the others, and which.
fn some_connections(some: &SomeConnections) -> String {
    let lost = |lost: Share| format!("{} sent again", share(lost));
    let (worse, rest) = if some.by_loss {
        (lost(some.worse_lost), lost(some.rest_lost))
    } else {
        (timed(some.worse), timed(some.rest))
    };
    let ways = some
        .ways
        .map(|(bad, of)| format!(", as if {bad} of {of} ways were bad"));
    format!(
        "{} of {} connections: {worse}, the others {rest}, and each stays so{}; ports {}",
        units::count(some.bad),
        units::count(some.of),
        ways.unwrap_or_default(),
        ports(&some.bad_ports)
    )
}

fn ports(ports: &[u16]) -> String {
    let some = &ports[..ports.len().min(PORTS)];
    let mut some: Vec<String> = some.iter().map(u16::to_string).collect();
    if ports.len() > PORTS {
        some.push(format!("{}\u{a0}more", ports.len() - PORTS));
    }
    some.join(", ")
}
