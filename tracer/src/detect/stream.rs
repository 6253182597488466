//! Is this stream as it used to be?
//!
//! One hop of one route against its own past, second by second. Until it has seen enough it says
//! so; while a finding is open it learns nothing, so that a level that lasts never becomes normal
//! unless someone says that it is.

use super::attribution::Growth;
use super::baseline::{Baseline, edge_ns};
use super::budget::Thresholds;
use super::exceedance::{Exceedance, Shares};
use super::finding::{Direction, Finding, Kind, Tier};
use super::habit::LONGEST_BURST_S;
use super::increase::{Increase, Mishap};
use super::leap::Leap;
use super::mishaps::{Mishaps, PAGE_TIMES, WARN_TIMES};
use super::presence::Presence;

/// After how long a block is judged and settles, in seconds.
const BLOCK_S: u32 = 60;

/// A batch, over which the dependence of seconds is measured.
const BATCH_S: u32 = super::dependence::BATCH_S as u32;

/// A fault that comes back within this time is the same one.
const PAUSE_S: u32 = 60;

/// How long it is remembered what the stream did when nothing was wrong, in seconds (e-folding).
const HABIT_S: f64 = 86_400.0;

/// Packets that a baseline needs for its middle, and for its tail.
const ENOUGH: f64 = 100.0;
const ENOUGH_FOR_TAIL: f64 = 1_500.0;

/// A shift below this is nobody's trouble, in ns.
const LEAST_SHIFT_NS: f64 = 20_000.0;

/// 30 % in eighths of an octave.
const RISE: f64 = 3.03;

/// After a finding of this length what was normal before it is old, in seconds.
const STALE_S: u64 = 3_600;

/// The packets that no share of slow ones reaches, and so many that say where they lie now.
const BODY: f64 = 0.25;
const BODY_LEAST: f64 = 30.0;

/// The body is followed down by an octave at most, in buckets.
const MOST_FALLEN: f64 = 8.0;

/// The middle moved when this share of the packets did.
const MOST: f64 = 0.6;

/// No second counts for more than this part of the threshold of a page: five seconds at least.
const SECONDS: f64 = 4.5;

/// How long a lower level must last to be taken as normal: it asks nobody, it only makes the
/// judge stricter.
const IMPROVED_S: u32 = 900;

/// Over how long the usual rate is learnt, in seconds, and how many times it a minute may count for.
const RATE_S: f64 = 1_200.0;
const SURGE: f64 = 1.5;

/// So many blocks in a row may be refused while nothing is found.
const MOST_REFUSED: u8 = 5;

/// A stream's own seconds begin so long before its first one, so that a clock that is set back does
/// not stop time.
const ROOM_S: u64 = 86_400;

const MIDDLE: usize = 0;
const SHARE: usize = 1;
const TAIL: usize = 2;
const LOWER: usize = 3;

/// What a second said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Too few packets to say anything: neither healthy nor not.
    Insufficient,
    /// Nothing new.
    Quiet,
    /// A finding begins.
    Opened(Finding),
    /// An open finding got a louder tier.
    Louder(Finding),
    /// The old level is back for a minute, or was replaced by one that was accepted.
    Cleared(Finding),
}

/// The judge of one stream; at most 1.6 kB.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(super) baseline: Baseline,
    pub(super) edges: [Exceedance; 4],
    pub(super) leap: Leap,
    pub(super) mishaps: [Mishaps; 3],
    pub(super) epoch_s: u64,
    pub(super) block_s: u32,
    pub(super) batch_s: u32,
    pub(super) calm_s: f32,
    pub(super) usual_rate: f32,
    pub(super) restless: f32,
    pub(super) refused: u8,
    pub(super) burst_s: u8,
    pub(super) begun: bool,
    pub(super) open: Option<Box<Open>>,
}

/// An open finding and what it takes to close it.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) finding: Finding,
    pub(super) back_since_s: Option<u32>,
    pub(super) presence: Presence,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            baseline: Baseline::default(),
            edges: [Direction::Up, Direction::Up, Direction::Up, Direction::Down]
                .map(Exceedance::watching),
            leap: Leap::default(),
            mishaps: [Mishaps::default(); 3],
            epoch_s: 0,
            block_s: 0,
            batch_s: 0,
            calm_s: 0.0,
            usual_rate: 0.0,
            restless: 0.01,
            refused: 0,
            burst_s: 0,
            begun: false,
            open: None,
        }
    }
}

impl Stream {
    /// Judges an interval of about a second that ended at `at_s` (seconds of any clock that
    /// mostly runs forward).
    pub fn observe(&mut self, at_s: u64, increase: &Increase, thresholds: &Thresholds) -> Verdict {
        let at_s = self.clock(at_s);
        let bad = self.weigh(at_s, increase, thresholds);
        self.baseline.collect(increase);
        let verdict = match self.open.take() {
            None => self.look_for_change(at_s, thresholds),
            Some(open) => self.follow(at_s, open, bad, thresholds),
        };
        self.keep_house(at_s, thresholds);
        match verdict {
            Verdict::Quiet if !self.is_ready() => Verdict::Insufficient,
            verdict => verdict,
        }
    }

    /// The open finding, if there is one.
    pub fn open(&self) -> Option<&Finding> {
        self.open.as_ref().map(|open| &open.finding)
    }

    /// The longest burst that ended by itself since this was asked, in seconds.
    pub fn take_burst_s(&mut self) -> Option<f64> {
        let burst_s = std::mem::take(&mut self.burst_s);
        (burst_s > 0).then_some(f64::from(burst_s))
    }

    /// Whether it has seen enough to judge.
    pub fn is_ready(&self) -> bool {
        self.edges[MIDDLE].active
    }

    /// For how long it has been judged, in seconds; 0 before it was at all.
    pub fn watched_s(&self, at_s: u64) -> u64 {
        let began = self.epoch_s.saturating_add(ROOM_S);
        if self.begun {
            at_s.saturating_sub(began)
        } else {
            0
        }
    }

    /// What is normal for this stream, and what it does now.
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// By how much the mean grew, for the comparison of the hops of a route.
    pub fn growth(&self) -> Growth {
        let p99 = |edge: Option<f64>| edge.unwrap_or_default();
        let cut = p99(self.baseline.quantile(0.99)).max(p99(self.baseline.fresh_quantile(0.99)));
        let [before, now] = self.baseline.winsorised(cut.ceil().clamp(0.0, 225.0) as u8);
        Growth {
            before,
            now,
            restless: f64::from(self.restless).sqrt().max(0.02),
        }
    }

    /// Takes the present level as normal, because a person or the one who made the change said so.
    pub fn adopt(&mut self, at_s: u64) -> Option<Finding> {
        let at_s = self.clock(at_s);
        let open = self.open.take()?;
        self.take_level();
        Some(self.close(at_s, &open, false))
    }

    /// What is known from now on is the present level alone: an edge for which that is too little
    /// waits until there is enough.
    fn take_level(&mut self) {
        self.baseline.adopt();
        (self.calm_s, self.usual_rate) = (0.0, 0.0);
        self.edges.iter_mut().for_each(|edge| edge.active = false);
        self.leap.active = false;
        self.aim();
    }

    fn clock(&mut self, at_s: u64) -> u32 {
        if !self.begun {
            self.begun = true;
            self.epoch_s = at_s.saturating_sub(ROOM_S);
            let now = (at_s - self.epoch_s) as u32;
            (self.block_s, self.batch_s) = (now, now);
            // What is there from the first second on has no zero before it.
            self.edges.iter_mut().for_each(|edge| edge.begin(now));
            self.mishaps.iter_mut().for_each(|it| it.begin(now));
            self.leap.since_s = now;
        }
        u32::try_from(at_s.saturating_sub(self.epoch_s)).unwrap_or(u32::MAX)
    }

    /// Weighs all statistics; says whether the open finding was there in this second.
    fn weigh(&mut self, at_s: u32, increase: &Increase, thresholds: &Thresholds) -> bool {
        let packets = increase.packets() as f64;
        let mut beyond = [0u64; 4];
        let mut leapt = 0u64;
        let fallen = self.fallen();
        for &(bucket, count) in increase.cells() {
            for (number, (beyond, edge)) in beyond.iter_mut().zip(&self.edges).enumerate() {
                let bucket = bucket.saturating_add(if number == LOWER { 0 } else { fallen });
                *beyond =
                    beyond.saturating_add(u64::from(count) * u64::from(edge.is_beyond(bucket)));
            }
            leapt = leapt.saturating_add(u64::from(count) * u64::from(bucket > self.leap.edge));
        }
        let cap = thresholds.page / SECONDS;
        let mut first = None;
        let learning = self.open.is_none();
        for (edge, beyond) in self.edges.iter_mut().zip(beyond) {
            let lasted_s = edge.streak_s();
            edge.weigh(at_s, beyond as f64, packets, cap, thresholds.patience_s);
            if edge.raised && packets > 0.0 {
                first.get_or_insert((beyond as f64 / packets, f64::from(edge.normal)));
            }
            let ended = !edge.raised && edge.streak_s() < lasted_s;
            // What would have been a finding had it lasted.
            if learning
                && ended
                && f64::from(edge.peak) > thresholds.warn
                && lasted_s <= LONGEST_BURST_S
            {
                self.burst_s = self.burst_s.max(lasted_s as u8);
            }
            if learning && edge.active && packets > 0.0 {
                edge.dependence
                    .second(edge.clip(beyond as f64, packets), packets);
            }
        }
        let spoke = self
            .leap
            .weigh(at_s, leapt as f64, packets, thresholds.page);
        let mut bad = spoke && self.leap.raised;
        for (mishaps, sort) in self.mishaps.iter_mut().zip(Mishap::ALL) {
            let count = f64::from(increase.mishaps(sort));
            let spoke = mishaps.weigh(at_s, count, packets, thresholds);
            bad |= spoke && mishaps.raised;
        }
        let Some(open) = self.open.as_mut().filter(|_| packets > 0.0) else {
            return false;
        };
        if let Some((share, normal)) = first {
            open.presence.second(share, normal, packets)
        } else {
            open.presence.count(bad);
            bad
        }
    }

    /// How far below its usual place the body of the packets lies while something is slow, in buckets.
    /// At night all are faster, and a share that takes three times as long as the others does so still:
    /// what lasts is judged beside the packets of its own time.
    fn fallen(&self) -> u8 {
        let is_slow = (self.open.as_ref()).is_some_and(|it| it.finding.direction == Direction::Up);
        if !is_slow || self.baseline.fresh_packets() < BODY_LEAST {
            return 0;
        }
        match (
            self.baseline.quantile(BODY),
            self.baseline.fresh_quantile(BODY),
        ) {
            (Some(usual), Some(now)) => (usual - now).clamp(0.0, MOST_FALLEN) as u8,
            _ => 0,
        }
    }

    /// What the evidence amounts to now: the kind, where to, how loud, and since when.
    fn evidence(&self, at_s: u32, thresholds: &Thresholds) -> Option<(Kind, Direction, Tier, u32)> {
        if !self.is_ready() {
            return None;
        }
        let young = 1.0 + 120.0 / f64::from(self.calm_s.max(60.0));
        let patience_s = thresholds.patience_s;
        let (warn, page) = (thresholds.warn * young, thresholds.page * young);
        if self.leap.passes(page) {
            return Some((Kind::Shift, Direction::Up, Tier::Page, self.leap.since_s));
        }
        let most_moved = self.edges[MIDDLE].share_since() >= MOST;
        let kinds = [
            if most_moved { Kind::Shift } else { Kind::Share },
            Kind::Share,
            Kind::Tail,
        ];
        let added = self.came_in_addition(at_s);
        let loud = |page_too: bool| {
            kinds.iter().zip(&self.edges).find_map(|(kind, edge)| {
                let threshold = if page_too { page } else { warn };
                // What took longer than the stream was known before is no change of it.
                let took_s = at_s.saturating_sub(edge.since_s);
                if took_s as f32 > self.calm_s {
                    return None;
                }
                let passes =
                    edge.passes(at_s, threshold, page_too, patience_s) && !(page_too && added);
                passes.then_some((*kind, edge.since_s))
            })
        };
        let lost = |threshold: f64, times: f64| {
            self.mishaps
                .iter()
                .zip(Mishap::ALL)
                .find_map(|(mishaps, sort)| {
                    mishaps
                        .passes(at_s, threshold, times, patience_s)
                        .then_some((Kind::Loss(sort), mishaps.since_s))
                })
        };
        let up = |(kind, since), tier| (kind, Direction::Up, tier, since);
        (loud(true).map(|found| up(found, Tier::Page)))
            .or_else(|| lost(page, PAGE_TIMES).map(|found| up(found, Tier::Page)))
            .or_else(|| loud(false).map(|found| up(found, Tier::Warn)))
            .or_else(|| lost(warn, WARN_TIMES).map(|found| up(found, Tier::Warn)))
            .or_else(|| {
                let lower = &self.edges[LOWER];
                (lower.passes(at_s, warn, false, patience_s)).then_some((
                    Kind::Shift,
                    Direction::Down,
                    Tier::Notice,
                    lower.since_s,
                ))
            })
    }

    /// Whether slow packets came beside the usual ones, by any edge. Where most packets moved the tail
    /// has no say, and a surge is what it takes.
    fn came_in_addition(&self, at_s: u32) -> bool {
        let rate = f64::from(self.usual_rate);
        let edges = &self.edges[..LOWER];
        let longest = edges.iter().map(|edge| edge.packets).fold(0.0, f32::max);
        let most_moved =
            (edges.iter()).any(|edge| edge.packets >= 0.5 * longest && edge.moved() >= MOST);
        let edges = if most_moved { &edges[..TAIL] } else { edges };
        edges
            .iter()
            .any(|edge| edge.is_addition(at_s, rate, most_moved))
    }

    fn look_for_change(&mut self, at_s: u32, thresholds: &Thresholds) -> Verdict {
        let Some(evidence) = self.evidence(at_s, thresholds) else {
            return Verdict::Quiet;
        };
        self.raise(at_s, thresholds);
        let open = Box::new(self.begin(at_s, evidence));
        let finding = open.finding;
        self.open = Some(open);
        Verdict::Opened(finding)
    }

    /// A finding, from what its evidence amounts to.
    fn begin(
        &mut self,
        at_s: u32,
        (kind, direction, tier, since_s): (Kind, Direction, Tier, u32),
    ) -> Open {
        let took_s = at_s.saturating_sub(since_s);
        let mut finding = Finding {
            kind,
            direction,
            tier,
            change_s: self.epoch_s.saturating_add(u64::from(since_s)),
            change_error_s: 1.0 + 0.5 * took_s as f32,
            raised_s: self.epoch_s.saturating_add(u64::from(at_s)),
            last_bad_s: self.epoch_s.saturating_add(u64::from(at_s)),
            cleared_s: None,
            share: [0.0; 2],
            median_ns: [0.0; 2],
            p99_ns: [0.0; 2],
            episodes: 1,
            of_the_time: 1.0,
        };
        let level = self
            .edges
            .iter()
            .find(|edge| edge.raised)
            .map_or(1.0, Exceedance::share_since);
        // What came before the change is not the present.
        self.baseline.fade_fresh();
        self.measure(&mut finding);
        self.edges
            .iter_mut()
            .for_each(|edge| edge.dependence.drop_batch());
        Open {
            finding,
            back_since_s: None,
            presence: Presence::new(took_s, level),
        }
    }

    fn follow(
        &mut self,
        at_s: u32,
        mut open: Box<Open>,
        bad: bool,
        thresholds: &Thresholds,
    ) -> Verdict {
        if bad && !self.is_turning(open.finding.direction) {
            open.finding.last_bad_s = self.epoch_s.saturating_add(u64::from(at_s));
        }
        open.finding.of_the_time = open.presence.of_the_time();
        // That others became faster is no news of what is slow.
        let evidence = self
            .evidence(at_s, thresholds)
            .filter(|(_, direction, ..)| {
                *direction == Direction::Up || open.finding.direction == Direction::Down
            });
        let mut verdict = Verdict::Quiet;
        if let Some((kind, direction, tier, since_s)) = evidence {
            self.raise(at_s, thresholds);
            if direction != open.finding.direction {
                // What had become faster is slow now: that began when it did, and not with the other.
                *open = self.begin(at_s, (kind, direction, tier, since_s));
                verdict = Verdict::Opened(open.finding);
            } else if tier > open.finding.tier {
                open.finding.tier = tier;
                open.finding.kind = kind;
                verdict = Verdict::Louder(open.finding);
            }
            if open.back_since_s.take().is_some() {
                open.finding.episodes += 1;
            }
        }
        if self.is_back(open.finding.direction, thresholds) {
            let since_s = *open.back_since_s.get_or_insert(at_s);
            self.edges
                .iter_mut()
                .filter(|edge| edge.raised)
                .for_each(Exceedance::rest);
            if at_s.saturating_sub(since_s) >= PAUSE_S {
                return Verdict::Cleared(self.close(at_s, &open, true));
            }
        } else if open.finding.direction == Direction::Down
            && at_s.saturating_sub((open.finding.raised_s - self.epoch_s) as u32) >= IMPROVED_S
        {
            self.take_level();
            return Verdict::Cleared(self.close(at_s, &open, false));
        } else if open.back_since_s.is_some() && bad {
            open.back_since_s = None;
            open.finding.episodes += 1;
        }
        self.measure(&mut open.finding);
        self.open = Some(open);
        verdict
    }

    /// Marks every statistic that passes, so that the finding stays until each is back.
    fn raise(&mut self, at_s: u32, thresholds: &Thresholds) {
        for edge in &mut self.edges {
            if edge.passes(at_s, thresholds.warn, false, thresholds.patience_s) {
                edge.raise();
            }
        }
        for mishaps in &mut self.mishaps {
            if mishaps.passes(at_s, thresholds.warn, WARN_TIMES, thresholds.patience_s) {
                mishaps.raise();
            }
        }
        if self.leap.passes(thresholds.page) {
            self.leap.raise();
        }
    }

    /// The edges that tell whether what went this way is back.
    fn edges_of(&self, direction: Direction) -> &[Exceedance] {
        match direction {
            Direction::Up => &self.edges[..LOWER],
            Direction::Down => &self.edges[LOWER..],
        }
    }

    fn is_back(&self, direction: Direction, thresholds: &Thresholds) -> bool {
        let enough = 0.5 * thresholds.warn;
        (self.edges_of(direction).iter()).all(|edge| edge.is_back(enough))
            && self.mishaps.iter().all(|mishaps| mishaps.is_back(enough))
            && self.leap.is_back(enough)
    }

    /// Whether all that was raised shows a first sign of being back.
    fn is_turning(&self, direction: Direction) -> bool {
        self.edges_of(direction)
            .iter()
            .all(|edge| !edge.raised || edge.back > 0.0)
            && self
                .mishaps
                .iter()
                .all(|mishaps| !mishaps.raised || mishaps.back > 0.0)
            && (!self.leap.raised || self.leap.back > 0.0)
    }

    fn close(&mut self, at_s: u32, open: &Open, by_itself: bool) -> Finding {
        let lasted_s = open
            .finding
            .last_bad_s
            .saturating_sub(open.finding.change_s);
        // What ended soon and without anyone is what this stream does.
        let brief = by_itself && lasted_s as f64 <= LONGEST_BURST_S;
        if brief {
            self.burst_s = self.burst_s.max(lasted_s as u8);
        }
        self.edges
            .iter_mut()
            .for_each(|edge| edge.end_excursion(brief));
        self.mishaps
            .iter_mut()
            .for_each(|mishaps| mishaps.end_excursion(brief));
        self.leap.end();
        self.baseline.discard();
        if lasted_s > STALE_S {
            // The level of hours ago is near the present one, not equal to it: day follows night.
            self.baseline.doubt();
            self.calm_s = self.calm_s.min(BLOCK_S as f32);
        }
        (self.block_s, self.batch_s) = (at_s, at_s);
        let ended_s = open.back_since_s.unwrap_or(at_s);
        Finding {
            cleared_s: Some(self.epoch_s.saturating_add(u64::from(ended_s))),
            ..open.finding
        }
    }

    fn measure(&self, finding: &mut Finding) {
        let ns = |edge: Option<f64>| edge.map_or(0.0, edge_ns) as f32;
        finding.median_ns = [
            ns(self.baseline.quantile(0.5)),
            ns(self.baseline.fresh_quantile(0.5)),
        ];
        finding.p99_ns = [
            ns(self.baseline.quantile(0.99)),
            ns(self.baseline.fresh_quantile(0.99)),
        ];
        finding.share = match (finding.kind, finding.direction) {
            (Kind::Loss(sort), _) => {
                let mishaps = &self.mishaps[sort as usize];
                [mishaps.rate() as f32, mishaps.rate_since() as f32]
            }
            (kind, direction) => {
                let edge = &self.edges[match (kind, direction) {
                    (_, Direction::Down) => LOWER,
                    (Kind::Share, _) => SHARE,
                    (Kind::Tail, _) => TAIL,
                    _ => MIDDLE,
                }];
                [edge.normal, edge.share_since() as f32]
            }
        };
    }

    fn keep_house(&mut self, at_s: u32, thresholds: &Thresholds) {
        // A clock that was set back, or far forward, begins a new block.
        if at_s < self.block_s || at_s < self.batch_s {
            (self.block_s, self.batch_s) = (at_s, at_s);
        }
        if at_s - self.batch_s >= BATCH_S {
            self.batch_s = at_s;
            if self.open.is_none() {
                self.edges
                    .iter_mut()
                    .for_each(|edge| edge.dependence.end_batch());
            }
        }
        if at_s - self.block_s < BLOCK_S {
            return;
        }
        self.block_s = at_s;
        if self.open.is_some() {
            self.baseline.fade_fresh();
            self.mishaps.iter_mut().for_each(Mishaps::discard);
        } else if self.is_doubtful(thresholds) && self.refused < MOST_REFUSED {
            self.refused += 1;
            self.baseline.discard();
            self.mishaps.iter_mut().for_each(Mishaps::discard);
        } else {
            self.refused = 0;
            self.settle();
        }
    }

    /// Whether some statistic is half way to a warning: such a minute is not normal yet.
    fn is_doubtful(&self, thresholds: &Thresholds) -> bool {
        self.is_ready()
            && (self
                .edges
                .iter()
                .any(|edge| f64::from(edge.sum) > 0.5 * thresholds.warn)
                || self
                    .mishaps
                    .iter()
                    .any(|mishaps| f64::from(mishaps.sum) > 0.5 * thresholds.warn))
    }

    fn settle(&mut self) {
        let block_s = f64::from(BLOCK_S);
        let slow_fade = (-block_s / HABIT_S).exp() as f32;
        let fade = (-block_s / super::baseline::MEMORY_S).exp() as f32;
        if self.baseline.fresh_packets() > 0.0 {
            self.calm_s = (self.calm_s + BLOCK_S as f32).min(1e6);
        }
        let growth = self.growth();
        if growth.before.packets >= ENOUGH && growth.now.packets >= 1.0 {
            let off = (growth.now.mean_ns / growth.before.mean_ns.max(1.0)).ln();
            self.restless += 0.05 * ((off * off).min(1.0) as f32 - self.restless);
        }
        self.learn_rate();
        self.baseline.settle(u64::from(BLOCK_S));
        for edge in &mut self.edges {
            edge.fade(slow_fade, fade);
            edge.dependence
                .fade((-block_s / (0.25 * HABIT_S)).exp() as f32);
        }
        for mishaps in &mut self.mishaps {
            mishaps.settle(fade, slow_fade);
        }
        self.aim();
    }

    /// Learns the usual packets a second. A surge of minutes is not the usual rate, so no minute
    /// counts for much more than what is known, nor for much less.
    fn learn_rate(&mut self) {
        let rate = self.baseline.fresh_packets() / f64::from(BLOCK_S);
        let usual = f64::from(self.usual_rate);
        let known_s = f64::from(self.calm_s).clamp(f64::from(BLOCK_S), RATE_S);
        let (least, most) = if known_s < RATE_S {
            (0.0, f64::INFINITY)
        } else {
            (usual / SURGE, usual * SURGE)
        };
        let part = f64::from(BLOCK_S) / known_s;
        self.usual_rate = (usual + part * (rate.clamp(least, most) - usual)) as f32;
    }

    /// Points the statistics at the baseline as it is now.
    fn aim(&mut self) {
        let packets = self.baseline.packets();
        if packets < ENOUGH {
            return;
        }
        let aims = [(0.5, 0.25, 2.0), (0.9, 0.12, 2.0), (0.99, 0.02, 3.0)];
        for (edge, (quantile, more, times)) in self.edges.iter_mut().zip(aims) {
            if quantile > 0.95 && packets < ENOUGH_FOR_TAIL {
                continue;
            }
            let at = self.baseline.quantile(quantile).unwrap_or_default();
            let bucket = risen(at, RISE).round().min(225.0) as u8;
            let normal = share(self.baseline.above(bucket), packets);
            let wrong = (normal + more).max(times * normal).min(0.95);
            edge.aim(
                bucket,
                Shares {
                    normal: normal.min(0.9),
                    wrong,
                },
            );
        }
        let median = self.baseline.quantile(0.5).unwrap_or_default();
        let bucket = fallen(median).round().max(0.0) as u8;
        let normal = share(packets - self.baseline.above(bucket), packets);
        self.edges[LOWER].aim(
            bucket,
            Shares {
                normal: normal.min(0.9),
                wrong: (normal + 0.25).max(2.0 * normal).min(0.95),
            },
        );
        self.leap.aim(&self.baseline, risen(median, RISE));
    }
}

/// An edge moved up by 30 %, and by no less than what anyone would mind.
fn risen(edge: f64, rise: f64) -> f64 {
    let least = ((edge_ns(edge) + LEAST_SHIFT_NS) / edge_ns(0.0)).log2() * 8.0;
    (edge + rise).max(least)
}

/// An edge moved down by as much.
fn fallen(edge: f64) -> f64 {
    let least = ((edge_ns(edge) - LEAST_SHIFT_NS).max(1.0) / edge_ns(0.0)).log2() * 8.0;
    (edge - RISE).min(least)
}

/// The share that `part` of `all` stands for, at the upper end of its error of one sigma.
fn share(part: f64, all: f64) -> f64 {
    ((part + 0.5 + (part + 0.25).sqrt()) / (all + 1.0)).max(1e-4)
}

#[cfg(test)]
mod tests;
