//! A hand-over for whoever owns the other side: what is claimed, and on what it stands.

use std::fmt::Write;
use std::net::IpAddr;

use super::{claim, fact};
use crate::model::answer::{Answer, Case};
use crate::model::connection::Connection;
use crate::model::hop::mac_text;
use crate::model::verdict::Fact;
use crate::sink::{time, units, verdict_json};

/// Connections of each side that are shown.
const SHOWN: usize = 8;

/// The hand-over, in Markdown with the same as JSON at its end. No name of this host is in it.
pub fn to_evidence(answer: &Answer) -> String {
    let answer = &answer.redacted();
    let Some(case) = answer.cases.first() else {
        return super::to_text(answer, crate::sink::Look::default());
    };
    let judgement = &case.judgement;
    let word = judgement.word.text();
    let mut text = format!(
        "# {word} ({}): {}\n\nEvidence by tracer, measured on the host of one end. Names of that host \
         are left out; `n` is how many measurements a number stands on.\n",
        judgement.sure.name(),
        claim::sentence(case).replace('\u{a0}', " ")
    );
    let facts = |facts: &[Fact]| facts.iter().map(fact::text).collect();
    let cleared = judgement.cleared.iter();
    let unknown = judgement.unknown.iter();
    for (heading, lines) in [
        ("When", when(answer)),
        ("What speaks for it", facts(&judgement.evidence)),
        ("What speaks against it", facts(&judgement.against)),
        (
            "What was ruled out",
            cleared.map(|(part, it)| fact::cleared(*part, it)).collect(),
        ),
        ("The way", way(case)),
        (
            "What is not known",
            unknown.map(|&it| fact::unknown(it).to_owned()).collect(),
        ),
    ] {
        if lines.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {heading}\n\n");
        for line in lines {
            let _ = writeln!(text, "- {}", line.replace('\u{a0}', " "));
        }
    }
    text += &connections(case);
    let _ = write!(
        text,
        "\n## The same as JSON\n\n```json\n{}\n```\n",
        verdict_json::to_text(answer).trim_end()
    );
    text
}

fn when(answer: &Answer) -> Vec<String> {
    vec![format!(
        "{} s until {}{}",
        answer.duration_ns / 1_000_000_000,
        time::second(answer.at),
        if answer.followed < 1.0 {
            format!(", {} of the packets", units::share(answer.followed))
        } else {
            ", every packet".to_owned()
        }
    )]
}

fn way(case: &Case) -> Vec<String> {
    let mac = case.mac.map(|mac| format!(" ({})", mac_text(mac)));
    let mut lines = Vec::new();
    lines.extend(
        case.next_hop
            .map(|it| format!("next hop {it}{}", mac.clone().unwrap_or_default())),
    );
    if case.next_hop.is_none() {
        lines.extend(mac.map(|mac| format!("on the link, to{mac}")));
    }
    lines.extend(
        case.ttl
            .map(|ttl| format!("TTL or hop limit received last: {ttl}")),
    );
    if let Some(entry) = &case.entry {
        lines.extend(entry.mtu.map(|mtu| format!("MTU of the route: {mtu}")));
        lines.extend(entry.path_mtu.map(|mtu| format!("MTU of the path: {mtu}")));
        let redirect = entry.redirect;
        lines.extend(redirect.map(|to| format!("redirected (ICMP) to {to}")));
        lines.push(format!("prefix {}", entry.prefix));
    }
    for part in &case.parts {
        let most = if part.at_most { "at most " } else { "" };
        let side = match part.name {
            "network" => "round trip of the network",
            "peer" => "the peer's own time",
            "read" => "until it is read here",
            _ => "longest queue here",
        };
        lines.push(format!("{side}: {most}{}", fact::timed(part.time)));
    }
    lines
}

/// The slowest and the fastest, each by its five-tuple.
fn connections(case: &Case) -> String {
    let mut all: Vec<&Connection> = case.sample.iter().filter(|it| it.rtts > 0).collect();
    all.sort_by_key(|it| it.rtt_mean_ns());
    if all.is_empty() {
        return String::new();
    }
    let mut text = "\n## Connections, the slowest and the fastest\n\n\
                    | here | other side | round trips | mean | shortest | sent again | exchanges | disturbed |\n\
                    |---|---|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    let slowest = all.iter().rev().take(SHOWN.min(all.len().div_ceil(2)));
    let fastest = all.iter().take(SHOWN.min(all.len() / 2)).rev();
    for it in slowest.chain(fastest) {
        let tuple = it.tuple;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            end(tuple.destination, tuple.destination_port),
            end(tuple.source, tuple.source_port),
            units::count(it.rtts.into()),
            units::latency(it.rtt_mean_ns()),
            units::latency(it.rtt_min_ns),
            units::count(it.retransmits.into()),
            units::count(it.exchanges.into()),
            units::count(it.disturbed.into()),
        );
    }
    text
}

fn end(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}
