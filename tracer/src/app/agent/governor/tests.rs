//! The law on a host that is simulated a second at a time.

use proptest::prelude::*;

use super::*;

/// One percent.
const BUDGET: f64 = 0.01;

/// A host: what its programs take with no packet followed, those of finer hops besides, and what
/// following all adds, as shares of its processor time.
struct Host {
    governor: Governor,
    running: f64,
    finer: f64,
    following: f64,
    rush: f64,
}

impl Host {
    fn new(running: f64, following: f64) -> Self {
        Self {
            governor: Governor::new(Some(Budget::share_of(BUDGET))),
            running,
            finer: 0.0,
            following,
            rush: 100_000.0,
        }
    }

    /// The same with finer hops, which take as much again.
    fn with_finer(running: f64, finer: f64, following: f64) -> Self {
        let mut host = Self::new(running, following);
        host.finer = finer;
        host.governor.found(true);
        host
    }

    fn used(&self) -> f64 {
        if self.governor.rests() {
            return 0.0;
        }
        let finer = if self.governor.leaves_out() {
            0.0
        } else {
            self.finer
        };
        self.running + finer + self.following / f64::from(self.governor.each())
    }

    /// A second; what was used in it.
    fn second(&mut self) -> (f64, Option<Step>) {
        let (used, rush) = (self.used(), Some(self.rush));
        let step = if self.governor.rests() {
            self.governor.wait(Duration::from_secs(1), rush)
        } else {
            self.governor.judge(used, rush)
        };
        (used, step)
    }

    fn seconds(&mut self, count: usize) -> Vec<Step> {
        (0..count).filter_map(|_| self.second().1).collect()
    }
}

#[test]
fn a_load_within_the_budget_is_followed_whole() {
    let mut host = Host::new(0.004, 0.0055);
    assert_eq!(host.seconds(100), []);
    assert_eq!(host.governor.each(), 1);
}

#[test]
fn programs_that_cost_too_much_when_they_only_run_are_detached_and_tried_again() {
    let mut host = Host::new(0.045, 0.2);
    let steps = host.seconds(3);
    assert_eq!(steps, [Step::Down(28), Step::Down(64), Step::Detach]);
    let mut rests = Vec::new();
    let mut rest = 0;
    while rests.len() < 7 {
        match host.second().1 {
            None => rest += 1,
            Some(Step::Attach(each)) => {
                assert_eq!(each, 64);
                rests.push(rest + 1);
                rest = 0;
            }
            Some(step) => assert_eq!(step, Step::Detach),
        }
    }
    assert_eq!(rests, [5, 10, 20, 40, 60, 60, 60]);
}

#[test]
fn finer_hops_are_left_out_before_all_are_and_come_back() {
    let mut host = Host::with_finer(0.006, 0.02, 0.1);
    let steps = host.seconds(4);
    assert_eq!(steps, [Step::Down(14), Step::Down(64), Step::FewerHops]);
    let steps = host.seconds(60);
    assert!(!steps.contains(&Step::Detach), "{steps:?}");
    assert!(host.governor.leaves_out());

    (host.running, host.finer, host.following) = (0.001, 0.001, 0.002);
    let steps = host.seconds(10);
    assert_eq!(steps.last(), Some(&Step::AllHops), "{steps:?}");
    assert_eq!(host.governor.each(), 1);
    assert_eq!(host.seconds(60), []);
}

#[test]
fn finer_hops_that_are_refused_stay_left_out_and_are_tried_ever_more_rarely() {
    let mut host = Host::with_finer(0.006, 0.02, 0.1);
    host.seconds(10);
    (host.running, host.finer, host.following) = (0.001, 0.001, 0.002);
    let mut waits = Vec::new();
    for _ in 0..7 {
        let wait = (1..100).find(|_| host.seconds(1).last() == Some(&Step::AllHops));
        waits.push(wait.expect("it is tried again"));
        host.governor.refused_all_hops();
        assert!(host.governor.leaves_out());
    }
    assert_eq!(waits[1..], [4, 8, 16, 32, 64, 64]);
}

#[test]
fn where_the_usual_hops_are_too_much_too_all_are_detached() {
    let mut host = Host::with_finer(0.05, 0.05, 0.1);
    let steps = host.seconds(4);
    assert_eq!(steps[1..], [Step::Down(64), Step::FewerHops, Step::Detach]);
    host.governor.set(None);
    let steps = host.seconds(6);
    assert_eq!(steps, [Step::Attach(64), Step::Up(1), Step::AllHops]);
}

#[test]
fn a_rest_ends_with_the_flood() {
    let mut host = Host::new(0.05, 0.05);
    host.seconds(120);
    while !host.governor.rests() {
        host.second();
    }
    (host.running, host.following, host.rush) = (0.001, 0.001, 2_000.0);
    assert_eq!(host.second().1, Some(Step::Attach(64)));
    assert!(host.seconds(5).contains(&Step::Up(1)));
}

#[test]
fn a_guess_that_fails_is_repeated_ever_later() {
    // Followed whole it takes 0.0102; with 1 in 2, half of that.
    let mut host = Host::new(0.0, 0.0102);
    let steps = host.seconds(600);
    assert!(steps.len() < 40, "{steps:?}");
    assert_eq!(host.governor.patience, MOST_PATIENCE);
}

#[test]
fn what_fits_is_found_by_guessing() {
    let mut host = Host::new(0.0045, 0.003);
    host.following = 0.1;
    host.seconds(5);
    host.following = 0.003;
    host.seconds(20);
    assert_eq!(host.governor.each(), 1);
}

#[test]
fn pauses_of_a_second_are_not_followed() {
    let mut host = Host::new(0.002, 0.08);
    let mut steps = Vec::new();
    for second in 0..60 {
        host.following = if second % 2 == 0 { 0.08 } else { 0.0 };
        steps.extend(host.second().1);
    }
    assert!(steps.len() < 4, "{steps:?}");
}

#[test]
fn without_a_budget_all_is_followed_again() {
    let mut host = Host::new(0.05, 0.05);
    host.seconds(4);
    assert!(host.governor.rests());
    host.governor.set(None);
    assert_eq!(host.seconds(4), [Step::Attach(64), Step::Up(1)]);
}

proptest! {
    #[test]
    fn a_flood_is_within_the_budget_after_five_readings(running in 0.0..0.2f64, following in 0.0..1.0f64) {
        let mut host = Host::new(0.001, 0.002);
        host.seconds(10);
        (host.running, host.following) = (running, following);
        host.seconds(5);
        let (mut sum, mut tries) = (0.0, false);
        for _ in 0..600 {
            let (used, step) = host.second();
            prop_assert!(tries || used <= 1.2 * BUDGET, "{used} {:?}", host.governor);
            tries = matches!(step, Some(Step::Attach(_)));
            sum += used;
        }
        prop_assert!(sum <= 1.2 * 600.0 * BUDGET, "{sum} {:?}", host.governor);
    }

    #[test]
    fn after_a_flood_all_is_followed_within_ten_seconds(
        running in 0.0..0.2f64, following in 0.0..1.0f64, long in 1usize..200,
        calm in 0.0..0.004f64, followed in 0.0..0.004f64,
    ) {
        let mut host = Host::new(running, following);
        host.seconds(long);
        (host.running, host.following, host.rush) = (calm, followed, 10_000.0);
        host.seconds(10);
        prop_assert_eq!(host.governor.each(), 1);
        prop_assert!(!host.governor.rests());
    }
}
