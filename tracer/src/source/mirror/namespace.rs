//! One namespace that is followed: what it told, what has to be looked at again, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::take;
use std::os::fd::RawFd;
use std::time::{Duration, Instant, SystemTime};

use super::dump;
use super::socket::{Asker, Listener, Message, Received, Sockets};
use super::{Counts, decode};
use crate::model::network::{Change, Family, How, Link, Network, Part, Table, Told};
use crate::source::spent::spent;

/// How long after a change its part is dumped: a change seldom comes alone.
const SOON: Duration = Duration::from_millis(50);

/// How long a part is left alone after a dump, at least …
const LEAST: Duration = Duration::from_millis(100);

/// … and as a multiple of what the dump took, so that dumps take one part in so many of the time.
const REST: u32 = 50;

/// How long all is left alone after all was dumped for want of room: it has to be right again
/// within two seconds.
const RENEWAL_REST: Duration = Duration::from_millis(300);

/// For how long after a device changed it may change once more without a word: it loses and gets its
/// carrier at once, and the kernel tells that up to a second later (`net/core/link_watch.c`).
const UNTOLD: Duration = Duration::from_millis(1_200);

/// How often exceptions are read (RFC 1191 has them last for ten minutes), at least …
const EXCEPTIONS: Duration = Duration::from_secs(30);

/// … and as a multiple of what reading them took.
const EXCEPTIONS_REST: u32 = 1_000;

/// The most routes of a table whose exceptions are read: IPv4 tells each of them once for every route
/// by the same gateway.
const EXCEPTIONS_OF: usize = 1_000;

/// How much is read before others have their turn.
const TURN: usize = 256;

/// A namespace's sockets, and what is not known for sure.
pub(super) struct Follow {
    asker: Asker,
    listener: Listener,
    /// Parts to be dumped, and from when on.
    due: BTreeMap<Part, Instant>,
    /// When a part may be dumped again.
    rested: BTreeMap<Part, Instant>,
    /// From when on all has to be dumped, since changes were lost.
    renewal: Option<Instant>,
    renewal_rested: Instant,
    /// Until when devices may change without a word.
    untold: Instant,
    /// Tables whose exceptions are known.
    learnt: BTreeSet<Part>,
    /// The last moment up to which all was heard.
    heard: SystemTime,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) changes: Vec<Made>,
    /// All messages that were read, whether they changed something or not.
    pub(super) heard: Vec<Message>,
    /// The listening socket's cookie.
    pub(super) listener: Option<u64>,
    /// The makers of all messages until here are written down, by so many runs.
    pub(super) made: Option<u64>,
    /// What nobody looked at before is known now.
    pub(super) begun: bool,
    /// Set where changes were lost: those since then are among the changes, as far as they last.
    pub(super) gap: Option<SystemTime>,
}

impl Outcome {
    /// How many changes dumps alone show.
    fn found_alone(&self) -> u64 {
        let found = |made: &&Made| made.change.how == How::Found;
        self.changes.iter().filter(found).count() as u64
    }

    /// What a dump showed before its message was read was told all the same; returns whether it was so.
    fn tell_found(&mut self, told: &Told, message: Option<Message>) -> bool {
        let says = |change: &Change| match told {
            Told::New(fact, _) => change.after.as_ref() == Some(fact),
            Told::Gone(fact) => change.after.is_none() && change.before.as_ref() == Some(fact),
        };
        let found = self.changes.iter_mut();
        let mut found = found.filter(|made| made.message.is_none());
        let Some(made) = found.find(|made| made.change.how == How::Found && says(&made.change))
        else {
            return false;
        };
        made.change.how = How::Told;
        made.message = message;
        true
    }
}

/// A change, with the message that told it, or another one that it follows from.
pub(super) struct Made {
    pub(super) change: Change,
    pub(super) message: Option<Message>,
}

impl Made {
    fn found(change: Change) -> Self {
        Self {
            change,
            message: None,
        }
    }
}

/// Whether the socket has told all.
enum Drained {
    All,
    More,
    Overrun,
}

impl Follow {
    /// Follows a namespace from now on; its network is that of a dump.
    pub(super) fn start(mut sockets: Sockets) -> io::Result<(Self, Network)> {
        let network = dump::all(&mut sockets.asker)?;
        let now = Instant::now();
        let mut follow = Self {
            asker: sockets.asker,
            listener: sockets.listener,
            due: BTreeMap::new(),
            rested: BTreeMap::new(),
            renewal: None,
            renewal_rested: now,
            untold: now + UNTOLD,
            learnt: BTreeSet::new(),
            heard: SystemTime::now(),
        };
        // What was told during the dump may be in it or not; where nothing was, the dump has it all but
        // for what devices do in silence.
        let parts = match follow.listener.is_silent() {
            Ok(true) => BTreeSet::from([Part::Links]),
            Ok(false) => network.parts(),
            Err(_) => {
                follow.renewal = Some(now);
                network.parts()
            }
        };
        for part in parts {
            follow.touch(part, now);
        }
        Ok((follow, network))
    }

    /// Its listening socket's cookie.
    pub(super) fn listener(&self) -> Option<u64> {
        self.listener.made()
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.listener.descriptor()
    }

    /// When there is something to do even if nothing is told.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let part = self.due.values().min().copied();
        part.into_iter().chain(self.renewal).min()
    }

    /// Follows what is told.
    pub(super) fn listen(&mut self, network: &mut Network, counts: &mut Counts) -> Outcome {
        let mut outcome = Outcome::default();
        self.hear(network, counts, &mut outcome);
        outcome
    }

    /// Dumps what is due. Where the kernel refuses a dump there is an error beside what came of those
    /// before it.
    pub(super) fn check(
        &mut self,
        network: &mut Network,
        counts: &mut Counts,
    ) -> (Outcome, io::Result<()>) {
        let mut outcome = Outcome::default();
        let checked = self.look_at_due(network, counts, &mut outcome);
        // Only now is it known what was told right after the dump that showed it.
        counts.found += outcome.found_alone();
        (outcome, checked)
    }

    fn look_at_due(
        &mut self,
        network: &mut Network,
        counts: &mut Counts,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let now = Instant::now();
        if self.renewal.is_some_and(|due| due <= now) {
            self.renew(network, counts, outcome)?;
        }
        let due: Vec<Part> = self
            .due
            .iter()
            .filter(|&(_, &due)| due <= now)
            .map(|(&part, _)| part)
            .collect();
        for part in due {
            self.look_at(part, network, counts, outcome)?;
        }
        Ok(())
    }

    /// Something is to be looked at, because of a change elsewhere.
    pub(super) fn touch_links(&mut self) {
        let now = Instant::now();
        self.untold = now + UNTOLD;
        self.touch(Part::Links, now);
    }

    /// What is learnt beside these tables is to be read.
    pub(super) fn use_tables(&mut self, used: &BTreeSet<(Family, u32)>) {
        let now = Instant::now();
        for &(family, table) in used {
            let part = Part::Exceptions(family, table);
            self.due.entry(part).or_insert(now);
        }
    }

    /// Reads what was learnt beside a table. What the first look shows is no change.
    fn read_exceptions(
        &mut self,
        (family, table): (Family, u32),
        network: &mut Network,
        counts: &mut Counts,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let part = Part::Exceptions(family, table);
        let before = spent();
        let routes = network.table(family, table).map_or(0, Table::len);
        let (dumped, is_known) = if routes <= EXCEPTIONS_OF {
            counts.dumps += 1;
            let dumped = dump::part(&mut self.asker, part)?;
            (dumped, !self.learnt.insert(part))
        } else {
            self.learnt.remove(&part);
            (Network::default(), false)
        };
        let took = spent().saturating_sub(before);
        let rest = EXCEPTIONS.max(took * EXCEPTIONS_REST);
        self.due.insert(part, Instant::now() + rest);
        let found = network.replace(part, dumped);
        if is_known {
            outcome.changes.extend(found.into_iter().map(Made::found));
        } else {
            outcome.begun |= !found.is_empty();
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        part: Part,
        network: &mut Network,
        counts: &mut Counts,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        if let Part::Exceptions(family, table) = part {
            return self.read_exceptions((family, table), network, counts, outcome);
        }
        while matches!(self.hear(network, counts, outcome), Drained::More) {}
        let (start, before) = (Instant::now(), spent());
        let dumped = dump::part(&mut self.asker, part)?;
        let took = spent().saturating_sub(before);
        self.due.remove(&part);
        let rest = LEAST.max(took * REST);
        self.rested.insert(part, Instant::now() + rest);
        counts.dumps += 1;
        let found = network.replace(part, dumped);
        outcome.changes.extend(found.into_iter().map(Made::found));
        let unsettled = |link: &Link| link.up && link.carrier != link.running;
        if part == Part::Links && start < self.untold && network.links().any(unsettled) {
            self.touch(Part::Links, start);
        }
        // What was told during the dump comes after it, and has it looked at once more.
        while matches!(self.hear(network, counts, outcome), Drained::More) {}
        Ok(())
    }

    fn renew(
        &mut self,
        network: &mut Network,
        counts: &mut Counts,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        // What was told before the dump is in it.
        let (mut old, mut uncounted) = (Network::default(), Counts::default());
        let mut unheard = Outcome::default();
        while matches!(
            self.hear(&mut old, &mut uncounted, &mut unheard),
            Drained::More
        ) {}
        outcome.heard.append(&mut unheard.heard);
        let before = spent();
        let dumped = dump::all(&mut self.asker)?;
        self.renewal = None;
        self.due.clear();
        self.renewal_rested = Instant::now() + RENEWAL_REST.max(spent().saturating_sub(before));
        outcome.gap = outcome.gap.or(Some(self.heard));
        let found = network.renew(dumped);
        outcome.changes.extend(found.into_iter().map(Made::found));
        self.heard = SystemTime::now();
        while matches!(self.hear(network, counts, outcome), Drained::More) {}
        Ok(())
    }

    /// Follows what is told, up to one turn's share.
    fn hear(
        &mut self,
        network: &mut Network,
        counts: &mut Counts,
        outcome: &mut Outcome,
    ) -> Drained {
        let mut drained = Drained::More;
        outcome.listener = self.listener.made();
        let (mut told, mut messages) = (Vec::new(), Vec::new());
        for _ in 0..TURN {
            let received = self
                .listener
                .receive(
                    &mut |kind, flags, body| match decode::message(kind, flags, body) {
                        Ok(fact) => told.extend(fact),
                        Err(_) => counts.malformed += 1,
                    },
                );
            let message = self.listener.last();
            match received {
                Ok(Received::Message) => {
                    outcome.heard.extend(message);
                    outcome.made = None;
                    messages.resize(told.len(), message);
                }
                Ok(Received::Nothing) => {
                    drained = Drained::All;
                    break;
                }
                Ok(Received::AllMade(runs)) => {
                    outcome.made = Some(runs);
                    drained = Drained::All;
                    break;
                }
                // ENOBUFS; anything else is as good a reason to look anew.
                Err(_) => {
                    counts.overruns += 1;
                    self.renewal
                        .get_or_insert(self.renewal_rested.max(Instant::now()));
                    drained = Drained::Overrun;
                    break;
                }
            }
        }
        for (mut one, message) in take(&mut told).into_iter().zip(messages) {
            if let Told::New(fact, _) = &mut one {
                dump::speed(&self.asker, fact);
            }
            self.follow(&one, message, network, counts, outcome);
        }
        if self.renewal.is_none() {
            self.heard = SystemTime::now();
        }
        drained
    }

    fn follow(
        &mut self,
        told: &Told,
        message: Option<Message>,
        network: &mut Network,
        counts: &mut Counts,
        outcome: &mut Outcome,
    ) {
        let now = Instant::now();
        let (Told::New(fact, _) | Told::Gone(fact)) = told;
        let part = fact.part();
        // Neighbours tell all that is mirrored of them, and there may be very many.
        if part != Part::Neighbours {
            self.touch(part, now);
        }
        let changes = network.apply(told.clone());
        if changes.is_empty() && outcome.tell_found(told, message) {
            counts.told += 1;
        }
        for change in &changes {
            match change.how {
                How::Told => counts.told += 1,
                How::Implied | How::Found => counts.implied += 1,
            }
        }
        if !changes.is_empty() {
            self.touch_with(part, network, now);
        }
        let made = changes.into_iter();
        outcome
            .changes
            .extend(made.map(|change| Made { change, message }));
    }

    /// What may change in silence along with a part.
    fn touch_with(&mut self, part: Part, network: &Network, now: Instant) {
        let besides: &[Part] = match part {
            Part::Links => {
                self.untold = now + UNTOLD;
                &[Part::NextHops, Part::Addresses, Part::Neighbours]
            }
            Part::NextHops | Part::Addresses => &[],
            Part::Neighbours | Part::Rules(_) | Part::Routes(..) | Part::Exceptions(..) => return,
        };
        for &part in besides {
            self.touch(part, now);
        }
        for family in Family::ALL {
            for table in network.tables(family) {
                self.touch(Part::Routes(family, table), now);
            }
        }
    }

    fn touch(&mut self, part: Part, now: Instant) {
        let rested = self.rested.get(&part).copied();
        let due = rested.map_or(now + SOON, |rested| rested.max(now + SOON));
        self.due.entry(part).or_insert(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::{Fact, NextHop, NextHopKind, Place};

    #[test]
    fn what_is_told_right_after_the_dump_that_showed_it_was_not_found_by_the_dump_alone() {
        let next_hop = |id| {
            Fact::NextHop(NextHop {
                id,
                kind: NextHopKind::Blackhole,
                protocol: 4,
            })
        };
        let found = |before, after| {
            let how = How::Found;
            Made::found(Change { before, after, how })
        };
        let came = next_hop(1);
        let went = next_hop(2);
        let mut outcome = Outcome {
            changes: vec![
                found(None, Some(came.clone())),
                found(Some(went.clone()), None),
                found(None, Some(next_hop(3))),
            ],
            ..Outcome::default()
        };
        assert_eq!(outcome.found_alone(), 3);
        assert!(outcome.tell_found(&Told::Gone(went), None));
        assert!(
            !outcome.tell_found(&Told::Gone(came.clone()), None),
            "it is there"
        );
        assert!(outcome.tell_found(&Told::New(came, Place::First), None));
        assert_eq!(outcome.found_alone(), 1);
        assert_eq!(outcome.changes[1].change.how, How::Told);
    }
}
