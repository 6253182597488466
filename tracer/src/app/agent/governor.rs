//! How many packets may be followed for the budget, at which hops, or whether none may.
//!
//! Time arrives in what it is told: it neither waits nor measures.

mod meter;

use std::time::Duration;

pub(super) use meter::Meter;

use super::settings::Budget;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Follow 1 packet in so many, which is fewer packets than before.
    Down(u32),
    /// Follow 1 packet in so many, which is more packets than before.
    Up(u32),
    /// Leave the finer hops out.
    FewerHops,
    /// Take the finer hops in again.
    AllHops,
    /// Detach.
    Detach,
    /// Attach again, and follow 1 packet in so many.
    Attach(u32),
}

/// Chooses the steps.
#[derive(Debug)]
pub(super) struct Governor {
    budget: Option<Budget>,
    /// 1 packet in so many is followed, also where nothing is attached now.
    each: u32,
    finer: Finer,
    rest: Option<Rest>,
    /// Readings within the budget since the last step down.
    calm: u32,
    /// The load of the reading before.
    before: f64,
    /// From where the last step down led: 1 packet in so many, and the load.
    from: Option<(u32, f64)>,
    /// Readings since the last step.
    held: u32,
    /// Whether the last step was a guess.
    guessed: bool,
    /// After how many calm readings to guess.
    patience: u32,
    /// How long to rest the next time.
    back_off: Duration,
}

/// The hops that can be done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finer {
    /// Nobody asks for them, or this kernel has none.
    None,
    Watched,
    LeftOut,
}

/// A time without programs.
#[derive(Clone, Copy, Debug)]
struct Rest {
    left: Duration,
    /// Packets a second at its beginning.
    rush: Option<f64>,
}

/// With 1 packet in so many the programs do little else but run.
const FEWEST: u32 = 64;

/// How much of the budget a step down aims at, and a step up that is sure.
const AIM: f64 = 0.9;
const SURE: f64 = 0.8;

/// Up to this load a guess, which at worst doubles it, stays near the budget.
const GUESS: f64 = 0.6;

/// With the fewest packets followed, up to this load is better than nothing; so is one reading above
/// it after one that was not.
const TOLERATED: f64 = 1.15;

/// Calm readings before a step up: one would follow every pause of an uneven load.
const CALM: u32 = 2;

/// Calm readings before a guess when many went wrong.
const MOST_PATIENCE: u32 = 64;

const SHORTEST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_mins(1);

impl Governor {
    pub(super) fn new(budget: Option<Budget>) -> Self {
        Self {
            budget,
            each: 1,
            finer: Finer::None,
            rest: None,
            calm: 0,
            before: 0.0,
            from: None,
            held: 0,
            guessed: false,
            patience: CALM,
            back_off: SHORTEST_REST,
        }
    }

    /// The budget is another one from now on.
    pub(super) fn set(&mut self, budget: Option<Budget>) {
        self.budget = budget;
    }

    /// What the programs may take.
    pub(super) fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// 1 packet in so many is followed.
    pub(super) fn each(&self) -> u32 {
        self.each
    }

    /// Whether nothing is to be attached now.
    pub(super) fn rests(&self) -> bool {
        self.rest.is_some()
    }

    /// Whether what is attached from now on has finer hops; where there was too much, they are to be
    /// left out from the start.
    pub(super) fn found(&mut self, has_finer: bool) {
        self.finer = match (has_finer, self.finer) {
            (false, _) => Finer::None,
            (true, Finer::LeftOut) => Finer::LeftOut,
            (true, _) => Finer::Watched,
        };
    }

    /// Whether finer hops are left out.
    pub(super) fn leaves_out(&self) -> bool {
        self.finer == Finer::LeftOut
    }

    /// Somebody else attached.
    pub(super) fn attached(&mut self) {
        self.rest = None;
        // What was too much before is not given a second reading to be it again.
        (self.calm, self.held, self.before) = (0, 0, f64::INFINITY);
    }

    /// The step for programs that took this share of the host's processor time since the last one,
    /// while the host received so many packets a second.
    pub(super) fn judge(&mut self, used: f64, rush: Option<f64>) -> Option<Step> {
        let load = self.budget.map_or(0.0, |budget| used / budget.share());
        self.held = self.held.saturating_add(1);
        let before = std::mem::replace(&mut self.before, load);
        if self.each == FEWEST && load.min(before) > TOLERATED {
            Some(self.fewer_hops().unwrap_or_else(|| self.detach(load, rush)))
        } else if self.each < FEWEST && load > 1.0 {
            Some(self.down(load))
        } else {
            self.calm = self.calm.saturating_add(1);
            self.up(load.max(before))
        }
    }

    fn down(&mut self, load: f64) -> Step {
        self.patience = if self.guessed && self.held <= CALM + 1 {
            (self.patience * 2).min(MOST_PATIENCE)
        } else {
            CALM
        };
        let mut next = self.times(load / AIM).clamp(self.each + 1, FEWEST);
        if self.held == 1 && self.calm == 0 {
            // The step before fell short.
            next = next.max(self.extrapolated(load, AIM).unwrap_or(next));
        }
        self.from = Some((self.each, load));
        self.guessed = false;
        (self.calm, self.held) = (0, 0);
        self.each = next;
        Step::Down(next)
    }

    /// Where the load would be as high as wanted, if what passes is the same as before the last step
    /// down: a part of the load depends on how many packets are followed, and the rest does not.
    fn extrapolated(&self, load: f64, wanted: f64) -> Option<u32> {
        let (each, before) = self.from?;
        let fewer = 1.0 / f64::from(each) - 1.0 / f64::from(self.each);
        let following = (before - load) / fewer;
        let left = wanted - (load - following / f64::from(self.each));
        if left <= 0.0 {
            return Some(FEWEST);
        }
        // A float beyond its numbers becomes the nearest of them.
        Some(((following / left).ceil() as u32).clamp(1, FEWEST))
    }

    /// A program takes time for a packet that it does not follow too: the fewer, the less.
    fn fewer_hops(&mut self) -> Option<Step> {
        if self.finer != Finer::Watched {
            return None;
        }
        self.finer = Finer::LeftOut;
        self.from = None;
        (self.calm, self.held) = (0, 0);
        Some(Step::FewerHops)
    }

    /// What the finer hops take is not known until they are watched: a guess.
    fn all_hops(&mut self, load: f64) -> Option<Step> {
        if self.finer != Finer::LeftOut || self.calm < self.patience || load > GUESS {
            return None;
        }
        self.finer = Finer::Watched;
        (self.held, self.guessed) = (0, true);
        Some(Step::AllHops)
    }

    /// The more there was too much in a second, the longer is the rest, so that seconds of trying
    /// don't add up to more than the budget.
    fn detach(&mut self, load: f64, rush: Option<f64>) -> Step {
        let longest = LONGEST_REST.as_secs_f64();
        let enough = Duration::from_secs_f64(load.min(longest));
        self.from = None;
        self.rest(self.back_off.max(enough), rush);
        Step::Detach
    }

    fn rest(&mut self, left: Duration, rush: Option<f64>) {
        self.rest = Some(Rest { left, rush });
        self.back_off = (self.back_off * 2).min(LONGEST_REST);
    }

    /// Part of what a program takes does not depend on how many packets are followed, so the step
    /// that is sure is short of what is possible; guesses find the rest.
    fn up(&mut self, load: f64) -> Option<Step> {
        if self.calm < CALM {
            return None;
        }
        if self.each == 1 {
            return self.all_hops(load);
        }
        let sure = self.times(load / SURE).max(1);
        let mut next = sure;
        if self.calm >= self.patience {
            next = next.min(self.extrapolated(load, SURE).unwrap_or(next));
            if load <= GUESS {
                next = next.min(self.each.div_ceil(2));
            }
        }
        if next * 3 > self.each * 2 {
            return None;
        }
        self.each = next;
        (self.held, self.guessed) = (0, next < sure);
        self.back_off = SHORTEST_REST;
        Some(Step::Up(next))
    }

    /// The step after a time without programs, while the host received so many packets a second.
    ///
    /// Where they are half as many as when the rest began, it ends at once.
    pub(super) fn wait(&mut self, time: Duration, rush: Option<f64>) -> Option<Step> {
        let rest = self.rest.as_mut()?;
        rest.left = rest.left.saturating_sub(time);
        let is_over = matches!((rest.rush, rush), (Some(then), Some(now)) if now < then / 2.0);
        if !rest.left.is_zero() && !is_over && self.budget.is_some() {
            return None;
        }
        self.attached();
        Some(Step::Attach(self.each))
    }

    /// What could not be attached is tried again later.
    pub(super) fn failed(&mut self) {
        self.rest(self.back_off, None);
    }

    /// The finer hops could not be taken in again: they stay left out, and it takes longer until that is
    /// tried another time.
    pub(super) fn refused_all_hops(&mut self) {
        self.finer = Finer::LeftOut;
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
        (self.calm, self.held, self.guessed) = (0, 0, false);
    }

    fn times(&self, factor: f64) -> u32 {
        // A float that is too large becomes the largest number.
        (f64::from(self.each) * factor).ceil() as u32
    }
}

#[cfg(test)]
mod tests;
