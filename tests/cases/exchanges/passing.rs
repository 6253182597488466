//! Round trips of forwarded flows, at a router in the middle, against the wire's own log.

use std::time::Duration;

use lab::topology::{Road, Story};
use lab::{Crossing, Direction, Lab, TcpPairs, TcpServer};
use tracer::model::connection::{Phase, Sight};
use tracer::model::passing::Passing;
use tracer::model::{Histogram, Reading, Service};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

use super::seen::{port, trace_all};
use super::side::BUCKET;

const PORT: u16 = 9760;

/// What the router of the old road is to look at.
fn at_router(story: &Story) -> Settings {
    let mut settings = port(PORT);
    settings.filter.namespace = Some(story.r2.name().to_owned());
    settings
}

/// Both ways by the old road.
fn by_old_road(with_stamps: bool) -> Story {
    let story = Story::new(Lab::new("passing").unwrap(), Duration::ZERO).unwrap();
    story.move_requests(Road::Old).unwrap();
    story.move_answers(Road::Old).unwrap();
    for host in [&story.app, &story.db] {
        let on = if with_stamps { "1" } else { "0" };
        host.sysctl("ipv4/tcp_timestamps", on).unwrap();
    }
    story
}

/// Requests of several segments on one connection that stays open.
fn ask(story: &Story, count: u64) {
    let pairs = TcpPairs {
        count,
        request_len: |_| 12_000,
        patience: Duration::from_mins(1),
        ..TcpPairs::new(
            (&story.app, story.app_at.v4.into()),
            (story.db_at.v4, PORT).into(),
        )
    };
    assert_eq!(pairs.run().unwrap().len() as u64, count);
}

/// What came in by a device, of requests or of answers.
pub(super) fn came(reading: &Reading, is_answer: bool) -> &Passing {
    let found = reading.passing.iter().find(|it| {
        let service = reading.classes[it.class].service;
        matches!(service, Some(Service::Source(_))) == is_answer
    });
    found.unwrap_or_else(|| panic!("{:?}", reading.passing))
}

fn tell(passing: &Passing) -> String {
    let times = passing.phases.iter().map(|(phase, times)| {
        let ms = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1e6;
        format!(
            "{}: n {}, p50 {:.3} ms, min {:.3}, max {:.3}",
            phase.name(),
            times.count(),
            ms(times.quantile_ns(0.5)),
            ms(times.min_ns()),
            ms(times.max_ns()),
        )
    });
    let times: Vec<_> = times.collect();
    format!(
        "{}: {} {:?}",
        passing.device,
        times.join("; "),
        passing.sights
    )
}

/// The median time on the wire, both ways together, in milliseconds.
fn there_and_back_ms(log: &[Crossing]) -> f64 {
    let median = |direction| {
        let crossings = log.iter().filter(|it| it.direction == direction);
        let mut delays: Vec<_> = crossings.filter_map(Crossing::delay_ns).collect();
        delays.sort_unstable();
        delays[delays.len() / 2] as f64 / 1e6
    };
    median(Direction::Forth) + median(Direction::Back)
}

/// The log lacks the time until the wire's thread ran, once each way, and what the server's end takes.
/// It is measured by a wire that does not delay; here it is at least so much.
const WAKING_MS: f64 = 0.3;
/// And at most so much, in an emulated machine: what is found too long by more is no machine's.
const LONGEST_WAKING_MS: f64 = 5.0;

/// A wire of this round trip in milliseconds that loses and reorders these shares, for so many
/// requests.
const WIRES: [(u64, f64, f64, u64); 8] = [
    (2, 0.0, 0.0, 80),
    (20, 0.0, 0.0, 40),
    (200, 0.0, 0.0, 10),
    (2, 0.05, 0.0, 80),
    (20, 0.01, 0.0, 50),
    (20, 0.05, 0.0, 30),
    (20, 0.0, 0.05, 30),
    (200, 0.05, 0.0, 8),
];

fn check_wires(with_stamps: bool) {
    let story = by_old_road(with_stamps);
    let _server = TcpServer::start(&story.db, (story.db_at.v4, PORT).into()).unwrap();
    let mut live = Live::open(&at_router(&story)).unwrap();
    // The first packets show that the class is forwarded.
    ask(&story, 1);
    let mut before = live.read().unwrap();
    let mut crossed = story.wire.log().len();
    ask(&story, 80);
    let reading = live.read().unwrap();
    let own = median_ms(&since(&before, &reading, true));
    let waking = WAKING_MS.max(own - there_and_back_ms(&story.wire.log()[crossed..]));
    println!("without delay {own:.3} ms, {waking:.3} ms beside the wire");
    assert!(waking < LONGEST_WAKING_MS, "{waking} ms beside the wire");
    crossed = story.wire.log().len();
    before = reading;
    for (round_trip_ms, loss, reorder, count) in WIRES {
        println!("{round_trip_ms} ms, loss {loss}, reordered {reorder}, stamps {with_stamps}");
        story
            .wire
            .set_delay(Duration::from_micros(round_trip_ms * 500));
        story.wire.set_loss(loss);
        story.wire.set_reorder(reorder);
        ask(&story, count);
        let reading = live.read().unwrap();
        let log = story.wire.log();
        let truth = there_and_back_ms(&log[crossed..]);
        check(&before, &reading, (truth, waking), count);
        let again = |it| came(it, false).sight(Sight::Duplicates);
        assert!(again(&reading) > again(&before) || loss == 0.0);
        crossed = log.len();
        before = reading;
    }
}

/// The round trips of one side since a reading.
///
/// Nobody thinks: an acknowledgement that comes with an answer is as good as one without.
fn since(before: &Reading, now: &Reading, is_answer: bool) -> Histogram {
    let mut both = Histogram::default();
    for phase in [Phase::Rtt, Phase::RttWithData] {
        let past = came(before, is_answer).phase(phase);
        both.merge(&came(now, is_answer).phase(phase).since(&past));
    }
    both
}

fn median_ms(times: &Histogram) -> f64 {
    times.quantile_ns(0.5).unwrap() as f64 / 1e6
}

/// What came since a reading has the round trip of the wire on its one side, and none on the other.
fn check(before: &Reading, now: &Reading, (truth, waking): (f64, f64), count: u64) {
    let (requests, answers) = (came(now, false), came(now, true));
    println!(
        "requests by {}\nanswers by {}",
        tell(requests),
        tell(answers)
    );
    let to_db = since(before, now, true);
    assert!(to_db.count() >= count / 2, "{}", tell(answers));
    let found = median_ms(&to_db);
    println!("to the server {found:.3} ms, on the wire {truth:.3} ms");
    assert!(
        found < (truth + waking) * BUCKET && found > truth / BUCKET,
        "{found} ms, in truth {truth} ms"
    );
    // The client is on the router's own side: what it takes is a busy machine's, not the wire's.
    let to_app = median_ms(&since(before, now, false));
    assert!(truth < 10.0 || to_app < truth / 2.0, "{}", tell(requests));
}

#[test]
fn a_forwarded_flow_with_timestamps_has_the_round_trip_of_its_wire() {
    check_wires(true);
}

#[test]
fn a_forwarded_flow_without_timestamps_has_it_too() {
    check_wires(false);
}

#[test]
fn one_direction_alone_has_no_round_trip() {
    let story = by_old_road(true);
    story.move_answers(Road::Fast).unwrap();
    let _server = TcpServer::start(&story.db, (story.db_at.v4, PORT).into()).unwrap();
    let ((), reading, _) = trace_all(&at_router(&story), || {
        ask(&story, 1);
        ask(&story, 50);
    });
    let requests = came(&reading, false);
    assert!(requests.phases.is_empty(), "{}", tell(requests));
}
