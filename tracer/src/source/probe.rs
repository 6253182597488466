//! Probes beyond the next hop: SYNs whose TTL is used up on the way, and who answers them.
//!
//! The one room that sends anything, and only when a person asks for it. Each probe is a SYN from a
//! source port that is reserved for it, so that no connection of this host ever has its five-tuple. A
//! service that gets one answers, and the kernel, which knows of no such connection, resets it: the
//! service's program sees nothing of it. With these resets at most ten packets a second are sent.

mod packet;
mod walk;
mod wire;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::Error;
use super::netns::{self, find};
use crate::model::probe::{Probe, Probed, Target};
use packet::Sequence;
use walk::{Next, Walk};
use wire::Wire;

/// How many source ports are used.
const PORTS: usize = 8;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends probes, and waits for what comes back.
///
/// # Errors
/// When the namespace can't be entered, a raw socket can't be opened (`CAP_NET_RAW`), or the kernel
/// refuses to send.
pub fn probe(target: &Target) -> Result<Probed, Error> {
    let namespace = enter(&target.namespace)?;
    let opened = netns::inside(&namespace, || Wire::open(target, PORTS));
    let wire = opened.map_err(|cause| Error::Kernel {
        doing: format!("open raw sockets in {}", target.namespace),
        because: cause.to_string(),
        advice: match cause.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => NEEDS_RAW.to_owned(),
            _ => "without --probe".to_owned(),
        },
    })?;
    walk(target, &wire)
}

/// What to try where the right to send is missing.
const NEEDS_RAW: &str = "again as root: probes need CAP_NET_RAW";

/// Whether this process may send probes.
///
/// # Errors
/// When it has no `CAP_NET_RAW`.
pub fn may_probe() -> Result<(), Error> {
    let held = caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_NET_RAW);
    if held.unwrap_or(false) {
        return Ok(());
    }
    Err(Error::Kernel {
        doing: "send probes".to_owned(),
        because: "this process has no CAP_NET_RAW".to_owned(),
        advice: NEEDS_RAW.to_owned(),
    })
}

fn enter(name: &str) -> Result<File, Error> {
    let path = find::by_name(name).unwrap_or_else(|| PathBuf::from(name));
    File::open(path).map_err(|cause| Error::Kernel {
        doing: format!("enter the network namespace {name}"),
        because: cause.to_string(),
        advice: "while something still runs in it, as root".to_owned(),
    })
}

fn walk(target: &Target, wire: &Wire) -> Result<Probed, Error> {
    let start = Instant::now();
    let sequence = Sequence::random();
    let mut walk = Walk::new(wire.ports());
    // When each probe left.
    let mut left: Vec<Instant> = Vec::new();
    let failed = |cause: io::Error| Error::Kernel {
        doing: format!("send a probe to {target}"),
        because: cause.to_string(),
        advice: "tracer blame, and the firewall's rules for what this host sends".to_owned(),
    };
    loop {
        let until = match walk.next(start.elapsed()) {
            Next::Send { ttl, port } => {
                let at = Instant::now();
                wire.send(target, ttl, port, sequence.of(left.len()))
                    .map_err(failed)?;
                left.push(at);
                walk.sent(ttl, port, start.elapsed());
                continue;
            }
            Next::WaitUntil(at) => start + at,
            Next::Done => break,
        };
        for answer in wire.answers(until).map_err(failed)? {
            let Some(number) = sequence.number(answer.sequence, left.len()) else {
                continue;
            };
            let after = answer.at.saturating_duration_since(left[number]);
            walk.answered(number, answer.port, after, (answer.from, answer.says));
        }
    }
    let is_cut = walk.is_cut();
    Ok(Probed {
        target: target.clone(),
        ports: wire.ports(),
        probes: walk.into_probes(),
        took_ns: start.elapsed().as_nanos() as u64,
        is_cut,
    })
}

/// All probes with their answers.
impl Walk {
    fn into_probes(self) -> Vec<Probe> {
        self.probes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caps::{CapSet, Capability};

    /// On a thread of its own: capabilities are a thread's.
    #[test]
    fn without_the_right_to_send_it_is_said_which_one_it_is() {
        let said = std::thread::spawn(|| {
            caps::drop(None, CapSet::Effective, Capability::CAP_NET_RAW).unwrap();
            let target = Target {
                namespace: "host".to_owned(),
                device: String::new(),
                source: std::net::Ipv4Addr::LOCALHOST.into(),
                destination: std::net::Ipv4Addr::LOCALHOST.into(),
                port: 9,
            };
            [may_probe().unwrap_err(), probe(&target).unwrap_err()].map(|it| it.to_string())
        });
        for problem in said.join().unwrap() {
            assert!(
                problem.ends_with("try again as root: probes need CAP_NET_RAW"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_namespace_that_is_gone_is_named() {
        let problem = enter("there-is-no-such-namespace").unwrap_err().to_string();
        assert!(
            problem.contains("enter the network namespace there-is-no"),
            "{problem}"
        );
    }
}
