//! The streams of a host by name, as many as there is room for.

use std::collections::{HashMap, HashSet};

use crate::detect::attribution::Growth;
use crate::detect::baseline::edge_ns;
use crate::detect::{Finding, Habit, Increase, Kind, Stream, Thresholds, Verdict};
use crate::model::identity::AsItIs;
use crate::model::verdict::Timed;
use crate::model::{RouteId, bucket};

use super::saved::Saved;

/// How many streams are watched: 1.6 kB each.
const MOST: usize = 50_000;

/// After so many seconds without a reading of it a stream is forgotten, unless it has a finding.
const ABSENT_S: u64 = 86_400;

/// Where there is no room, what was away for so long makes some.
const ABSENT_WHEN_FULL_S: u64 = 600;

/// How often it is looked for what is absent, in seconds.
const SWEEP_S: u64 = 60;

/// A stream without packets for so long is looked at in one second of so many.
const IDLE_S: u32 = 120;
const IDLE_EACH: u64 = 15;

/// The streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Each in a room of its own: a table that grows moves all that stands in it, and half of it is
    /// empty then.
    watched: HashMap<u64, Box<Watched>, AsItIs>,
    gone: HashSet<u64>,
    refused: u64,
    swept_s: u64,
    calls: u64,
    all: bool,
}

/// A stream, and the incident that it has a part in.
#[derive(Debug, Default)]
pub(super) struct Watched {
    stream: Stream,
    seen_s: u64,
    idle_s: u32,
    dirty: bool,
    /// Whether its incident was over while it may still have lasted here.
    is_left: bool,
    /// The incident of its finding, or of its last one while that incident lasts.
    pub(super) case: Option<u64>,
}

impl Watched {
    /// What is bad again here, though its incident is over since nothing passed: that begins now.
    pub(super) fn take_left(&mut self, at_s: u64) -> Option<Finding> {
        self.is_left &= self.case.is_none() && self.stream.open().is_some();
        let finding = self
            .finding()
            .filter(|it| self.is_left && it.last_bad_s >= at_s)?;
        let finding = Finding {
            change_s: at_s,
            change_error_s: 1.0,
            raised_s: at_s,
            ..*finding
        };
        self.is_left = false;
        Some(finding)
    }

    /// The open finding, if it is one for the worse.
    pub(super) fn finding(&self) -> Option<&Finding> {
        self.stream.open().filter(|it| super::place::is_worse(it))
    }
}

impl Streams {
    pub(super) fn of(saved: Vec<Saved>) -> Self {
        let watched = saved.into_iter().take(MOST).map(|saved| {
            let watched = Watched {
                is_left: saved.case.is_none(),
                stream: saved.stream,
                case: saved.case,
                ..Watched::default()
            };
            (saved.key, Box::new(watched))
        });
        Self {
            watched: watched.collect(),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.watched.len()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The key of a name. Of two that are called the same and are there at once, the second has
    /// another one.
    pub(super) fn key(&self, name: &str, at_s: u64) -> u64 {
        let mut key = RouteId::of(name).number();
        while self
            .watched
            .get(&key)
            .is_some_and(|watched| watched.seen_s == at_s && at_s > 0)
        {
            key = RouteId::of(&format!("{name}\t{key}")).number();
        }
        key
    }

    /// Judges a second of a stream; none where there is no room for it.
    pub(super) fn observe(
        &mut self,
        key: u64,
        at_s: u64,
        increase: &Increase,
        thresholds: &Thresholds,
        habit: &mut Habit,
    ) -> Option<(Verdict, &mut Watched)> {
        let is_empty = increase.is_empty();
        if !self.watched.contains_key(&key) {
            // What nothing passes takes no room.
            if is_empty {
                return None;
            }
            if self.watched.len() >= MOST {
                self.refused += 1;
                return None;
            }
            self.gone.remove(&key);
        }
        let watched = self.watched.entry(key).or_default();
        // Restored streams were seen by no reading of this run.
        let slept = watched.seen_s == 0;
        watched.seen_s = at_s;
        watched.idle_s = if is_empty {
            watched.idle_s.saturating_add(1)
        } else {
            0
        };
        let rests = watched.idle_s > IDLE_S && watched.stream.open().is_none() && !slept;
        if rests && !(key ^ at_s).is_multiple_of(IDLE_EACH) {
            return Some((Verdict::Quiet, watched));
        }
        let verdict = watched.stream.observe(at_s, increase, thresholds);
        if let Some(burst_s) = watched.stream.take_burst_s() {
            habit.learn(burst_s);
        }
        watched.dirty |= !matches!(verdict, Verdict::Quiet | Verdict::Insufficient);
        Some((verdict, watched))
    }

    pub(super) fn open(&self, key: u64) -> Option<&Finding> {
        self.watched.get(&key)?.finding()
    }

    /// Incidents with the number of their findings that last.
    pub(super) fn open_by_case(&self) -> HashMap<u64, u64> {
        let mut open = HashMap::new();
        for watched in self.watched.values() {
            if let (Some(case), Some(_)) = (watched.case, watched.finding()) {
                *open.entry(case).or_default() += 1;
            }
        }
        open
    }

    /// For how long a stream has been judged, in seconds; 0 where it has not seen enough yet.
    pub(super) fn watched_s(&self, key: u64, at_s: u64) -> u64 {
        let stream = self.watched.get(&key).map(|it| &it.stream);
        let ready = stream.filter(|it| it.is_ready());
        ready.map_or(0, |it| it.watched_s(at_s))
    }

    /// The incident of its open finding.
    pub(super) fn case(&self, key: u64) -> Option<u64> {
        let watched = self.watched.get(&key)?;
        watched.finding().and(watched.case)
    }

    /// What a stream's middle used to be, and its open finding, where the middle or a share of it is
    /// slower.
    pub(super) fn slower(&self, key: u64) -> Option<(Timed, &Finding)> {
        let watched = self.watched.get(&key)?;
        let finding = watched.finding()?;
        if !matches!(finding.kind, Kind::Shift | Kind::Share) {
            return None;
        }
        let usual = Timed {
            p50_ns: finding.median_ns[0] as u64,
            p99_ns: finding.p99_ns[0] as u64,
            n: watched.stream.baseline().packets() as u64,
        };
        Some((usual, finding))
    }

    /// What a stream's middle is that has seen enough, and for how long it was watched, in seconds.
    pub(super) fn middle(&self, key: u64, at_s: u64) -> Option<(Timed, u64)> {
        let stream = &self.watched.get(&key)?.stream;
        let baseline = stream.baseline();
        let ns = |q| baseline.quantile(q).map(|edge| edge_ns(edge) as u64);
        let usual = Timed {
            p50_ns: ns(0.5)?,
            p99_ns: ns(0.99)?,
            n: baseline.packets() as u64,
        };
        stream.is_ready().then(|| (usual, stream.watched_s(at_s)))
    }

    /// For how long there is a stream, in seconds.
    pub(super) fn age_s(&self, key: u64, at_s: u64) -> Option<u64> {
        Some(self.watched.get(&key)?.stream.watched_s(at_s))
    }

    pub(super) fn growth(&self, key: u64) -> Option<Growth> {
        let stream = &self.watched.get(&key)?.stream;
        stream.is_ready().then(|| stream.growth())
    }

    /// The bucket that 99 in 100 did not exceed, as usual; none before that is known.
    pub(super) fn usual(&self, key: u64) -> Option<u8> {
        let stream = &self.watched.get(&key)?.stream;
        let edge = stream
            .baseline()
            .quantile(0.99)
            .filter(|_| stream.is_ready())?;
        Some(bucket::index(edge_ns(edge) as u64) as u8)
    }

    /// What the streams of an incident do now is normal.
    pub(super) fn adopt(&mut self, case: u64, at_s: u64) {
        for watched in self.watched.values_mut().filter(|it| it.case == Some(case)) {
            watched.stream.adopt(at_s);
            watched.case = None;
            watched.dirty = true;
        }
    }

    /// An incident is over.
    pub(super) fn leave(&mut self, case: u64) {
        for watched in self.watched.values_mut().filter(|it| it.case == Some(case)) {
            watched.case = None;
            watched.is_left = true;
            watched.dirty = true;
        }
    }

    pub(super) fn forget_absent(&mut self, at_s: u64) {
        if at_s < self.swept_s.saturating_add(SWEEP_S) {
            return;
        }
        self.swept_s = at_s;
        let longest = if self.watched.len() < MOST {
            ABSENT_S
        } else {
            ABSENT_WHEN_FULL_S
        };
        let gone = &mut self.gone;
        self.watched.retain(|&key, watched| {
            if watched.seen_s == 0 {
                watched.seen_s = at_s.saturating_sub(1);
            }
            let stays = watched.finding().is_some() || at_s < watched.seen_s + longest;
            if !stays {
                gone.insert(key);
            }
            stays
        });
    }

    /// Streams to be written: those whose finding began, changed or ended, and one in `part` of the rest.
    pub(super) fn take_dirty(&mut self, part: u64) -> Vec<(u64, Option<Saved>)> {
        self.calls += 1;
        let (turn, all) = (self.calls, std::mem::take(&mut self.all));
        let mut dirty: Vec<_> = self.gone.drain().map(|key| (key, None)).collect();
        for (&key, watched) in &mut self.watched {
            let is_turn = key.wrapping_add(turn).is_multiple_of(part.max(1));
            let changed = std::mem::take(&mut watched.dirty);
            if all || changed || is_turn {
                let saved = Saved {
                    key,
                    case: watched.case,
                    stream: watched.stream.clone(),
                };
                dirty.push((key, Some(saved)));
            }
        }
        dirty
    }

    pub(super) fn write_all(&mut self) {
        self.all = true;
    }
}
