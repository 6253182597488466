//! The account of good traffic: what was sent against what became of it.

use std::time::{Duration, Instant};

use tracer::model::{Histogram, Node, Parent, Reading, Report, Route, hop::Stage};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

use super::seen::{check_balance, losses, tell};

/// What was seen of some work.
pub(crate) struct Seen<T> {
    pub(crate) done: T,
    pub(crate) reading: Reading,
    pub(crate) report: Report,
}

/// Traces some work, and checks what holds whatever the work was: the balance of each node, and
/// that no sample is longer than all of it.
pub(crate) fn trace_checked<T>(settings: &Settings, work: impl FnOnce() -> T) -> Seen<T> {
    let start = Instant::now();
    let live = Live::open(settings).unwrap();
    let done = work();
    let reading = Box::new(live).finish().unwrap();
    let took = start.elapsed();
    check_balance(&reading);
    let report = Report::from_reading(&reading);
    check_samples(&report, took);
    println!(
        "{took:.1?}, {} packets, losses: {}",
        report.packets(),
        losses(&report)
    );
    Seen {
        done,
        reading,
        report,
    }
}

/// No latency is longer than the run.
pub(crate) fn check_samples(report: &Report, took: Duration) {
    let longest = took.as_nanos() as u64;
    let fits = |latency: &Histogram| latency.max_ns().is_none_or(|max_ns| max_ns <= longest);
    for route in &report.routes {
        assert!(fits(&route.total), "{took:?}: {}", tell(route));
        for segment in route.segments() {
            assert!(
                fits(&segment.latency),
                "{took:?}, {}: {}",
                segment.name,
                tell(route)
            );
        }
    }
}

/// Packets that were never born, because no class, node, cell or place was left, or they had no
/// header.
pub(crate) fn unborn(reading: &Reading) -> u64 {
    let reasons = ["classes", "nodes", "cells", "crowded", "header"];
    let all: u64 = reasons.iter().map(|reason| reading.losses[*reason]).sum();
    let at_nodes = reading.nodes.iter().flat_map(|node| &node.ends.lost);
    let at_nodes = at_nodes.filter(|(reason, _)| reasons.contains(&reason.as_str()));
    all - at_nodes.map(|(_, count)| count).sum::<u64>()
}

/// Packets that were born at the first hop of a class.
pub(crate) fn births(reading: &Reading) -> u64 {
    let first = reading
        .nodes
        .iter()
        .filter(|node| matches!(node.parent, Parent::Class(_)));
    first.map(|node| node.packets).sum()
}

/// Packets that a wire's far end recognised, those among them for which no node, cell or place
/// was left.
pub(crate) fn recognised(reading: &Reading) -> u64 {
    let sent = |node: &Node| node.hop.stage == Stage::Xmit;
    let after = |node: &&Node| matches!(node.parent, Parent::Node(it) if sent(&reading.nodes[it]));
    let followed: u64 = reading
        .nodes
        .iter()
        .filter(after)
        .map(|node| node.packets)
        .sum();
    let ends = reading
        .nodes
        .iter()
        .filter(|node| sent(node))
        .flat_map(|node| &node.ends.lost);
    let no_room =
        ends.filter(|(reason, _)| ["nodes", "cells", "crowded"].contains(&reason.as_str()));
    followed + no_room.map(|(_, count)| count).sum::<u64>()
}

/// All routes as a person would tell them.
pub(crate) fn tell_all<'a>(routes: impl IntoIterator<Item = &'a Route>) -> String {
    routes.into_iter().map(|route| tell(route) + "\n").collect()
}
