//! Probes for tests: ways whose truth is known.

use std::net::IpAddr;

use super::{Probe, Probed, Reply, Says, Target};

const MS: u64 = 1_000_000;

/// The source ports of all examples.
pub(crate) const PORTS: [u16; 8] = [
    40_001, 40_002, 40_003, 40_004, 40_005, 40_006, 40_007, 40_008,
];

/// A router's address: of a distance, and a leg.
pub(crate) fn router(ttl: u8, leg: u8) -> IpAddr {
    IpAddr::from([10, 10 + ttl, leg, 1])
}

/// Where all examples probe.
pub(crate) fn target() -> Target {
    Target {
        namespace: "host".to_owned(),
        device: "eth0".to_owned(),
        source: IpAddr::from([10, 1, 0, 2]),
        destination: IpAddr::from([10, 2, 0, 2]),
        port: 5432,
    }
}

/// A way of three routers; `reply` says what a probe of a port, at a distance, in a round meets: the
/// leg and the round trip, or nothing. The other end stands at distance 4.
pub(crate) fn probed(reply: impl Fn(u16, u8, u32) -> Option<(u8, u64)>) -> Probed {
    let mut probes = Vec::new();
    for round in 0..5 {
        for port in PORTS {
            for ttl in 1..=4 {
                if ttl < 4 && round >= 2 {
                    continue;
                }
                let reply = reply(port, ttl, round).map(|(leg, after_ns)| Reply {
                    from: if ttl == 4 {
                        target().destination
                    } else {
                        router(ttl, leg)
                    },
                    after_ns,
                    says: if ttl == 4 {
                        Says::Accepts
                    } else {
                        Says::Expired
                    },
                });
                probes.push(Probe { ttl, port, reply });
            }
        }
    }
    Probed {
        target: target(),
        ports: PORTS.to_vec(),
        took_ns: probes.len() as u64 * 200 * MS,
        probes,
        is_cut: false,
    }
}

/// Every hop is short.
pub(crate) fn fine() -> Probed {
    probed(|_, ttl, _| Some((0, u64::from(ttl) * MS / 10)))
}

/// From the second router on it takes 20 ms, which that router alone answers in 35.
pub(crate) fn slow_second() -> Probed {
    probed(|_, ttl, _| {
        let ns = match ttl {
            1 => MS / 10,
            2 => 35 * MS,
            _ => 20 * MS + u64::from(ttl) * MS / 10,
        };
        Some((0, ns))
    })
}

/// Which leg a port goes by: three of eight go by leg 2.
pub(crate) fn leg(port: u16) -> u8 {
    (port % 3) as u8
}

/// Behind the first router there are three legs, and the one of them takes 40 ms.
pub(crate) fn slow_leg() -> Probed {
    probed(|port, ttl, _| {
        let (leg, is_bad) = (leg(port), leg(port) == 2 && ttl >= 2);
        let ns = u64::from(ttl) * MS / 10 + if is_bad { 40 * MS } else { 0 };
        Some((if ttl == 2 { leg } else { 0 }, ns))
    })
}

/// One of the three legs carries nothing.
pub(crate) fn dead_leg() -> Probed {
    probed(|port, ttl, _| {
        let is_dead = leg(port) == 2 && ttl >= 2;
        let leg = if ttl == 2 { leg(port) } else { 0 };
        (!is_dead).then_some((leg, u64::from(ttl) * MS / 10))
    })
}

/// The second router passes everything on, and says nothing.
pub(crate) fn silent_router() -> Probed {
    probed(|_, ttl, _| (ttl != 2).then_some((0, u64::from(ttl) * MS / 10)))
}

/// Nothing answers from beyond the second router.
pub(crate) fn silent_end() -> Probed {
    probed(|_, ttl, _| (ttl < 3).then_some((0, u64::from(ttl) * MS / 10)))
}

/// Behind the second router one of five gets lost; it is asked more often than it may answer.
pub(crate) fn lossy() -> Probed {
    probed(|port, ttl, round| {
        let is_lost = ttl >= 3 && (u32::from(port) + round).is_multiple_of(5);
        let is_silent = ttl == 1 && round == 1;
        (!is_lost && !is_silent).then_some((0, u64::from(ttl) * MS / 10))
    })
}
