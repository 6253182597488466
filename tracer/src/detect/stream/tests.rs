//! What a stream must say, and what it must not.

use super::*;
use crate::detect::{Budget, Habit};
use proptest::prelude::*;

const PLAIN: u8 = 100;

struct Run {
    stream: Stream,
    thresholds: Thresholds,
    at_s: u64,
    second: Increase,
    said: Vec<Verdict>,
}

impl Run {
    fn new() -> Self {
        Self {
            stream: Stream::default(),
            thresholds: Budget::for_streams(50).thresholds(&Habit::known(3.0)),
            at_s: 1_000_000,
            second: Increase::default(),
            said: Vec::new(),
        }
    }

    /// So many seconds of 30 packets over 7 buckets, a share of them moved up.
    fn go(&mut self, seconds: u64, share: f64, rise: u8) -> &mut Self {
        for _ in 0..seconds {
            self.second.clear();
            for n in 0..30u8 {
                // A different tenth of the packets each second, and always the same share.
                let moved = f64::from((n * 7 + (self.at_s % 30) as u8) % 30) < share * 30.0;
                self.second
                    .add(PLAIN + n % 7 + if moved { rise } else { 0 }, 1);
            }
            self.observe();
        }
        self
    }

    fn observe(&mut self) {
        self.at_s += 1;
        let verdict = self
            .stream
            .observe(self.at_s, &self.second, &self.thresholds);
        if !matches!(verdict, Verdict::Quiet | Verdict::Insufficient) {
            self.said.push(verdict);
        }
    }

    #[track_caller]
    fn opened(&self) -> Finding {
        match self.said.as_slice() {
            [Verdict::Opened(finding), ..] => *finding,
            said => panic!("{said:?}"),
        }
    }
}

#[test]
fn few_packets_are_no_health() {
    let mut stream = Stream::default();
    let thresholds = Budget::for_streams(5).thresholds(&Habit::default());
    let mut second = Increase::default();
    second.add(PLAIN, 1);
    assert_eq!(
        stream.observe(7, &second, &thresholds),
        Verdict::Insufficient
    );
}

#[test]
fn five_times_slower_is_paged_in_three_seconds() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    let change_s = run.at_s;
    run.go(10, 1.0, 19);
    let finding = run.opened();
    assert_eq!(
        (finding.kind, finding.direction, finding.tier),
        (Kind::Shift, Direction::Up, Tier::Page)
    );
    assert!(finding.raised_s - change_s <= 3, "{finding:?}");
    assert!(finding.change_s.abs_diff(change_s) <= finding.change_error_s as u64);
}

#[test]
fn a_change_is_dated_whatever_the_clock_began_with() {
    for began_s in [0, 7, 86_400, 1_700_000_000] {
        let mut run = Run::new();
        run.at_s = began_s;
        run.go(1_800, 0.0, 0);
        let change_s = run.at_s;
        run.go(60, 0.3, 13);
        let finding = run.opened();
        let off_s = finding.change_s.abs_diff(change_s);
        assert!(off_s <= 2 && finding.raised_s > change_s + 3, "{finding:?}");
    }
}

#[test]
fn bursts_of_few_packets_are_no_tail() {
    let mut run = Run::new();
    run.thresholds = Budget::for_streams(50).thresholds(&Habit::known(15.0));
    let second = |run: &mut Run, slow: u32| {
        run.second.clear();
        run.second.add(PLAIN + (run.at_s % 7) as u8, 3 - slow);
        run.second.add(PLAIN + 30, slow);
        run.observe();
    };
    (0..3_600).for_each(|_| second(&mut run, 0));
    // A burst in most of whose seconds one packet of three is slow, and again a minute later.
    for _ in 0..2 {
        (0..12).for_each(|s| second(&mut run, u32::from(s % 3 > 0)));
        (0..48).for_each(|_| second(&mut run, 0));
    }
    assert_eq!(run.said, []);
}

#[test]
fn a_surge_of_minutes_is_not_the_usual_rate() {
    let mut run = Run::new();
    run.go(3_600, 0.0, 0);
    let before = run.stream.usual_rate;
    for _ in 0..300 {
        run.second.clear();
        run.second.add(PLAIN + (run.at_s % 7) as u8, 120);
        run.observe();
    }
    run.go(300, 0.0, 0);
    let after = run.stream.usual_rate;
    assert!(
        (29.0..31.0).contains(&before) && after < 36.0,
        "{before} {after}"
    );
}

#[test]
fn a_part_of_the_packets_is_called_a_share() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0).go(60, 0.3, 13);
    assert_eq!(run.opened().kind, Kind::Share);
}

#[test]
fn a_burst_is_no_finding() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    for _ in 0..20 {
        run.go(3, 0.4, 20).go(180, 0.0, 0);
    }
    assert_eq!(run.said, []);
}

#[test]
fn a_fault_of_hours_stays_open_and_clears_when_the_old_level_is_back() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0).go(5 * 3_600, 1.0, 13);
    assert_eq!(run.stream.open().map(|open| open.episodes), Some(1));
    let over_s = run.at_s;
    run.go(200, 0.0, 0);
    let Some(Verdict::Cleared(finding)) = run.said.last() else {
        panic!("{:?}", run.said)
    };
    assert!(finding.cleared_s.unwrap().abs_diff(over_s) < 20);
    assert!(run.stream.open().is_none());
}

#[test]
fn a_share_that_is_slow_at_night_too_is_the_same_finding() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0).go(600, 0.3, 13);
    // All packets are faster for hours, and the same share of them slower than the others.
    let lower = |run: &mut Run, seconds: u64, moved: u8| {
        for _ in 0..seconds {
            run.second.clear();
            for n in 0..30u8 {
                let slow = if n % 10 < moved { 13 } else { 0 };
                run.second.add(PLAIN - 6 + n % 7 + slow, 1);
            }
            run.observe();
        }
    };
    lower(&mut run, 3 * 3_600, 3);
    assert_eq!(run.stream.open().map(|open| open.episodes), Some(1));
    lower(&mut run, 300, 0);
    assert!(
        run.stream
            .open()
            .is_none_or(|open| open.direction == Direction::Down)
    );
}

#[test]
fn a_new_level_is_normal_once_a_person_says_so() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0).go(600, 1.0, 13);
    assert!(run.stream.adopt(run.at_s).is_some());
    run.said.clear();
    run.go(3_600, 1.0, 13);
    assert_eq!(run.said, []);
}

#[test]
fn a_lower_level_is_noticed_and_taken() {
    let mut run = Run::new();
    run.go(1_800, 1.0, 13).go(1_800, 0.0, 0);
    assert_eq!(
        (run.opened().direction, run.opened().tier),
        (Direction::Down, Tier::Notice)
    );
    assert!(run.stream.open().is_none());
}

#[test]
fn what_was_faster_for_a_while_and_is_slow_then_began_when_it_became_slow() {
    let mut run = Run::new();
    run.go(1_800, 1.0, 13).go(300, 0.0, 0);
    assert_eq!(run.opened().direction, Direction::Down);
    let change_s = run.at_s;
    run.said.clear();
    run.go(30, 1.0, 53);
    let finding = run.opened();
    assert_eq!(
        (finding.direction, finding.tier),
        (Direction::Up, Tier::Page)
    );
    assert!(finding.change_s.abs_diff(change_s) <= 2, "{finding:?}");
    // It is measured from now on.
    let finding = run.go(60, 1.0, 53).stream.open().expect("it lasts");
    assert!(
        finding.median_ns[1] > 2.0 * finding.median_ns[0],
        "{finding:?}"
    );
}

#[test]
fn what_was_faster_for_minutes_and_is_as_usual_again_is_no_fault() {
    let mut run = Run::new();
    run.go(1_800, 1.0, 13).go(600, 0.0, 0).go(600, 1.0, 13);
    let tiers: Vec<Tier> = run
        .said
        .iter()
        .map(|said| match said {
            Verdict::Opened(finding) | Verdict::Louder(finding) | Verdict::Cleared(finding) => {
                finding.tier
            }
            Verdict::Quiet | Verdict::Insufficient => unreachable!("they are not kept"),
        })
        .collect();
    assert_eq!(tiers, [Tier::Notice; 2]);
}

#[test]
fn what_comes_and_goes_is_one_finding_that_says_how_often() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    for _ in 0..360 {
        run.go(5, 1.0, 13).go(15, 0.0, 0);
    }
    let opened = run
        .said
        .iter()
        .filter(|said| matches!(said, Verdict::Opened(_)))
        .count();
    let open = run.stream.open().unwrap();
    assert_eq!(opened, 1);
    assert!((0.2..0.3).contains(&open.of_the_time), "{open:?}");
}

#[test]
fn lost_packets_are_counted_against_the_usual_loss() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    for n in 0..120 {
        run.second.add_mishaps(Mishap::Drop, u32::from(n % 3 == 0));
        run.observe();
        run.second.clear();
        run.second.add(PLAIN, 30);
    }
    assert_eq!(run.opened().kind, Kind::Loss(Mishap::Drop));
}

/// 30 packets a second, of which so many are lost, on a host of which nobody knows how long bursts last.
fn losing(run: &mut Run, seconds: u64, lost: impl Fn(u64) -> u32) {
    run.thresholds = Budget::for_streams(50).thresholds(&Habit::default());
    for n in 0..seconds {
        run.second.clear();
        run.second.add(PLAIN, 30);
        run.second.add_mishaps(Mishap::Retransmit, lost(n));
        run.observe();
    }
}

#[test]
fn one_packet_in_twenty_lost_is_no_burst_either() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    let before = run.at_s;
    losing(&mut run, 12, |n| [1, 2, 0, 3, 1, 2][n as usize % 6]);
    let opened = run.opened();
    assert_eq!(opened.kind, Kind::Loss(Mishap::Retransmit));
    assert!(opened.raised_s <= before + 10, "{opened:?}");
}

#[test]
fn bursts_that_lose_wake_nobody() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    // Four seconds in which a tenth is lost, and half a minute of quiet.
    losing(&mut run, 300, |n| if n % 34 < 4 { 3 } else { 0 });
    // A packet in a hundred for a quarter of a minute.
    losing(&mut run, 300, |n| u32::from(n % 60 < 15 && n % 3 == 0));
    assert_eq!(run.said, [], "{:?}", run.said);
}

#[test]
fn a_burst_that_loses_more_than_most_wakes_nobody_on_a_large_host() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    run.thresholds = Budget::for_streams(5_000).thresholds(&Habit::default());
    // It loses one in a hundred, and among thousands of such bursts one loses thrice as many by chance.
    for lost in [1, 3, 2, 1, 3, 2, 1].into_iter().chain([0; 60]) {
        run.second.clear();
        run.second.add(PLAIN, 67);
        run.second.add_mishaps(Mishap::Drop, lost);
        run.observe();
    }
    assert_eq!(run.said, []);
}

#[test]
fn where_hardly_anything_passes_nobody_waits_for_the_end_of_a_burst() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    let before = run.at_s;
    // It knows nothing of bursts, and fears long ones.
    run.thresholds = Budget::for_streams(50).thresholds(&Habit::default());
    // Four connections that send again after 0.2, 0.4, 0.8 … s; it died in the middle of a second.
    for again in [4, 8, 4, 0, 4, 0, 0, 4, 0, 0, 0, 0, 0, 4] {
        if run.at_s > before {
            run.second.clear();
        }
        run.second.add_mishaps(Mishap::Retransmit, again);
        run.observe();
    }
    let opened = run.opened();
    assert_eq!(opened.kind, Kind::Loss(Mishap::Retransmit));
    assert!(opened.raised_s <= before + 8, "{opened:?}");
    assert!(opened.change_s.abs_diff(before) <= 2, "{opened:?}");
}

#[test]
fn one_connection_to_an_end_that_died_is_enough() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    let before = run.at_s;
    run.thresholds = Budget::for_streams(50).thresholds(&Habit::default());
    // It sends again after 0.2, 0.4, 0.8 … s, and each time alone.
    for again in [2, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] {
        run.second.clear();
        run.second.add_mishaps(Mishap::Retransmit, again);
        run.observe();
    }
    let opened = run.opened();
    assert_eq!(opened.kind, Kind::Loss(Mishap::Retransmit));
    assert!(opened.raised_s <= before + 15, "{opened:?}");
}

#[test]
fn more_and_slower_packets_beside_the_usual_ones_wake_nobody() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    for _ in 0..300 {
        run.second.clear();
        for n in 0..30 {
            run.second.add(PLAIN + n % 7, 1);
        }
        run.second.add(PLAIN + 20, 15);
        run.observe();
    }
    assert_eq!(run.opened().tier, Tier::Warn);
    assert_eq!(run.said.len(), 1, "{:?}", run.said);
}

#[test]
fn a_level_that_rose_wakes_someone_though_a_few_more_packets_came() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    for _ in 0..30 {
        run.second.clear();
        for n in 0..36 {
            run.second.add(PLAIN + n % 7 + 5, 1);
        }
        run.observe();
    }
    assert_eq!(run.stream.open().map(|it| it.tier), Some(Tier::Page));
}

#[test]
fn a_few_much_slower_packets_beside_more_of_all_wake_nobody() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0);
    for second in 0..300 {
        run.second.clear();
        for n in 0..40 {
            run.second.add(PLAIN + n % 7, 1);
        }
        run.second.add(PLAIN + 30, 2 + second % 2);
        run.observe();
    }
    assert_eq!(run.opened().tier, Tier::Warn);
    assert_eq!(run.said.len(), 1, "{:?}", run.said);
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let mut run = Run::new();
    run.go(1_800, 0.0, 0).go(100, 1.0, 13);
    let mut other = Stream::from_bytes(&run.stream.to_bytes()).unwrap();
    run.go(500, 1.0, 13);
    let mut again = Run {
        at_s: run.at_s - 500,
        ..Run::new()
    };
    std::mem::swap(&mut again.stream, &mut other);
    again.go(500, 1.0, 13);
    assert_eq!(again.stream.to_bytes(), run.stream.to_bytes());
    assert_eq!(again.said, []);
}

#[test]
fn a_stream_fits_its_budget_of_memory() {
    assert!(size_of::<Stream>() <= 1_600, "{}", size_of::<Stream>());
}

proptest! {
    #[test]
    fn nothing_makes_it_absurd(seconds in prop::collection::vec(
        (any::<u64>(), prop::collection::vec((any::<u8>(), any::<u32>()), 0..5), any::<[u32; 3]>()),
        1..200,
    ), steady: bool) {
        let mut run = Run::new();
        for (at_s, cells, mishaps) in seconds {
            run.second.clear();
            for (bucket, packets) in cells {
                run.second.add(bucket, packets);
            }
            for (sort, count) in Mishap::ALL.into_iter().zip(mishaps) {
                run.second.add_mishaps(sort, count);
            }
            run.at_s = if steady { run.at_s + at_s % 70 } else { at_s.min(u64::MAX - 1) };
            run.observe();
            let growth = run.stream.growth();
            prop_assert!(growth.by_ns().is_finite() && growth.sureness().is_finite());
            // What is not a finite number that is not negative does not read back.
            prop_assert!(Stream::from_bytes(&run.stream.to_bytes()).is_some());
            if let Some(open) = run.stream.open() {
                prop_assert!(open.share.iter().chain(&open.median_ns).chain(&open.p99_ns).all(|n| n.is_finite()));
                prop_assert!((0.0..=1.0).contains(&open.of_the_time));
            }
        }
    }
}
