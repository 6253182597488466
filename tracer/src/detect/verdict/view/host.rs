//! What this host's own kernel does to a dependency's packets: waits, drops, and what passes unseen.

use super::View;
use crate::detect::verdict::evidence::{Covered, Dropped, HostTime};
use crate::detect::verdict::{ENOUGH, Word};
use crate::model::Hop;
use crate::model::drops::Blame;
use crate::model::verdict::{Share, Timed};

impl View<'_> {
    pub(super) fn host(&self) -> Option<HostTime> {
        let segments = self.routes().flat_map(|route| {
            route.steps.windows(2).filter_map(|pair| {
                let [from, to] = [&pair[0].hop, &pair[1].hop];
                let segment = pair[1].segment.as_ref()?;
                let is_ours = Word::of_segment(from.stage, to.stage) == Word::ThisHost;
                Some(HostTime {
                    segment: segment.name.clone(),
                    place: place(from),
                    time: Timed::of(&segment.latency).filter(|_| is_ours)?,
                })
            })
        });
        segments.max_by_key(|it| (it.time.n >= ENOUGH, it.time.p50_ns))
    }

    /// What was dropped on the ways, the most frequent first, as far as its reason blames so.
    pub(super) fn drops(&self, blame: Blame) -> Vec<Dropped> {
        let steps = self.routes().flat_map(|route| &route.steps);
        let mut drops: Vec<Dropped> = steps
            .flat_map(move |step| {
                let dropped = step.ends.dropped.iter();
                let dropped = dropped.filter(move |(reason, _)| Blame::of(reason) == Some(blame));
                dropped.map(move |(reason, &count)| Dropped {
                    reason: reason.clone(),
                    place: place(&step.hop),
                    packets: Share {
                        part: count,
                        of: step.packets.saturating_add(step.born),
                    },
                })
            })
            .collect();
        drops.sort_by_key(|drop| std::cmp::Reverse(drop.packets.part));
        drops
    }

    pub(super) fn coverage(&self) -> Option<Covered> {
        let is_passed = |namespace: u64, ifindex: u32| {
            let mut steps = self.routes().flat_map(|route| &route.steps);
            steps.any(|it| (it.hop.namespace.cookie, it.hop.ifindex) == (namespace, ifindex))
        };
        let all = self.window.whole.coverage.iter();
        let passed = all.filter(|it| is_passed(it.namespace.cookie, it.ifindex));
        let known = passed.filter_map(|it| Some((it.ratio()?, it)));
        let (_, poorest) = known.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Covered {
            device: format!("{} {}", poorest.namespace.name, poorest.device),
            packets: Share {
                part: poorest.seen,
                of: poorest.carried,
            },
        })
    }
}

fn place(hop: &Hop) -> String {
    format!("{} {}", hop.namespace.name, hop.device)
}
