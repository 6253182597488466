//! What changed lately in a namespace: whether what was found out before still holds.

use std::collections::VecDeque;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::network::{Change, Fact, NeighbourState};

/// How many changes are remembered: more than there are between two readings, as a rule.
const MOST: usize = 1_024;

/// The last changes.
#[derive(Default)]
pub(super) struct Recent {
    /// The last one last.
    changes: VecDeque<Concerns>,
    generation: u64,
}

/// Which packets a change may concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concerns {
    None,
    /// Those to these destinations.
    To(IpNet),
    All,
}

impl Recent {
    /// How many changes there were.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Something changed.
    pub(super) fn note(&mut self, change: &Change) {
        self.push(concerns(change));
    }

    /// Anything may have changed.
    pub(super) fn note_all(&mut self) {
        self.push(Concerns::All);
    }

    /// Whether a change since that generation may be one for packets to a destination; none where only
    /// their neighbours matter.
    pub(super) fn concerns(&self, since: u64, destination: Option<IpAddr>) -> bool {
        // A namespace that was left and entered again counts from its beginning.
        let Some(missed) = self.generation.checked_sub(since) else {
            return true;
        };
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        if missed > self.changes.len() {
            return true;
        }
        let missed = self.changes.iter().rev().take(missed);
        let mut concerned = missed.filter(|change| match change {
            Concerns::None => false,
            Concerns::To(prefix) => destination.is_some_and(|it| prefix.contains(&it)),
            Concerns::All => true,
        });
        concerned.next().is_some()
    }

    fn push(&mut self, change: Concerns) {
        if self.changes.len() == MOST {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.generation += 1;
    }
}

fn concerns(change: &Change) -> Concerns {
    let fact = change.after.as_ref().or(change.before.as_ref());
    match fact {
        Some(Fact::Route(route)) => Concerns::To(route.slot.prefix),
        Some(Fact::Exception(it)) => Concerns::To(IpNet::from(it.destination)),
        // Who is reachable and who was so a while ago has the same address.
        Some(Fact::Neighbour(_))
            if address(change.before.as_ref()) == address(change.after.as_ref()) =>
        {
            Concerns::None
        }
        _ => Concerns::All,
    }
}

/// The Ethernet address that a neighbour is known by.
fn address(fact: Option<&Fact>) -> Option<([u8; 6], bool)> {
    match fact {
        Some(Fact::Neighbour(it)) => Some((it.mac?, it.state == NeighbourState::Unresolved)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::{How, Neighbour, NextHop, NextHopKind};

    fn neighbour(mac: u8, state: NeighbourState) -> Fact {
        Fact::Neighbour(Neighbour {
            index: 2,
            address: [10, 0, 0, 1].into(),
            mac: Some([2, 0, 0, 0, 0, mac]),
            state,
        })
    }

    fn change(before: Option<Fact>, after: Option<Fact>) -> Change {
        Change {
            before,
            after,
            how: How::Told,
        }
    }

    #[test]
    fn a_change_concerns_packets_whose_look_up_may_end_otherwise() {
        let reachable = || Some(neighbour(1, NeighbourState::Reachable));
        let next_hop = Fact::NextHop(NextHop {
            id: 1,
            kind: NextHopKind::Blackhole,
            protocol: 4,
        });
        for (change, expected) in [
            (
                change(reachable(), Some(neighbour(1, NeighbourState::Stale))),
                Concerns::None,
            ),
            (
                change(reachable(), Some(neighbour(2, NeighbourState::Reachable))),
                Concerns::All,
            ),
            (
                change(reachable(), Some(neighbour(1, NeighbourState::Unresolved))),
                Concerns::All,
            ),
            (change(reachable(), None), Concerns::All),
            (change(None, Some(next_hop)), Concerns::All),
        ] {
            assert_eq!(concerns(&change), expected, "{change:?}");
        }
    }

    #[test]
    fn what_was_found_out_holds_until_something_concerns_it() {
        let mut recent = Recent::default();
        let to = |prefix: &str| Concerns::To(prefix.parse().unwrap());
        let inside = Some([10, 2, 0, 7].into());
        let concerned = |recent: &Recent, since| recent.concerns(since, inside);
        recent.push(to("10.2.0.0/16"));
        assert!(concerned(&recent, 0));
        assert!(!concerned(&recent, 1));
        recent.push(to("10.3.0.0/16"));
        recent.push(Concerns::None);
        assert!(!concerned(&recent, 1));
        assert!(concerned(&recent, 0));
        assert!(!recent.concerns(0, None));
        recent.note_all();
        assert!(concerned(&recent, 3));
        assert!(!concerned(&recent, recent.generation()));
        for _ in 0..=MOST {
            recent.push(to("10.3.0.0/16"));
        }
        let generation = recent.generation();
        assert!(!concerned(&recent, generation - MOST as u64));
        assert!(
            concerned(&recent, generation - MOST as u64 - 1),
            "it is forgotten"
        );
    }
}
