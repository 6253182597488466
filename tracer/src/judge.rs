//! Watches every stream of a host, second by second, and keeps its incidents.
//!
//! Readings go in with the time that passed; incidents come out. Each node of a route tree is a
//! stream, and so are round trips, peers, waiting and exchanges of each class and next hop. What a
//! stream says of itself ([`crate::detect::Stream`]) becomes a finding; findings that belong together
//! become one incident, which lasts until the old level was back for a while, or somebody accepts the
//! new one.

mod cases;
mod cause;
mod clock;
mod counters;
mod effect;
mod place;
mod remember;
mod saved;
pub mod settings;
mod streams;

use std::num::NonZeroU64;
use std::time::Duration;

use crate::detect::{Budget, Habit, Increase, Thresholds, Verdict};
use crate::model::connection::Connections;
use crate::model::incident::{Event, Incident, Name, State, Told};
use crate::model::journal::Moment;
use crate::model::{Parent, Reading};

pub use cases::Looked;
pub use saved::{News, Past, Saved};
pub use settings::Settings;

use self::cases::Cases;
use self::clock::Clock;
use self::counters::{Counters, Measured};
use self::effect::Effects;
use self::place::Place;
use self::streams::Streams;

/// How often it is asked which hop holds the shift, in seconds.
const ASK_AGAIN_S: u64 = 10;

/// The judge of a host.
#[derive(Debug, Default)]
pub struct Judge {
    settings: Settings,
    clock: Clock,
    habit: Habit,
    counters: Counters,
    streams: Streams,
    cases: Cases,
    effects: Effects,
    followed: Option<f64>,
    findings: u64,
    /// Kept, so that a second allocates little.
    increase: Increase,
    keys: Vec<Option<NonZeroU64>>,
}

/// How the judge itself is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How many streams it watches.
    pub streams: u64,
    /// How many streams found no room, each time that one came.
    pub refused: u64,
    /// Findings since it began.
    pub findings: u64,
}

/// One second's work.
struct Round<'a> {
    reading: &'a Reading,
    at_s: u64,
    thresholds: Thresholds,
    /// The streams of nodes, by index.
    keys: Vec<Option<NonZeroU64>>,
    /// Nodes with an open finding, and the incident.
    bad_nodes: Vec<(u64, usize)>,
    /// Incidents that began.
    new: Vec<u64>,
}

impl Judge {
    /// A judge that goes on from what was saved.
    pub fn new(settings: Settings, past: Past, at: Moment) -> Self {
        let mut judge = Self {
            settings,
            clock: Clock::from(past.clock, at),
            habit: past.habit.unwrap_or_default(),
            streams: Streams::of(past.streams),
            cases: Cases::of(past.incidents, past.next),
            ..Self::default()
        };
        judge.cases.count_open(&judge.streams);
        judge
    }

    /// Follows other settings from now on.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Judges what came since the last reading that was judged, which is so long ago. Returns the
    /// incidents that began.
    pub fn second(&mut self, reading: &Reading, at: Moment, passed: Duration) -> Vec<u64> {
        self.clock.pass(at, passed);
        self.habit.pass(passed.as_secs_f64());
        self.counters.begin(reading);
        self.effects.pass(passed);
        let streams = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        let mut round = Round {
            reading,
            at_s: self.clock.at_s(),
            thresholds: Budget::for_streams(streams).thresholds(&self.habit),
            keys: std::mem::take(&mut self.keys),
            bad_nodes: Vec::new(),
            new: Vec::new(),
        };
        // Of packets that were on their way when more or fewer were followed, only a part was.
        let is_even = self.followed.replace(reading.followed) == Some(reading.followed);
        let mut increase = std::mem::take(&mut self.increase);
        round.keys.clear();
        for index in 0..reading.nodes.len() {
            let key = self.node(&mut round, index, &mut increase, is_even);
            round.keys.push(key);
        }
        for connections in &reading.connections {
            self.sockets(&mut round, connections, &mut increase);
        }
        self.increase = increase;
        self.finish(&round, passed);
        self.keys = round.keys;
        round.new
    }

    /// Another source goes on, which has counted this much that is not to be judged.
    pub fn go_on_from(&mut self, reading: &Reading) {
        self.counters.go_on_from(reading);
        self.followed = None;
    }

    /// Judges a node; returns its stream.
    fn node(
        &mut self,
        round: &mut Round<'_>,
        index: usize,
        increase: &mut Increase,
        is_even: bool,
    ) -> Option<NonZeroU64> {
        let node = &round.reading.nodes[index];
        let (class, past) = self.counters.node((round.reading, index), increase);
        if !is_even || (past.stream.is_none() && increase.is_empty()) {
            return None;
        }
        let stream = *past.stream.get_or_insert_with(|| {
            let name = place::node_name(round.reading, index);
            let key = self.streams.key(&name, round.at_s);
            NonZeroU64::new(key).unwrap_or(NonZeroU64::MIN)
        });
        let (key, packets) = (stream.get(), past.came.into());
        let class = class.and_then(|it| round.reading.classes.get(it));
        if self.cases.is_any_active()
            && let Some(class) = class
            && matches!(node.parent, Parent::Class(_))
        {
            self.effects.packets(class, packets);
        }
        let number = self.observe(round, key, increase, |reading| {
            Place::of_node(reading, index)
        });
        if let (Some(number), Some(class)) = (number, class) {
            round.bad_nodes.push((number, index));
            let finding = self.streams.open(key);
            self.effects.slow_hop(number, class, finding, increase);
        }
        Some(stream)
    }

    fn sockets(
        &mut self,
        round: &mut Round<'_>,
        connections: &Connections,
        increase: &mut Increase,
    ) {
        let Some(class) = round.reading.classes.get(connections.class) else {
            return;
        };
        let birth = self.counters.sockets(round.reading, class, connections);
        let component = place::component(class);
        for measured in Measured::ALL {
            let past = self.counters.sockets_past(birth);
            let is_there = past.fill(measured, class, connections, increase);
            let known = past.streams[measured as usize];
            if !is_there && known.is_none() {
                continue;
            }
            let key = known.unwrap_or_else(|| {
                let name = place::sockets_name(class, connections, measured);
                self.streams.key(&name, round.at_s)
            });
            self.counters.sockets_past(birth).streams[measured as usize] = Some(key);
            let number = self.observe(round, key, increase, |reading| {
                Place::of_sockets(reading, connections, measured)
            });
            if let Some(number) = number {
                self.effects.touch(number, &component);
            }
            if measured == Measured::Exchange {
                let usual = self.streams.usual(key);
                let troubled = self.counters.sockets_past(birth).troubled;
                self.effects
                    .exchanges(&component, increase, troubled, usual);
            }
        }
        if self.effects.is_touched(&component) {
            let key = self.counters.sockets_past(birth).streams[Measured::RoundTrip as usize];
            let usual = key.and_then(|key| self.streams.usual(key));
            let at_s = round.at_s;
            self.effects
                .connections(&component, &connections.sample, usual, at_s);
        }
    }

    /// Judges one stream; returns the incident that it has an open finding of.
    fn observe(
        &mut self,
        round: &mut Round<'_>,
        key: u64,
        increase: &Increase,
        place: impl FnOnce(&Reading) -> Option<Place>,
    ) -> Option<u64> {
        let (verdict, watched) = self.streams.observe(
            key,
            round.at_s,
            increase,
            &round.thresholds,
            &mut self.habit,
        )?;
        let is_new = matches!(verdict, Verdict::Opened(_));
        let told = match verdict {
            Verdict::Opened(finding) | Verdict::Louder(finding) => Some(finding),
            Verdict::Insufficient | Verdict::Quiet => watched.take_left(round.at_s),
            Verdict::Cleared(finding) => {
                if let Some(number) = watched.case.filter(|_| place::is_worse(&finding)) {
                    self.cases.clear(number, key, &finding, &self.clock);
                }
                None
            }
        };
        if let Some(finding) = told.filter(place::is_worse) {
            self.findings += u64::from(is_new);
            let place = place(round.reading)?;
            let (number, begins) = self
                .cases
                .add(key, &finding, watched.case, &place, &self.clock);
            watched.case = number;
            round.new.extend(number.filter(|_| begins));
        }
        let number = watched.case?;
        let Some(finding) = watched.finding() else {
            if increase.packets() > 0 {
                self.cases.passed(number, round.at_s);
            }
            return None;
        };
        self.cases
            .follow(number, key, finding, increase, &self.clock);
        Some(number)
    }

    /// What all streams together say.
    fn finish(&mut self, round: &Round<'_>, passed: Duration) {
        let is_open = |case: &&mut cases::Case| case.incident.state == State::Open;
        for case in self.cases.active().filter(is_open) {
            let nodes = round.bad_nodes.iter();
            let nodes: Vec<usize> = nodes
                .filter(|(number, _)| *number == case.incident.number)
                .map(|(_, index)| *index)
                .take(cause::ROUTES)
                .collect();
            let (at_s, revision) = case.asked;
            if round.at_s >= at_s + ASK_AGAIN_S || case.incident.revision != revision {
                case.asked = (round.at_s, case.incident.revision);
                let culprit = cause::culprit(round.reading, &nodes, |index| {
                    let key = (*round.keys.get(index)?)?;
                    self.streams.growth(key.get())
                });
                if culprit.is_some() {
                    case.culprit = culprit;
                }
                cause::say(case);
            }
        }
        self.effects
            .settle(self.cases.active(), &self.settings, &self.clock, passed);
        for closed in self.cases.step(&self.settings, &self.clock) {
            self.streams.leave(closed);
        }
        self.counters.forget_absent();
        self.streams.forget_absent(round.at_s);
    }

    /// A person says that what an incident's streams do now is normal.
    ///
    /// # Errors
    /// Why that can't be: there is no such incident, or it is over.
    pub fn accept(&mut self, name: Name, at: Moment) -> Result<(), String> {
        self.cases.can_accept(name)?;
        self.clock.pass(at, Duration::ZERO);
        self.streams.adopt(name.0, self.clock.at_s());
        self.cases.accept(name.0, &self.clock);
        Ok(())
    }

    /// All incidents that are kept, oldest first.
    pub fn incidents(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.cases.all()
    }

    /// Somebody looked at what an incident does now, and says whose it is.
    pub fn looked(&mut self, number: u64, looked: Looked) {
        self.cases.looked(number, looked);
    }

    /// What changed on the network before an incident.
    pub fn precede(&mut self, number: u64, events: Vec<Event>) {
        self.cases.precede(number, events);
    }

    /// A receiver was told of an incident, or of its end.
    pub fn told(&mut self, number: u64, told: Told) {
        self.cases.told(number, told);
    }

    /// How the judge itself is.
    pub fn health(&self) -> Health {
        Health {
            streams: self.streams.len() as u64,
            refused: self.streams.refused() + self.cases.refused(),
            findings: self.findings,
        }
    }

    /// What is to be written to disk: incidents that changed, streams whose findings did, and a part
    /// of all other streams, so that each is written once in so many calls; with 1, all.
    pub fn news(&mut self, part: u64) -> News {
        News {
            incidents: self.cases.take_dirty(),
            streams: self.streams.take_dirty(part),
            clock: self.clock.saved(),
            habit: self.habit,
            next: self.cases.next(),
        }
    }

    /// What was handed out could not be written.
    pub fn write_all(&mut self) {
        self.cases.write_all();
        self.streams.write_all();
    }
}

#[cfg(test)]
mod tests;
