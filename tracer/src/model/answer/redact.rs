//! What of an answer may be handed to others: addresses, ports, times and counts, and no name.

use std::net::IpAddr;

use super::{Answer, Case};
use crate::model::verdict::{Fact, Judgement, Ways};
use crate::model::{End, Names};

/// What stands for a place on this host.
const HERE: &str = "this host";

impl Answer {
    /// The answer without names of programs, people, units, containers, namespaces, devices and
    /// components, and without what is no business of the other side: other dependencies, incidents,
    /// changes on this host.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let case = self.cases.first().map(Case::redacted);
        Self {
            at: self.at,
            duration_ns: self.duration_ns,
            followed: self.followed,
            by_agent: self.by_agent,
            cases: case.into_iter().collect(),
            losses: self.losses.clone(),
            ..Self::default()
        }
    }
}

impl Case {
    fn redacted(&self) -> Self {
        let mut case = self.clone();
        let first = case.class.first;
        let ends = first.map(|it| [it.source, it.destination]);
        let local_and_remote = case.sample.first().map(|it| it.tuple);
        let of_sample = local_and_remote.map(|it| {
            let ends = [it.destination, it.source];
            if case.asks { ends } else { [ends[1], ends[0]] }
        });
        if let Some([source, destination]) = of_sample.or(ends) {
            (case.class.source, case.class.destination) = (end(source), end(destination));
        } else {
            (case.class.source, case.class.destination) = (End::NoAddress, End::NoAddress);
        }
        case.names = Names::default();
        HERE.clone_into(&mut case.namespace);
        case.other_namespace = None;
        case.device = String::new();
        if let Some(entry) = &mut case.entry {
            entry.set_by = None;
        }
        for (number, sibling) in (1..).zip(&mut case.siblings) {
            sibling.client = format!("source {number}");
            HERE.clone_into(&mut sibling.namespace);
        }
        case.waits_for = None;
        case.incidents.clear();
        for grown in &mut case.grown {
            grown.place = None;
        }
        redact(&mut case.judgement);
        case
    }
}

fn end(address: IpAddr) -> End {
    End::Component(address.to_string())
}

fn redact(judgement: &mut Judgement) {
    let Judgement {
        evidence,
        against,
        cleared,
        ..
    } = judgement;
    let cleared = cleared.iter_mut().map(|(_, fact)| fact);
    for fact in evidence.iter_mut().chain(against).chain(cleared) {
        match fact {
            Fact::HostDrops { place, .. }
            | Fact::HostWaits { place, .. }
            | Fact::Misdelivered { place, .. }
            | Fact::BackSlow(Ways { wire: place, .. }) => {
                HERE.clone_into(place);
            }
            // Without a name a segment says no more than the part that grew.
            Fact::Grew(grown) => grown.place = None,
            Fact::Unseen { device, .. } => "a device".clone_into(device),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::answer::example;

    #[test]
    fn no_name_is_left() {
        let answers = [
            example::remembered(),
            example::dropping(),
            example::healthy(),
        ];
        for answer in answers {
            let told = format!("{:?}", answer.redacted());
            for name in ["app", "db", "uwsgi", "eth1", "ansible", "alice"] {
                assert!(!told.contains(name), "{name}: {told}");
            }
            assert!(told.contains("10.2.0.2"), "{told}");
        }
    }
}
