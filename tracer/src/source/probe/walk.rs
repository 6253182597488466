//! Which probe goes next, and when: never faster than is promised, and to no router more often than
//! routers answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::PATIENCE;
use crate::model::probe::{Probe, Reply, Says};

/// The time between two probes: five a second. The kernel resets what the other end answers, which
/// makes ten packets a second at most.
pub(super) const EACH: Duration = Duration::from_millis(200);

/// How often each port asks each router, and how often the other end, which is no router and answers
/// each.
const ROUNDS: u32 = 2;
const END_ROUNDS: u32 = 5;

/// Probes altogether.
const MOST: usize = 200;

/// How far is looked where nobody answers, and at all.
const GAP: u8 = 4;
const FARTHEST: u8 = 30;

/// Linux answers so many expired probes at once, and one a second then (`icmp_ratelimit`).
const AT_ONCE: f64 = 5.0;
const PER_SECOND: f64 = 1.0;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Send this one.
    Send { ttl: u8, port: u16 },
    /// Wait for answers until then, from the beginning on.
    WaitUntil(Duration),
    /// All is asked, and answered or given up.
    Done,
}

/// What was asked, and what is known by it.
pub(super) struct Walk {
    ports: Vec<u16>,
    pub(super) probes: Vec<Probe>,
    /// How many were sent by a port to a distance.
    asked: BTreeMap<(u16, u8), u32>,
    /// At which distance a port's way ends.
    ends: BTreeMap<u16, u8>,
    /// The largest distance that anybody answered from.
    answered: u8,
    last: Option<Duration>,
    rests: BTreeMap<u8, Rest>,
}

/// What a distance may be asked before it has to rest.
struct Rest {
    tokens: f64,
    at: Duration,
}

impl Walk {
    pub(super) fn new(ports: Vec<u16>) -> Self {
        Self {
            ports,
            probes: Vec::new(),
            asked: BTreeMap::new(),
            ends: BTreeMap::new(),
            answered: 0,
            last: None,
            rests: BTreeMap::new(),
        }
    }

    pub(super) fn next(&self, now: Duration) -> Next {
        let Some(last) = self.last else {
            return self.first_of(now).map_or(Next::Done, send);
        };
        if now < last + EACH {
            return Next::WaitUntil(last + EACH);
        }
        if let Some(next) = self.first_of(now) {
            return send(next);
        }
        let is_left = !self.is_cut() && self.left().next().is_some();
        if is_left {
            return Next::WaitUntil(now + EACH);
        }
        if now < last + PATIENCE {
            return Next::WaitUntil((now + EACH).min(last + PATIENCE));
        }
        Next::Done
    }

    pub(super) fn sent(&mut self, ttl: u8, port: u16, now: Duration) {
        self.probes.push(Probe {
            ttl,
            port,
            reply: None,
        });
        *self.asked.entry((port, ttl)).or_default() += 1;
        self.last = Some(now);
        if self.is_end(port, ttl) {
            return;
        }
        let tokens = self.tokens(ttl, now);
        self.rests.insert(
            ttl,
            Rest {
                tokens: tokens - 1.0,
                at: now,
            },
        );
    }

    /// What came back for the probe of this number; only the first answer counts.
    pub(super) fn answered(
        &mut self,
        number: usize,
        port: u16,
        after: Duration,
        (from, says): (IpAddr, Says),
    ) {
        let Some(probe) = self.probes.get_mut(number) else {
            return;
        };
        if probe.port != port || probe.reply.is_some() {
            return;
        }
        probe.reply = Some(Reply {
            from,
            after_ns: after.as_nanos() as u64,
            says,
        });
        self.answered = self.answered.max(probe.ttl);
        if says.is_last() {
            let end = self.ends.entry(port).or_insert(probe.ttl);
            *end = (*end).min(probe.ttl);
        }
    }

    /// Whether there are more to send than may be sent.
    pub(super) fn is_cut(&self) -> bool {
        self.probes.len() >= MOST && self.left().next().is_some()
    }

    /// What is still to be asked: how often it was, by which port, at which distance.
    fn left(&self) -> impl Iterator<Item = (u32, usize, u8)> + '_ {
        self.ports.iter().enumerate().flat_map(move |(at, &port)| {
            let (end, farthest) = (self.ends.get(&port).copied(), self.farthest(port));
            (1..=farthest).filter_map(move |ttl| {
                let asked = self.asked.get(&(port, ttl)).copied().unwrap_or(0);
                let rounds = match end {
                    Some(end) if end == ttl => END_ROUNDS,
                    None if ttl > self.answered => 1,
                    _ => ROUNDS,
                };
                (asked < rounds).then_some((asked, at, ttl))
            })
        })
    }

    /// How far a port's way is followed: to its end, or to that of others.
    fn farthest(&self, port: u16) -> u8 {
        if let Some(&end) = self.ends.get(&port) {
            return end;
        }
        let others = self.ends.values().max().copied();
        others.unwrap_or((self.answered + GAP).min(FARTHEST))
    }

    /// What was asked least often, of the first port, and nearest; distances that rest are passed
    /// over.
    fn first_of(&self, now: Duration) -> Option<(u8, u16)> {
        if self.probes.len() >= MOST {
            return None;
        }
        let may = |&(_, at, ttl): &(u32, usize, u8)| {
            self.is_end(self.ports[at], ttl) || self.tokens(ttl, now) >= 1.0
        };
        let (_, at, ttl) = self.left().filter(may).min()?;
        Some((ttl, self.ports[at]))
    }

    /// Whether a port's probe meets the other end there, as far as is known: it answers each. What
    /// others met, a port that has met no end yet will meet too.
    fn is_end(&self, port: u16, ttl: u8) -> bool {
        match self.ends.get(&port) {
            Some(&end) => end == ttl,
            None => self.ends.values().any(|&end| end == ttl),
        }
    }

    fn tokens(&self, ttl: u8, now: Duration) -> f64 {
        self.rests.get(&ttl).map_or(AT_ONCE, |rest| {
            let since = now.saturating_sub(rest.at).as_secs_f64();
            (rest.tokens + since * PER_SECOND).min(AT_ONCE)
        })
    }
}

fn send((ttl, port): (u8, u16)) -> Next {
    Next::Send { ttl, port }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: [u16; 8] = [
        40_001, 40_002, 40_003, 40_004, 40_005, 40_006, 40_007, 40_008,
    ];

    /// Walks a way on which everybody up to `silent_from` answers after `rtt`, with the other end
    /// at `end`; gives the times of sending.
    fn walked(end: u8, silent_from: u8, rtt: Duration) -> (Walk, Vec<(Duration, u8)>) {
        let mut walk = Walk::new(PORTS.to_vec());
        let (mut now, mut times) = (Duration::ZERO, Vec::new());
        let mut due: Vec<(Duration, usize, u16, u8)> = Vec::new();
        loop {
            match walk.next(now) {
                Next::Send { ttl, port } => {
                    if ttl < silent_from {
                        due.push((now + rtt, times.len(), port, ttl));
                    }
                    times.push((now, ttl));
                    walk.sent(ttl, port, now);
                }
                Next::WaitUntil(until) => {
                    assert!(until > now);
                    now = until;
                    due.retain(|&(at, number, port, ttl)| {
                        let host = IpAddr::from([10, 0, 0, ttl.min(end)]);
                        let says = if ttl >= end {
                            Says::Accepts
                        } else {
                            Says::Expired
                        };
                        if at <= now {
                            walk.answered(number, port, rtt, (host, says));
                        }
                        at > now
                    });
                }
                Next::Done => return (walk, times),
            }
        }
    }

    #[rstest::rstest]
    #[case(4, 31, 1)]
    #[case(4, 31, 700)]
    #[case(12, 31, 30)]
    #[case(30, 5, 1)]
    #[case(30, 1, 1)]
    fn never_more_than_five_a_second(#[case] end: u8, #[case] silent: u8, #[case] rtt_ms: u64) {
        let (walk, times) = walked(end, silent, Duration::from_millis(rtt_ms));
        for pair in times.windows(2) {
            assert!(pair[1].0 >= pair[0].0 + EACH, "{pair:?}");
        }
        assert!(times.len() <= MOST);
        assert_eq!(walk.probes.len(), times.len());
    }

    #[test]
    fn each_router_may_rest() {
        let (_, times) = walked(2, 31, Duration::from_millis(1));
        let first: Vec<f64> = times
            .iter()
            .filter(|(_, ttl)| *ttl == 1)
            .map(|(at, _)| at.as_secs_f64())
            .collect();
        for (from, start) in first.iter().enumerate() {
            for (to, end) in first.iter().enumerate().skip(from) {
                let many = (to - from + 1) as f64;
                assert!(
                    many <= AT_ONCE + (end - start) * PER_SECOND + 1e-9,
                    "{first:?}"
                );
            }
        }
    }

    #[test]
    fn an_end_that_is_near_keeps_nobody_waiting() {
        let (_, times) = walked(1, 31, Duration::from_millis(1));
        let last = times.last().map(|(at, _)| *at);
        assert!(last <= Some(EACH * times.len() as u32), "{last:?}");
    }

    #[test]
    fn all_ports_ask_all_routers_and_the_end_more_often() {
        let (walk, _) = walked(3, 31, Duration::from_millis(1));
        let asked = |ttl| walk.probes.iter().filter(|it| it.ttl == ttl).count() as u32;
        let ports = PORTS.len() as u32;
        assert_eq!(asked(1), ports * ROUNDS);
        assert_eq!(asked(3), ports * END_ROUNDS);
        assert!(
            asked(4) <= 1,
            "the end of one port says how far the others have to go"
        );
        assert!(walk.probes.iter().all(|it| it.reply.is_some()));
        assert!(!walk.is_cut());
    }

    #[test]
    fn where_nobody_answers_it_is_given_up_soon() {
        let (walk, times) = walked(30, 3, Duration::from_millis(1));
        assert_eq!(times.iter().map(|(_, ttl)| *ttl).max(), Some(2 + GAP));
        let silent = walk.probes.iter().filter(|it| it.ttl > 2).count();
        assert_eq!(silent, usize::from(GAP) * PORTS.len());
    }
}
