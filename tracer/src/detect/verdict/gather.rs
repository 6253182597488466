//! From what was seen in a window to one judged case for each dependency.

use std::collections::HashSet;

use super::group::Group;
use super::past::Past;
use super::rank;
use super::view::View;
use super::window::Window;
use crate::model::answer::{Answer, Case};
use crate::model::report::class_key;
use crate::model::{Class, Report, Service, Tuple};

/// What a window tells, without what only an agent knows: changes and incidents.
pub fn answer(window: &Window, past: &Past) -> Answer {
    let whole = &window.whole;
    let (groups, more) = Group::all(window);
    Answer {
        at: past.at,
        duration_ns: whole.duration_ns,
        kernel: whole.kernel.clone(),
        followed: whole.followed,
        cases: cases(&groups, window, past),
        more,
        losses: whole.losses.clone(),
        not_judged: not_judged(whole),
        ..Answer::default()
    }
}

/// All dependencies of a window, judged; the one that the answer is about comes first.
fn cases(all: &[Group<'_>], window: &Window, past: &Past) -> Vec<Case> {
    let is_judged = |it: &&Group<'_>| {
        // Where both sides are here the asking side tells more, and the serving side is asked too.
        it.asks || !all.iter().any(|other| other.asks && other.is_of(it))
    };
    let judged: Vec<Group<'_>> = all.iter().filter(is_judged).copied().collect();
    let mut cases: Vec<(Group<'_>, Case)> = judged
        .iter()
        .map(|group| (*group, View::of(*group, all, window).case(past)))
        .collect();
    rank::explain(&mut cases, all);
    rank::worst_first(&mut cases);
    cases.into_iter().map(|(_, case)| case).collect()
}

/// Packets of routes whose class has no judged connection.
fn not_judged(report: &Report) -> u64 {
    let judged = report.sockets.iter().filter(|it| it.serve().is_some());
    let keys: HashSet<String> = judged
        .flat_map(|it| [class_key(&it.class), class_key(&turned(&it.class))])
        .collect();
    let others = report.routes.iter();
    let others = others.filter(|route| !keys.contains(&class_key(&route.class)));
    others.map(|route| route.packets).sum()
}

/// The class of the packets that go the other way.
pub(super) fn turned(class: &Class) -> Class {
    Class {
        source: class.destination.clone(),
        destination: class.source.clone(),
        service: class.service.map(|service| match service {
            Service::Source(port) => Service::Destination(port),
            Service::Destination(port) => Service::Source(port),
        }),
        first: class.first.map(|tuple| Tuple {
            source: tuple.destination,
            destination: tuple.source,
            source_port: tuple.destination_port,
            destination_port: tuple.source_port,
        }),
        way_back: None,
        ..class.clone()
    }
}
