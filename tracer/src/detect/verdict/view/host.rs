//! What this host's own kernel does to a dependency's packets: waits, drops, and what passes unseen.

use super::View;
use crate::detect::verdict::evidence::{Covered, Dropped, HostTime, NotAccepted};
use crate::detect::verdict::{ENOUGH, Word};
use crate::model::drops::Blame;
use crate::model::hop::Stage;
use crate::model::host::Trouble;
use crate::model::verdict::{Share, Timed};
use crate::model::{Hop, Route};

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
        let mut drops = Vec::new();
        for route in self.routes() {
            for (at, step) in route.steps.iter().enumerate() {
                let whose = |reason: &str| {
                    // Most drops blame by their reason alone, without a look at all other ways.
                    if Blame::of_forwarded(reason) != Blame::of(reason)
                        && self.is_forwarding(route, at)
                    {
                        Blame::of_forwarded(reason)
                    } else {
                        Blame::of(reason)
                    }
                };
                let dropped = step.ends.dropped.iter();
                let dropped = dropped.filter(|(reason, _)| whose(reason) == Some(blame));
                drops.extend(dropped.map(|(reason, &count)| Dropped {
                    reason: reason.clone(),
                    place: place(&step.hop),
                    packets: Share {
                        part: count,
                        of: step.packets.saturating_add(step.born),
                    },
                }));
            }
        }
        drops.sort_by_key(|drop| std::cmp::Reverse(drop.packets.part));
        drops
    }

    /// The listen queues of the namespace that requests are delivered in, where this host delivers them.
    pub(super) fn not_accepted(&self) -> Option<NotAccepted> {
        let last = &self.requests?.steps.last()?.hop;
        if !matches!(last.stage, Stage::Deliver | Stage::Read) {
            return None;
        }
        let service = &last.namespace.name;
        let troubles = self.window.whole.host.troubles();
        troubles.into_iter().find_map(|trouble| match trouble {
            Trouble::ListenQueueFull { namespace, times } if namespace == *service => {
                Some(NotAccepted { namespace, times })
            }
            _ => None,
        })
    }

    /// Whether packets go through the host at a step of a way: those of this way or, where nobody ever
    /// saw any get further, those of others.
    fn is_forwarding(&self, route: &Route, at: usize) -> bool {
        let hop = &route.steps[at].hop;
        if let Some(next) = route.steps.get(at + 1) {
            return hop.is_forwarding_to(&next.hop);
        }
        let is_there = |it: &Hop| {
            (it.namespace.cookie, it.ifindex, it.stage)
                == (hop.namespace.cookie, hop.ifindex, hop.stage)
        };
        let others = self.window.whole.routes.iter();
        let mut pairs = others.flat_map(|it| it.steps.windows(2));
        pairs.any(|pair| is_there(&pair[0].hop) && hop.is_forwarding_to(&pair[1].hop))
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
