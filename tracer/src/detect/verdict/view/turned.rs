//! What ICMP says of the packets that a dependency's sockets send.

use super::View;
use crate::detect::verdict::gather::turned;
use crate::model::connection::Sight;
use crate::model::passing::{Passing, Told};
use crate::model::report::class_key;
use crate::model::verdict::{TurnedBack, Why};

impl View<'_> {
    /// What the peer itself says, or routers: told by who said it last, by the device that the packets
    /// leave by.
    pub(super) fn turned_back(&self, by_peer: bool) -> Option<TurnedBack> {
        let seen = self.group.seen();
        let sent = class_key(&turned(&self.group.sockets.class));
        let here = |it: &&Passing| {
            (it.namespace.cookie, it.ifindex) == (seen.namespace.cookie, seen.ifindex)
        };
        let mut passing = self.window.whole.passing.iter();
        let passing = passing.find_map(|flows| {
            Some(&flows.seen).filter(|it| here(it) && class_key(&flows.class) == sent)
        })?;
        let told = passing.told.filter(|told| self.is_peer(told) == by_peer)?;
        let (why, times) = [
            (Why::Unreachable, Sight::IcmpUnreachable),
            (Why::TimeExceeded, Sight::IcmpTimeExceeded),
            (Why::TooBig { mtu: told.mtu }, Sight::IcmpTooBig),
        ]
        .into_iter()
        .map(|(why, sight)| (why, passing.sight(sight)))
        .max_by_key(|(_, times)| *times)?;
        (times > 0).then_some(TurnedBack {
            by: told.by,
            why,
            times,
        })
    }

    /// Whether the other end itself said it.
    fn is_peer(&self, told: &Told) -> bool {
        let asks = self.group.asks;
        let sample = self.group.seen().sample.iter().map(|it| it.tuple);
        // Of connections that never opened there is no sample.
        let first = self.class().first;
        let mut peers = sample.chain(first).map(|tuple| {
            if asks {
                tuple.destination
            } else {
                tuple.source
            }
        });
        peers.any(|peer| peer == told.by)
    }
}
