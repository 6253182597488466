//! The answer to "what is wrong?": each dependency with its judgement, and what stands around it.

#[cfg(test)]
pub(crate) mod example;
mod redact;

use std::net::IpAddr;

use super::about::About;
use super::connection::Connection;
use super::forwarding::FibEntry;
use super::incident::{Incident, Name};
use super::journal::{Changes, Moment};
use super::probe::Target;
use super::verdict::{Began, Fact, Grown, Judgement, Share, Timed, Word};
use super::{Class, Losses, Names, Tuple};

/// All that the one screen tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// When the looking ended.
    pub at: Moment,
    /// For how long was looked, in nanoseconds.
    pub duration_ns: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The share of packets that was followed at last.
    pub followed: f64,
    /// Whether the agent answers; else the command looked for itself, and there is no before.
    pub by_agent: bool,
    /// What was asked about; none for everything.
    pub about: Option<String>,
    /// The dependencies. The first is what the answer is about.
    pub cases: Vec<Case>,
    /// How many more groups of connections there were, with less traffic, that were not judged.
    pub more: usize,
    /// What changed lately; none where there is no journal.
    pub changes: Option<Changes>,
    /// The incidents that the agent knows, those that are open first.
    pub incidents: Vec<Incident>,
    /// What was lost from sight.
    pub losses: Losses,
    /// Packets of routes that no judged connection belongs to: UDP, forwarded, or who asks is not
    /// known.
    pub not_judged: u64,
}

/// A client's connections to a service by one next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The class of the requests.
    pub class: Class,
    /// Who is behind its ends.
    pub names: Names,
    /// The network namespace of the sockets: of the asking side's, where these are on this host.
    pub namespace: String,
    /// The namespace of the other side's sockets, where these are on this host too.
    pub other_namespace: Option<String>,
    /// Whether these sockets ask; else they serve.
    pub asks: bool,
    /// The device that they send by.
    pub device: String,
    /// The gateway that they send by; none where the peer is on the link.
    pub next_hop: Option<IpAddr>,
    /// Its Ethernet address, as frames were really sent to it.
    pub mac: Option<[u8; 6]>,
    /// The FIB entry by which packets go.
    pub entry: Option<FibEntry>,
    /// What is said of it.
    pub judgement: Judgement,
    /// What takes longer than it did.
    pub grown: Vec<Grown>,
    /// The incidents that this is a part of, the oldest first.
    pub incidents: Vec<u64>,
    /// Where an exchange's time goes.
    pub parts: Vec<Part>,
    /// The way there and the way back, where both are wholly on this host.
    pub ways: Option<[Timed; 2]>,
    /// Exchanges in any state, and those that nothing disturbed.
    pub exchanges: u64,
    /// Exchanges that nothing disturbed.
    pub undisturbed: u64,
    /// How long answers took, undisturbed exchanges.
    pub answer: Option<Timed>,
    /// Connections that are open; a lower bound from [`super::connection::SAMPLE`] on.
    pub connections: usize,
    /// Some of these, each by itself.
    pub sample: Vec<Connection>,
    /// The TTL or hop limit that was received last.
    pub ttl: Option<u8>,
    /// How many client addresses these have.
    pub clients: usize,
    /// Its siblings, itself among them, the slowest first; empty without any.
    pub siblings: Vec<Sibling>,
    /// The first sign of what takes longer than it did, where anybody knows one.
    pub began: Option<Began>,
    /// The dependency that the peer itself waits for most of the time, or whose client holds what it waits
    /// for.
    pub waits_for: Option<String>,
    /// How long all its exchanges waited together, in nanoseconds.
    pub waited_ns: u64,
    /// The poorest coverage of the devices on its way.
    pub coverage: Option<Share>,
}

/// A part of an exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// What it is: `queue`, `network`, `peer`, `read`.
    pub name: &'static str,
    /// How long it takes.
    pub time: Timed,
    /// Whether it takes no longer than that, and may take less.
    pub at_most: bool,
}

/// Who does the same work at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sibling {
    /// The client.
    pub client: String,
    /// Its namespace.
    pub namespace: String,
    /// The gateway that it sends by.
    pub next_hop: Option<IpAddr>,
    /// Its round trips.
    pub time: Option<Timed>,
    /// Segments sent again and gaps, of the round trips.
    pub lost: Share,
    /// Whether it is worse than the others.
    pub is_worse: bool,
}

impl Answer {
    /// The first word.
    pub fn word(&self) -> Word {
        self.cases
            .first()
            .map_or(Word::CantTell, |case| case.judgement.word)
    }

    /// Keeps the cases that concern a component, an address, a program, or an incident.
    pub fn about(&mut self, target: &str) {
        self.about = Some(target.to_owned());
        match Name::from_full_text(target) {
            Some(name) => self.cases.retain(|case| case.incidents.contains(&name.0)),
            None => self.cases.retain(|case| case.concerns(target)),
        }
    }

    /// Where probes of the first dependency would go.
    pub fn target(&self) -> Option<Target> {
        self.cases.first()?.target()
    }

    /// How many dependencies have a word.
    pub fn count(&self, word: Word) -> usize {
        let cases = self.cases.iter();
        cases.filter(|case| case.judgement.word == word).count()
    }
}

impl Case {
    /// `app → db tcp/5432`
    pub fn name(&self) -> String {
        self.class.name()
    }

    /// Where it is wrong, if the evidence says more than that: a device, a wire, or the next hop that
    /// others do better without.
    pub fn place(&self) -> Option<String> {
        let evidence = &self.judgement.evidence;
        let by = |fact: &Fact| match fact {
            Fact::NextHopWorse(odd) if odd.by_next_hop => self.next_hop,
            _ => None,
        };
        let place = evidence.iter().find_map(Fact::place).map(str::to_owned);
        place.or_else(|| {
            let next_hop = evidence.iter().find_map(by)?;
            Some(format!("next hop {next_hop}"))
        })
    }

    /// The other end of one of its connections, from its own end.
    fn target(&self) -> Option<Target> {
        // A connection's tuple is that of the packets that its socket here receives.
        let received = self.sample.first().map(|it| it.tuple);
        let sent = |it: &Tuple| (it.source, it.destination, it.destination_port);
        let ends = received.map(|it| (it.destination, it.source, it.source_port));
        let first = self.class.first.as_ref().filter(|_| self.asks).map(sent);
        let (source, destination, port) = ends.or(first)?;
        Some(Target {
            namespace: self.namespace.clone(),
            device: self.device.clone(),
            source,
            destination,
            port,
        })
    }

    fn concerns(&self, target: &str) -> bool {
        About::of(target).is(&self.class, &self.names)
            || self.namespace == target
            || self.other_namespace.as_deref() == Some(target)
    }
}
