//! What becomes an incident, and what does not, on hosts made by hand.

mod remembered;
mod world;

use std::time::Duration;

use self::world::{Fault, World};
use super::*;
use crate::model::incident::{End, Severity, State};
use crate::model::verdict::Word;

/// After this long a stream of some packets a second knows what is normal.
const LEARNT_S: u64 = 600;

/// A judge and its world, second by second.
struct Host {
    world: World,
    judge: Judge,
    at: Moment,
    new: Vec<u64>,
}

impl Host {
    fn new(routes: usize) -> Self {
        let at = 1_700_000_000_000_000_000;
        Self {
            world: World::new(routes),
            judge: Judge::new(Settings::default(), Past::default(), at),
            at,
            new: Vec::new(),
        }
    }

    /// One whose wire has been slow for a minute since that was told.
    fn slow(routes: usize) -> Self {
        let mut host = Self::new(routes);
        host.run(LEARNT_S).world.fault = Some(Fault::slow("rx", 10.0));
        host.until_told(30);
        host.run(60);
        host
    }

    fn run(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds {
            self.world.second();
            self.judge();
        }
        self
    }

    fn judge(&mut self) {
        self.at += 1_000_000_000;
        let reading = self.world.reading();
        let new = self.judge.second(reading, self.at, Duration::from_secs(1));
        self.new.extend(new);
    }

    /// Runs until something is said, and returns after how many seconds.
    fn until_told(&mut self, longest: u64) -> u64 {
        let before = self.new.len();
        (1..=longest)
            .find(|_| {
                self.run(1);
                self.new.len() > before
            })
            .expect("an incident")
    }

    fn incidents(&self) -> Vec<Incident> {
        self.judge.incidents().cloned().collect()
    }

    fn only(&self) -> Incident {
        let all = self.incidents();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.into_iter().next().unwrap()
    }

    /// A restart, by way of bytes.
    fn restart(&mut self, away: Duration) {
        let news = self.judge.news(1);
        let streams = news.streams.iter().filter_map(|(key, saved)| {
            let bytes = saved.as_ref()?.to_bytes();
            Some(Saved::from_bytes(*key, &bytes).expect("what was written"))
        });
        let past = Past {
            incidents: self.incidents(),
            streams: streams.collect(),
            clock: Some(news.clock),
            habit: Some(news.habit),
            next: news.next,
        };
        self.at += u64::try_from(away.as_nanos()).unwrap();
        self.world.begin_anew();
        self.judge = Judge::new(Settings::default(), past, self.at);
    }
}

#[test]
fn one_slow_hop_is_one_incident_that_names_it() {
    let mut host = Host::new(4);
    host.run(LEARNT_S);
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
    host.world.fault = Some(Fault::slow("rx", 10.0));
    let took_s = host.until_told(30);
    host.run(60);
    let incident = host.only();
    println!("after {took_s} s: {incident:#?}");
    assert!(took_s <= 10, "{took_s}");
    assert_eq!(incident.verdict, Word::Path);
    assert!(
        incident.evidence[0].starts_with("xmit→rx at lab-r1/in: "),
        "{:?}",
        incident.evidence
    );
    assert_eq!(incident.severity, Severity::Critical);
    assert_eq!(incident.effect.unit, "packets");
    assert!(incident.effect.share > Some(0.8));
}

#[test]
fn a_slow_queue_is_this_host_s() {
    let mut host = Host::new(2);
    host.run(LEARNT_S).world.fault = Some(Fault::slow("xmit", 20.0));
    host.until_told(30);
    host.run(20);
    assert_eq!(host.only().verdict, Word::ThisHost);
}

#[test]
fn drops_are_found_and_this_host_s() {
    let mut host = Host::new(2);
    host.run(LEARNT_S).world.fault = Some(Fault::drops("receive", 0.3));
    host.until_told(60);
    host.run(60);
    let incident = host.only();
    assert_eq!(incident.verdict, Word::ThisHost);
    assert_eq!(incident.findings[0].kind, "drops");
}

#[test]
fn whoever_looked_knows_better_and_is_believed() {
    let mut host = Host::new(2);
    host.run(LEARNT_S).world.fault = Some(Fault::slow("xmit", 20.0));
    host.until_told(30);
    let before = host.only();
    let looked = Looked {
        word: Word::Path,
        place: Some("lab-r2 out → lab-db in".to_owned()),
        evidence: vec!["the way back is slow".to_owned()],
        takes_back: false,
        said_of: vec![
            "app → db tcp/5432".to_owned(),
            "app → db tcp/5433".to_owned(),
        ],
        clear: Vec::new(),
    };
    host.judge.looked(before.number, looked.clone());
    host.run(30);
    let after = host.only();
    assert_eq!(
        (after.verdict, Some(&after.place), &after.evidence),
        (Word::Path, looked.place.as_ref(), &looked.evidence)
    );
    assert!(after.revision > before.revision);
    host.judge.looked(99, looked.clone());
    assert_eq!(host.only(), after, "there is no such incident");
    let mut other = Looked {
        word: Word::App,
        ..looked.clone()
    };
    host.judge.looked(before.number, other.clone());
    assert_eq!(host.only().verdict, Word::Path, "they can't be seen now");
    other.clear = looked.said_of;
    host.judge.looked(before.number, other);
    assert_eq!(host.only().verdict, Word::App);
}

#[test]
fn who_only_waits_for_another_is_excused() {
    let mut host = Host::new(2);
    host.run(LEARNT_S).world.fault = Some(Fault::slow("xmit", 20.0));
    host.until_told(30);
    let before = host.only();
    assert!(before.verdict.accuses());
    let looked = |takes_back| Looked {
        word: Word::CantTell,
        place: None,
        evidence: vec!["it waits for app → db tcp/5432".to_owned()],
        takes_back,
        said_of: Vec::new(),
        clear: Vec::new(),
    };
    host.judge.looked(before.number, looked(false));
    assert_eq!(
        host.only().verdict,
        before.verdict,
        "who sees less knows no better"
    );
    host.judge.looked(before.number, looked(true));
    assert_eq!(host.only().verdict, Word::CantTell);
}

#[test]
fn a_thousand_routes_behind_one_next_hop_are_one_incident() {
    let mut host = Host::new(1_000);
    host.world.packets = 6;
    host.run(200).world.fault = Some(Fault::slow("rx", 10.0));
    host.until_told(60);
    host.run(45);
    let incident = host.only();
    assert!(incident.found >= 1_000, "{}", incident.found);
    assert!(incident.findings.len() <= crate::model::incident::FINDINGS);
    assert_eq!(incident.verdict, Word::Path);
    assert_eq!(host.new.len(), 1);
}

#[test]
fn days_and_nights_and_bursts_are_no_incident() {
    let mut host = Host::new(2);
    for hour in 0..24u64 {
        // Half as much traffic at night, and a tenth slower by day.
        let day = f64::sin(hour as f64 / 24.0 * std::f64::consts::TAU);
        host.world.packets = (30.0 + 15.0 * day) as u64;
        host.world.level = 1.0 + 0.1 * day;
        host.run(600);
    }
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
}

/// A day as hosts have them: night and day, a job each hour, three deployments, stress, and bursts that
/// are over before anyone could look. Nobody is woken.
#[rstest::rstest]
fn a_day_of_mixed_traffic_wakes_nobody(#[values(7, 90_001)] seed: u64) {
    let mut host = Host::new(2);
    host.world.set_seed(seed);
    host.world.with_exchanges = true;
    for second in 0..86_400u64 {
        let (hour, of_hour) = (second / 3_600, second % 3_600);
        let day = f64::sin(second as f64 / 86_400.0 * std::f64::consts::TAU);
        let is_job = of_hour < 25;
        let is_stress = hour % 8 == 5 && (600..720).contains(&of_hour);
        let of_deployment = (hour % 8 == 3).then(|| of_hour.wrapping_sub(1_800));
        // Connections are closed, and opened again by programs whose caches are cold.
        let (is_away, is_cold) = match of_deployment {
            Some(0..20) => (true, false),
            Some(20..45) => (false, true),
            _ => (false, false),
        };
        host.world.packets = match (10.0 + 5.0 * day) as u64 {
            _ if is_away => 0,
            usual if is_job => usual * 4,
            usual => usual,
        };
        host.world.level = (1.0 + 0.1 * day) * if is_stress { 1.25 } else { 1.0 };
        host.world.peer = if is_cold || is_job { 1.5 } else { 1.0 };
        let is_burst = (second * 7_919 + seed) % 601 < 2;
        host.world.fault = is_burst.then(|| Fault::slow("rx", 4.0));
        if of_deployment == Some(10) {
            host.world.begin_anew();
        }
        host.run(1);
    }
    let pages: Vec<Incident> = host
        .incidents()
        .into_iter()
        .filter(|it| it.severity == Severity::Critical)
        .collect();
    println!("{} incidents that wake nobody", host.incidents().len());
    assert!(pages.is_empty(), "{pages:#?}");
}

#[test]
fn silence_counters_that_begin_anew_and_holes_are_no_incident() {
    let mut host = Host::new(3);
    host.run(LEARNT_S);
    host.world.begin_anew();
    host.run(120);
    let packets = std::mem::replace(&mut host.world.packets, 0);
    host.run(100).world.packets = packets;
    host.run(120);
    // Ten seconds without a reading; their packets come at once.
    (0..10).for_each(|_| host.world.second());
    host.at += 10_000_000_000;
    let (reading, at) = (host.world.reading().clone(), host.at);
    host.judge.second(&reading, at, Duration::from_secs(10));
    host.run(120);
    // Another source, which has counted something already.
    host.world.begin_anew();
    host.world.second();
    let reading = host.world.reading().clone();
    host.judge.go_on_from(&reading);
    host.run(120);
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
}

#[test]
fn fewer_followed_packets_are_no_incident() {
    let mut host = Host::new(3);
    host.run(LEARNT_S);
    for each in [8, 64, 8, 1] {
        host.world.follow(each);
        host.run(200);
    }
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
    // Detached for a while, and attached again.
    host.judge.go_on_from(&Reading::default());
    host.at += 60_000_000_000;
    host.world.begin_anew();
    host.run(200);
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
}

#[test]
fn a_clock_that_is_set_neither_makes_nor_ends_an_incident() {
    let mut host = Host::new(2);
    host.run(LEARNT_S);
    for hours in [-1i64, 3] {
        host.at = host.at.saturating_add_signed(hours * 3_600_000_000_000);
        host.run(120);
    }
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
    host.world.fault = Some(Fault::slow("rx", 10.0));
    host.until_told(30);
    host.run(30).world.fault = None;
    host.run(150);
    assert!(matches!(host.only().state, State::Recovering { .. }));
    host.at += 3_600_000_000_000;
    host.run(10);
    assert!(matches!(host.only().state, State::Recovering { .. }));
}

#[test]
fn an_incident_is_over_when_the_old_level_was_back_for_five_minutes() {
    let mut host = Host::slow(2);
    assert_eq!(host.only().state, State::Open);
    host.world.fault = None;
    let ended = host.at;
    host.run(200);
    assert!(matches!(host.only().state, State::Recovering { .. }));
    // Where nothing passes nothing is back.
    let packets = std::mem::replace(&mut host.world.packets, 0);
    host.run(1_000).world.packets = packets;
    assert!(matches!(host.only().state, State::Recovering { .. }));
    host.run(400);
    let State::Closed { at, by } = host.only().state else {
        panic!("{:?}", host.only())
    };
    assert_eq!(by, End::Recovered);
    assert!(
        at.abs_diff(ended) < 60_000_000_000,
        "{}",
        at.abs_diff(ended)
    );
    assert_eq!(host.only().lasting, 0);
}

#[test]
fn what_nothing_passes_any_more_keeps_no_incident_of_others_open() {
    let mut host = Host::slow(3);
    // One of three leaves while it is bad.
    host.world.left = 1;
    host.run(100);
    assert_eq!(host.only().state, State::Open, "the others are still bad");
    host.world.fault = None;
    host.run(200);
    assert!(matches!(host.only().state, State::Recovering { .. }));
    host.run(300);
    assert!(matches!(host.only().state, State::Closed { .. }));
    // Nobody said that it was well.
    (host.world.left, host.world.fault) = (0, Some(Fault::slow("rx", 10.0)));
    host.until_told(30);
    assert_eq!(host.incidents().len(), 2);
}

#[test]
fn who_left_and_comes_back_well_opens_nothing() {
    let mut host = Host::slow(3);
    (host.world.left, host.world.fault) = (1, None);
    host.run(200);
    assert!(matches!(host.only().state, State::Recovering { .. }));
    host.world.left = 0;
    host.run(20);
    assert_eq!(host.only().episodes, 1, "within the same incident");
    host.run(300);
    assert!(matches!(host.only().state, State::Closed { .. }));
    host.run(600);
    assert_eq!(host.incidents().len(), 1);
}

#[test]
fn who_stays_dead_while_others_recover_has_not_left() {
    let mut host = Host::new(3);
    host.run(LEARNT_S).world.fault = Some(Fault::drops("receive", 0.6));
    host.until_told(60);
    host.run(60);
    // One of them stays dead: all that it sends is dropped.
    (host.world.dead, host.world.fault) = (1, None);
    host.run(400);
    assert_eq!(host.only().state, State::Open);
}

#[test]
fn whoever_comes_back_as_bad_opens_the_incident_again() {
    let mut host = Host::slow(2);
    (host.world.left, host.world.fault) = (1, None);
    host.run(200);
    assert!(matches!(host.only().state, State::Recovering { .. }));
    (host.world.left, host.world.fault) = (0, Some(Fault::slow("rx", 10.0)));
    host.run(10);
    assert_eq!((host.only().state, host.only().episodes), (State::Open, 2));
}

#[test]
fn what_comes_back_every_three_minutes_is_one_incident() {
    let mut host = Host::new(2);
    host.run(LEARNT_S);
    for _ in 0..6 {
        host.world.fault = Some(Fault::slow("rx", 10.0));
        host.run(40).world.fault = None;
        host.run(180);
    }
    let incident = host.only();
    assert!(incident.episodes >= 4, "{incident:#?}");
    assert!(incident.is_active());
}

#[test]
fn a_fault_of_33_hours_over_two_restarts_is_one_incident() {
    let mut host = Host::new(1);
    host.world.packets = 10;
    host.run(LEARNT_S).world.fault = Some(Fault::slow("rx", 5.0));
    host.until_told(60);
    for _ in 0..2 {
        // Eleven hours, of which most are away, since time is in the data.
        host.run(900);
        host.restart(Duration::from_mins(1));
        host.run(900);
        host.at += 10 * 3_600_000_000_000;
        let reading = host.world.reading().clone();
        let at = host.at;
        host.judge.second(&reading, at, Duration::from_hours(10));
    }
    host.run(900);
    let incident = host.only();
    assert_eq!((incident.number, incident.state), (1, State::Open));
    assert_eq!(incident.episodes, 1);
    host.world.fault = None;
    host.run(1_800);
    assert!(
        matches!(host.only().state, State::Closed { .. }),
        "{:#?}",
        host.only()
    );
}

#[test]
fn somebody_may_accept_the_new_level() {
    let mut host = Host::new(2);
    host.run(LEARNT_S).world.fault = Some(Fault::slow("rx", 4.0));
    host.until_told(60);
    host.run(30);
    let at = host.at;
    assert!(
        host.judge
            .accept(Name(9), at)
            .unwrap_err()
            .contains("no INC-9")
    );
    host.judge.accept(Name(1), at).unwrap();
    assert!(
        host.judge
            .accept(Name(1), at)
            .unwrap_err()
            .contains("over already")
    );
    assert!(matches!(
        host.only().state,
        State::Closed {
            by: End::Accepted,
            ..
        }
    ));
    host.run(600);
    assert_eq!(host.only().number, 1, "the new level is normal");
    assert_eq!(host.incidents().len(), 1);
}

#[test]
fn without_an_effect_it_is_no_page() {
    let mut host = Host::new(1);
    host.world.with_exchanges = true;
    host.run(LEARNT_S);
    // Ten times 50 µs beside exchanges of 20 ms.
    host.world.fault = Some(Fault::slow("rx", 10.0));
    host.until_told(30);
    host.run(120);
    let incident = host.only();
    assert_eq!(incident.severity, Severity::Warning, "{incident:#?}");
    assert_eq!(incident.effect.unit, "exchanges");
    assert!(incident.effect.share < Some(0.05), "{:?}", incident.effect);
}

#[test]
fn a_peer_that_takes_longer_is_the_peer_and_has_an_effect() {
    let mut host = Host::new(1);
    host.world.with_exchanges = true;
    host.run(LEARNT_S).world.peer = 5.0;
    host.until_told(30);
    host.run(60);
    let incident = host.only();
    assert_eq!(incident.verdict, Word::Peer, "{incident:#?}");
    assert_eq!(incident.severity, Severity::Critical, "{incident:#?}");
    assert!(incident.effect.share > Some(0.5), "{:?}", incident.effect);
}

#[test]
fn a_peer_that_holds_its_acknowledgements_back_is_no_slow_path() {
    let mut host = Host::new(1);
    host.world.with_exchanges = true;
    host.run(LEARNT_S).world.holds_back = true;
    host.run(120);
    assert!(host.incidents().is_empty(), "{:#?}", host.incidents());
}

#[test]
fn what_is_watched_is_bounded() {
    let mut streams = Streams::default();
    let (thresholds, mut habit) = (
        Budget::for_streams(1).thresholds(&Habit::default()),
        Habit::default(),
    );
    let mut increase = Increase::default();
    streams.observe(0, 1, &increase, &thresholds, &mut habit);
    assert_eq!(streams.len(), 0, "what nothing passes takes no room");
    increase.add(70, 3);
    for key in 0..60_000u64 {
        streams.observe(key, 1, &increase, &thresholds, &mut habit);
    }
    assert_eq!((streams.len(), streams.refused()), (50_000, 10_000));
    streams.forget_absent(1_000);
    assert_eq!(streams.len(), 0, "what is absent makes room");
}

/// Processor time, which others on the machine don't lengthen as much as they do the wall's.
fn spent_by_thread() -> Duration {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.expect("a clock that every Linux has").into()
}

/// The cost of ten thousand routes is some ten times that of a thousand, not more: nothing grows
/// faster than what is watched.
#[test]
fn the_cost_grows_no_faster_than_the_routes() {
    let cost = |routes: usize| {
        let mut host = Host::new(routes);
        host.world.packets = 3;
        host.run(20);
        let mut spent = Duration::ZERO;
        for _ in 0..8 {
            host.world.second();
            let start = spent_by_thread();
            host.judge();
            spent += spent_by_thread().saturating_sub(start);
        }
        spent / 8
    };
    let (few, many) = (cost(1_000), cost(10_000));
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!("{few:?} for 1,000 routes, {many:?} for 10,000: {ratio:.1} times");
    assert!(ratio < 40.0, "{ratio}");
}
