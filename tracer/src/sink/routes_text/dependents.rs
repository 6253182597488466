//! Who depends on whom: what is served while a dependency is waited for.

use super::class;
use crate::model::Report;
use crate::model::dependents::Dependents;
use crate::sink::fit;
use crate::sink::look::{Ink, Look};
use crate::sink::units;

pub(super) fn text(report: &Report, look: Look) -> String {
    let lines = report.dependents();
    let lines = lines.iter().map(|it| {
        let line = fit::wrap(&line(it, look.width), look.width, 2);
        look.paint(Ink::Plain, &line) + "\n"
    });
    lines.collect()
}

fn line(it: &Dependents, width: usize) -> String {
    let [front, back] =
        [&it.front, &it.dependency].map(|class| class::heading(class, width).trim().to_owned());
    let waited = it.waited_at_most.map_or_else(
        || "not enough data".to_owned(),
        |share| {
            let of = units::counted(share.of, "answer");
            format!(
                "at most {} of {of} waited for it",
                units::share(share.ratio())
            )
        },
    );
    let clients = it.clients;
    let more = if clients.is_whole { "" } else { "+" };
    let noun = match clients.addresses {
        1 => "client address",
        _ => "client addresses",
    };
    let proxy = if clients.is_behind_a_proxy() {
        ", behind a proxy"
    } else {
        ""
    };
    let addresses = clients.addresses;
    let perhaps = if it.is_one_process {
        ""
    } else {
        ", perhaps (same namespace)"
    };
    format!("in front of {back}{perhaps}: {front}; {waited}; {addresses}{more} {noun}{proxy}")
}
