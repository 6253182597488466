//! What ICMP says of the packets that a dependency's sockets send.

use super::View;
use crate::detect::verdict::gather::turned;
use crate::detect::verdict::group::{Group, Trips};
use crate::model::connection::Sight;
use crate::model::passing::{Flows, Told};
use crate::model::verdict::{TurnedBack, Why};
use crate::model::{End, Report};

impl View<'_> {
    /// What routers say, and what the peer itself says: whoever spoke last, by the device that the packets
    /// leave by or, where all of them leave by one, by any.
    ///
    /// Packets that are too large are too large for a whole window of TCP's when that is learnt: only
    /// where they still are in the second half, they get no further.
    pub(super) fn turned_back(&self) -> [Option<TurnedBack>; 2] {
        let whole = &self.window.whole;
        let last = |mut about: Vec<&Flows>| {
            about.retain(|it| it.seen.told.is_some_and(|told| self.is_recent(&told)));
            about.first()?.seen.told
        };
        let own = last(self.about(whole, false).collect());
        let told = own.or_else(|| last(self.about(whole, self.is_silent()).collect()));
        let Some(told) = told else {
            return [None; 2];
        };
        let said = self.said(&told);
        if self.is_peer(&told) {
            [None, said]
        } else {
            [said, None]
        }
    }

    /// The last message, with how often the same was said.
    fn said(&self, told: &Told) -> Option<TurnedBack> {
        let window = self.window;
        let (why, sight) = why(told)?;
        let count = |report| {
            let about = self.about(report, is_of_host(told) && self.is_silent());
            about.map(|flows| flows.seen.sight(sight)).sum::<u64>()
        };
        let is_over = sight == Sight::IcmpTooBig && count(&window.late) == 0;
        let times = count(&window.whole);
        (times > 0 && !is_over).then_some(TurnedBack {
            by: told.by,
            why,
            times,
        })
    }

    /// Whether it was said in the window.
    fn is_recent(&self, told: &Told) -> bool {
        told.ago_ns <= self.window.whole.duration_ns
    }

    /// Whether nothing comes back to this group.
    fn is_silent(&self) -> bool {
        let group = &self.group;
        let came = group.exchanges() + group.sight(Sight::Opened) + group.sight(Sight::HeldBack);
        came + group.trips(Trips::OrMore).count() == 0
    }

    /// What was seen of the packets that this group sends, and where asked for also of those that this host
    /// sends to the same end for other services, if what was said of these holds for the end.
    fn about<'r>(
        &self,
        report: &'r Report,
        of_host: bool,
    ) -> impl Iterator<Item = &'r Flows> + use<'r> {
        let (group, seen) = (self.group, self.group.seen());
        let cookie = seen.namespace.cookie;
        let who = |it: &Group<'_>| (it.asks, it.port, it.seen().namespace.cookie);
        let same = self.all.iter().filter(|it| {
            who(it) == who(&group) && it.client == group.client && it.server == group.server
        });
        let device = (same.count() > 1).then_some(seen.ifindex);
        let sent = turned(&group.sockets.class);
        let window_ns = self.window.whole.duration_ns;
        let holds = move |told: Told| of_host && is_of_host(&told) && told.ago_ns <= window_ns;
        report.passing.iter().filter(move |flows| {
            let (at, class) = (&flows.seen, &flows.class);
            at.namespace.cookie == cookie
                && device.is_none_or(|device| device == at.ifindex)
                && class.protocol == sent.protocol
                && (class.service == sent.service || at.told.is_some_and(holds))
                && class.source == sent.source
                && class.destination == sent.destination
        })
    }

    /// Whether the other end itself said it.
    fn is_peer(&self, told: &Told) -> bool {
        let asks = self.group.asks;
        let end = if asks {
            self.group.server
        } else {
            self.group.client
        };
        if let End::Prefix(address, length) = end
            && ipnet::IpNet::new(*address, *length).is_ok_and(|net| net.contains(&told.by))
        {
            return true;
        }
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

/// Whether what is said holds for all that goes to the other end, and not for one service of it: a router that
/// knows no way says so once a second, of whichever packet comes then.
fn is_of_host(told: &Told) -> bool {
    match (told.by.is_ipv4(), told.kind, told.code) {
        (true, 3, code) => matches!(code, 0 | 1 | 6 | 7),
        (false, 1, code) => matches!(code, 0 | 3),
        _ => false,
    }
}

/// What a message says (RFC 792, RFC 4443), and what it is counted as.
fn why(told: &Told) -> Option<(Why, Sight)> {
    let too_big = (Why::TooBig { mtu: told.mtu }, Sight::IcmpTooBig);
    match (told.by.is_ipv4(), told.kind, told.code) {
        (true, 3, 4) | (false, 2, _) => Some(too_big),
        (true, 3, _) | (false, 1, _) => Some((Why::Unreachable, Sight::IcmpUnreachable)),
        (true, 11, _) | (false, 3, _) => Some((Why::TimeExceeded, Sight::IcmpTimeExceeded)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::no_way("10.0.0.1", 3, 1, Some(Sight::IcmpUnreachable))]
    #[case::no_way_v6("fd00::1", 1, 0, Some(Sight::IcmpUnreachable))]
    #[case::too_big("10.0.0.1", 3, 4, Some(Sight::IcmpTooBig))]
    #[case::too_big_v6("fd00::1", 2, 0, Some(Sight::IcmpTooBig))]
    #[case::circle("10.0.0.1", 11, 0, Some(Sight::IcmpTimeExceeded))]
    #[case::circle_v6("fd00::1", 3, 0, Some(Sight::IcmpTimeExceeded))]
    #[case::a_redirect_is_no_refusal("10.0.0.1", 5, 1, None)]
    #[case::a_redirect_of_v6_is_no_refusal("fd00::1", 137, 0, None)]
    fn what_is_said_is_what_is_counted(
        #[case] by: &str,
        #[case] kind: u8,
        #[case] code: u8,
        #[case] sight: Option<Sight>,
    ) {
        assert_eq!(why(&told(by, kind, code)).map(|it| it.1), sight);
    }

    #[rstest]
    #[case::no_way_to_the_network("10.0.0.1", 3, 0, true)]
    #[case::no_way_to_the_host("10.0.0.1", 3, 1, true)]
    #[case::no_way_v6("fd00::1", 1, 0, true)]
    #[case::no_such_neighbour_v6("fd00::1", 1, 3, true)]
    #[case::nobody_at_the_port("10.0.0.1", 3, 3, false)]
    #[case::forbidden_perhaps_by_port("10.0.0.1", 3, 13, false)]
    #[case::nobody_at_the_port_v6("fd00::1", 1, 4, false)]
    #[case::too_big("10.0.0.1", 3, 4, false)]
    #[case::circle("10.0.0.1", 11, 0, false)]
    fn some_hold_for_all_services_of_a_host(
        #[case] by: &str,
        #[case] kind: u8,
        #[case] code: u8,
        #[case] holds: bool,
    ) {
        assert_eq!(is_of_host(&told(by, kind, code)), holds);
    }

    fn told(by: &str, kind: u8, code: u8) -> Told {
        Told {
            by: by.parse().unwrap(),
            kind,
            code,
            mtu: None,
            gateway: None,
            ago_ns: 0,
        }
    }
}
