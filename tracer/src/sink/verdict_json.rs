//! The answer as JSON, in the schema `tracer.verdict/1` that `docs/verdict.md` describes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::{json, time};
use crate::model::Service;
use crate::model::answer::{self, Answer};
use crate::model::hop::mac_text;
use crate::model::incident::{self, Name};
use crate::model::verdict::{self, Fact, Why};

/// The schema that the output names.
pub const SCHEMA: &str = "tracer.verdict/1";

/// An answer as one line of JSON.
pub fn to_text(answer: &Answer) -> String {
    json::line(&Frame {
        schema: SCHEMA,
        word: answer.word().name(),
        at: time::utc(answer.at),
        duration_ns: answer.duration_ns,
        kernel: &answer.kernel,
        followed: answer.followed,
        by_agent: answer.by_agent,
        about: answer.about.as_deref(),
        cases: answer.cases.iter().map(Case::of).collect(),
        incidents: answer.incidents.iter().map(Incident::of).collect(),
        changes: answer
            .changes
            .as_ref()
            .map(|it| it.changes.iter().map(|it| it.entry.id).collect()),
        losses: &answer.losses,
        not_judged_packets: answer.not_judged,
        not_judged_groups: answer.more,
    })
}

#[derive(Serialize)]
struct Frame<'a> {
    schema: &'static str,
    word: &'static str,
    at: String,
    duration_ns: u64,
    kernel: &'a str,
    followed: f64,
    by_agent: bool,
    about: Option<&'a str>,
    cases: Vec<Case<'a>>,
    incidents: Vec<Incident<'a>>,
    changes: Option<Vec<u64>>,
    losses: &'a BTreeMap<String, u64>,
    not_judged_packets: u64,
    not_judged_groups: usize,
}

#[derive(Serialize)]
struct Case<'a> {
    name: String,
    source: String,
    destination: String,
    port: Option<u16>,
    role: &'static str,
    netns: &'a str,
    device: &'a str,
    next_hop: Option<IpAddr>,
    next_hop_mac: Option<String>,
    word: &'static str,
    claim: &'static str,
    sure: &'static str,
    evidence: Vec<Value>,
    against: Vec<Value>,
    cleared: Vec<Cleared>,
    unknown: Vec<&'static str>,
    parts: Vec<Part>,
    grown: Vec<Grown>,
    incident: Option<String>,
    there: Option<Timed>,
    back: Option<Timed>,
    answer: Option<Timed>,
    exchanges: u64,
    undisturbed: u64,
    connections: usize,
    clients: usize,
    siblings: Vec<Sibling<'a>>,
    waits_for: Option<&'a str>,
    waited_ns: u64,
    coverage: Option<Share>,
}

#[derive(Serialize)]
struct Cleared {
    word: &'static str,
    by: Value,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    at_most: bool,
    time: Timed,
}

#[derive(Serialize)]
struct Grown {
    part: &'static str,
    before: Timed,
    now: Timed,
    before_is_whole: bool,
    place: Option<String>,
}

#[derive(Serialize)]
struct Timed {
    p50_ns: u64,
    p99_ns: u64,
    n: u64,
}

#[derive(Serialize)]
struct Share {
    part: u64,
    of: u64,
}

#[derive(Serialize)]
struct Sibling<'a> {
    client: &'a str,
    netns: &'a str,
    next_hop: Option<IpAddr>,
    round_trip: Option<Timed>,
    lost: Share,
    is_worse: bool,
}

#[derive(Serialize)]
struct Incident<'a> {
    id: String,
    state: &'static str,
    word: &'static str,
    about: &'a str,
    began: String,
    error_s: f32,
    ended: Option<String>,
}

impl<'a> Case<'a> {
    fn of(case: &'a answer::Case) -> Self {
        let judgement = &case.judgement;
        Self {
            name: case.name(),
            source: case.class.source.to_string(),
            destination: case.class.destination.to_string(),
            port: case.class.service.map(Service::port),
            role: if case.asks { "asking" } else { "serving" },
            netns: &case.namespace,
            device: &case.device,
            next_hop: case.next_hop,
            next_hop_mac: case.mac.map(mac_text),
            word: judgement.word.name(),
            claim: judgement.claim.name(),
            sure: judgement.sure.name(),
            evidence: judgement.evidence.iter().map(fact).collect(),
            against: judgement.against.iter().map(fact).collect(),
            cleared: judgement
                .cleared
                .iter()
                .map(|(word, by)| Cleared {
                    word: word.name(),
                    by: fact(by),
                })
                .collect(),
            unknown: judgement.unknown.iter().map(|it| it.name()).collect(),
            parts: case
                .parts
                .iter()
                .map(|part| Part {
                    name: part.name,
                    at_most: part.at_most,
                    time: part.time.into(),
                })
                .collect(),
            grown: case.grown.iter().map(Grown::of).collect(),
            incident: case.incidents.first().map(|&it| Name(it).to_string()),
            there: case.ways.map(|ways| ways[0].into()),
            back: case.ways.map(|ways| ways[1].into()),
            answer: case.answer.map(Into::into),
            exchanges: case.exchanges,
            undisturbed: case.undisturbed,
            connections: case.connections,
            clients: case.clients,
            siblings: case.siblings.iter().map(Sibling::of).collect(),
            waits_for: case.waits_for.as_deref(),
            waited_ns: case.waited_ns,
            coverage: case.coverage.map(Into::into),
        }
    }
}

impl<'a> Sibling<'a> {
    fn of(sibling: &'a answer::Sibling) -> Self {
        Self {
            client: &sibling.client,
            netns: &sibling.namespace,
            next_hop: sibling.next_hop,
            round_trip: sibling.time.map(Into::into),
            lost: sibling.lost.into(),
            is_worse: sibling.is_worse,
        }
    }
}

impl<'a> Incident<'a> {
    fn of(incident: &'a incident::Incident) -> Self {
        Self {
            id: Name(incident.number).to_string(),
            state: incident.state.name(),
            word: incident.verdict.name(),
            about: &incident.place,
            began: time::utc(incident.change),
            error_s: incident.change_error_s,
            ended: incident.recovered().map(time::utc),
        }
    }
}

impl Grown {
    fn of(grown: &verdict::Grown) -> Self {
        Self {
            part: grown.part.name(),
            before: grown.before.into(),
            now: grown.now.into(),
            before_is_whole: grown.whole,
            place: grown.place.clone(),
        }
    }
}

impl From<verdict::Timed> for Timed {
    fn from(time: verdict::Timed) -> Self {
        Self {
            p50_ns: time.p50_ns,
            p99_ns: time.p99_ns,
            n: time.n,
        }
    }
}

impl From<verdict::Share> for Share {
    fn from(share: verdict::Share) -> Self {
        Self {
            part: share.part,
            of: share.of,
        }
    }
}

fn timed(time: verdict::Timed) -> Value {
    json!(Timed::from(time))
}

fn share(share: verdict::Share) -> Value {
    json!(Share::from(share))
}

fn side(side: verdict::Side) -> Value {
    json!({"siblings": side.siblings, "round_trip": timed(side.time), "lost": share(side.lost)})
}

fn turned_back(said: verdict::TurnedBack) -> Value {
    let mtu = match said.why {
        Why::TooBig { mtu } => mtu,
        _ => None,
    };
    json!({
        "fact": "turned_back", "by": said.by, "why": said.why.name(), "mtu": mtu, "times": said.times,
    })
}

/// A fact with its name and its numbers.
fn fact(fact: &Fact) -> Value {
    match fact {
        Fact::Few { seen, needed } => json!({"fact": "few", "seen": seen, "needed": needed}),
        Fact::NextHopWorse(odd) => json!({
            "fact": "next_hop_worse", "by_loss": odd.by_loss, "by_next_hop": odd.by_next_hop,
            "worse": side(odd.worse), "rest": side(odd.rest),
        }),
        Fact::SiblingsAlike { siblings } => {
            json!({"fact": "siblings_alike", "siblings": siblings})
        }
        Fact::RouteOld(age) => {
            json!({"fact": "route_old", "age_s": age.seconds, "exact": age.exact})
        }
        Fact::ChangedBefore { seconds } => json!({"fact": "changed_before", "seconds": seconds}),
        Fact::RouteYoung(age) => json!({"fact": "route_young", "age_s": age.seconds}),
        Fact::Grew(it) => json!({
            "fact": "grew", "part": it.part.name(), "before": timed(it.before), "now": timed(it.now),
            "before_is_whole": it.whole, "place": it.place,
        }),
        Fact::OtherTtl(step) => json!({
            "fact": "other_ttl", "before": step.before, "after": step.after, "ago_ns": step.ago_ns,
        }),
        Fact::BackSlow(ways) => json!({
            "fact": "back_slow", "there": timed(ways.there), "back": timed(ways.back),
            "wire": ways.wire, "time": timed(ways.time),
        }),
        Fact::Misdelivered { place, packets } => {
            json!({"fact": "misdelivered", "place": place, "packets": share(*packets)})
        }
        Fact::Turned(said) => turned_back(*said),
        Fact::Loses { exchanges, way } => {
            json!({"fact": "loses", "exchanges": share(*exchanges), "way": way.name()})
        }
        Fact::SendsAgain { segments, way } => {
            json!({"fact": "sends_again", "packets": share(*segments), "way": way.name()})
        }
        Fact::SomeConnections(some) => json!({
            "fact": "some_connections", "by_loss": some.by_loss, "bad": some.bad, "of": some.of,
            "ways": some.ways, "worse": timed(some.worse), "rest": timed(some.rest),
            "worse_lost": share(some.worse_lost), "rest_lost": share(some.rest_lost),
            "bad_ports": some.bad_ports, "good_ports": some.good_ports,
        }),
        Fact::Silent { sent_again } => json!({"fact": "silent", "sent_again": sent_again}),
        Fact::Refused { connections } => {
            json!({"fact": "refused", "connections": share(*connections)})
        }
        Fact::NotAccepted { namespace, times } => {
            json!({"fact": "not_accepted", "namespace": namespace, "times": times})
        }
        Fact::HostDrops {
            reason,
            place,
            packets,
        } => json!({
            "fact": "host_drops", "reason": reason, "place": place, "packets": share(*packets),
        }),
        Fact::HostWaits {
            segment,
            place,
            time,
        } => json!({
            "fact": "host_waits", "segment": segment, "place": place, "time": timed(*time),
        }),
        Fact::HostShort { time } => json!({"fact": "host_short", "time": timed(*time)}),
        Fact::ReadsLate { serves, time } => {
            json!({"fact": "reads_late", "serving": serves, "time": timed(*time)})
        }
        Fact::ReadsSoon { time } => json!({"fact": "reads_soon", "time": timed(*time)}),
        Fact::WindowShut { here, times } => {
            json!({"fact": "window_shut", "here": here, "times": times})
        }
        Fact::ThinksHere { time } => json!({"fact": "thinks_here", "time": timed(*time)}),
        Fact::PeerLong {
            least,
            most,
            answer,
        } => json!({
            "fact": "peer_long", "at_least": timed(*least), "at_most": timed(*most),
            "answer": timed(*answer),
        }),
        Fact::PeerShort { most } => json!({"fact": "peer_short", "at_most": timed(*most)}),
        Fact::PeerOrWayBack { exchanges } => {
            json!({"fact": "peer_or_way_back", "exchanges": share(*exchanges)})
        }
        Fact::PathLong { round_trip } => {
            json!({"fact": "path_long", "round_trip": timed(*round_trip)})
        }
        Fact::AnswerLong { answer } => json!({"fact": "answer_long", "answer": timed(*answer)}),
        Fact::PathShort { round_trip } => {
            json!({"fact": "path_short", "round_trip": timed(*round_trip)})
        }
        Fact::Unseen { packets, device } => {
            json!({"fact": "unseen", "seen": share(*packets), "device": device})
        }
        Fact::Usual => json!({"fact": "usual"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::answer::example;

    #[test]
    fn an_outdated_route_as_json() {
        let text = to_text(&example::outdated());
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).expect("it is JSON"));
    }
}
