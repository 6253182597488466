//! A delay that we set is found, at its segment and at no other.

use std::collections::HashMap;
use std::time::Duration;

use lab::topology::Wired;
use lab::{
    Direction, Distribution, EventKind, Lab, NumberedUdp, Pace, Recorder, Recording, WireSpec,
};
use tracer::model::{Histogram, Report, Segment};

use super::passages::trace_hops;
use super::seen::{losses, port, requests, tell, trace};

const PORT: u16 = 9300;
/// Datagrams in a run, and the length of each with its headers.
const COUNT: u64 = 3_000;
const BYTES: u32 = 92;

/// The width of a bucket, as a factor.
const BUCKET: f64 = 1.090_507_732_665_257_7;

fn lab() -> Lab {
    Lab::new("truth").unwrap()
}

/// Open-loop traffic: it keeps its rate, however slow the wire is.
fn traffic(wired: &Wired, count: u64) -> NumberedUdp<'_> {
    NumberedUdp {
        count,
        pace: Pace::Constant {
            per_second: 1_000.0,
        },
        patience: Duration::from_millis(400),
        ..NumberedUdp::new(
            (&wired.app, wired.app_at.v4.into()),
            (&wired.db, (wired.db_at.v4, PORT).into()),
        )
    }
}

/// The value that a share `q` does not exceed.
fn quantile(values: &mut [u64], q: f64) -> u64 {
    values.sort_unstable();
    values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1]
}

fn segment<'a>(report: &'a Report, name: &str) -> &'a Segment {
    let route = requests(report, PORT)[0];
    route
        .segments()
        .find(|segment| segment.name == name)
        .unwrap_or_else(|| panic!("{}", tell(route)))
}

/// When each datagram came to the wire and when it left it, by the kernel's own tracepoints: its
/// delay, in the order of sending. The wire's log lacks the time until its thread ran.
fn on_the_wire(recording: &Recording) -> Vec<u64> {
    let datagrams = |kind, device| {
        let events = recording.at(kind, device);
        events.filter(|event| event.len == Some(BYTES))
    };
    assert_eq!(recording.lost, 0);
    let came = datagrams(EventKind::NetDevStartXmit, "app0");
    let left = datagrams(EventKind::NetifReceiveSkbEntry, "db0");
    came.zip(left)
        .map(|(came, left)| left.ts_ns - came.ts_ns)
        .collect()
}

#[test]
fn the_wire_says_the_same() {
    let jittered = |delay_us: u64, up_to_us: u64| WireSpec {
        delay: Duration::from_micros(delay_us),
        jitter: Distribution::Uniform {
            up_to: Duration::from_micros(up_to_us),
        },
        awake: Some(Direction::Forth),
        ..WireSpec::default()
    };
    for spec in [
        jittered(200, 100),
        jittered(5_000, 1_000),
        jittered(80_000, 8_000),
    ] {
        let wired = Wired::new(lab(), spec).unwrap();
        let ends = [EventKind::NetDevStartXmit, EventKind::NetifReceiveSkbEntry];
        let recorder = Recorder::start_with(&wired.lab, &ends).unwrap();
        let (delivery, report) = trace(&port(PORT), || traffic(&wired, COUNT).run().unwrap());
        assert_eq!(delivery.received, COUNT);
        let log = wired.wire.log().into_iter();
        let logged: Vec<u64> = log
            .filter(|crossing| crossing.direction == Direction::Forth && crossing.bytes == BYTES)
            .filter_map(|crossing| crossing.delay_ns())
            .collect();
        let recording = recorder.stop().unwrap();
        let mut own = on_the_wire(&recording);
        assert_eq!((logged.len(), own.len()), (COUNT as usize, COUNT as usize));
        assert!(
            logged.iter().zip(&own).all(|(logged, own)| logged <= own),
            "the wire holds no packet for longer than it is between its devices"
        );
        let found = &segment(&report, "xmit→rx").latency;
        let route = requests(&report, PORT)[0];
        assert_eq!(found.count(), COUNT, "{} {}", losses(&report), tell(route));
        let mut logged = logged;
        for q in [0.5, 0.9] {
            let seen = found.quantile_ns(q).unwrap();
            let [own, logged] = [&mut own, &mut logged].map(|values| quantile(values, q));
            let ratio = seen as f64 / own as f64;
            println!(
                "{:?}: p{} {seen} ns by the tracer; {own} ns on the wire: {ratio:.3}; \
                 {logged} ns by its log: {:.3}",
                spec.delay,
                q * 100.0,
                seen as f64 / logged as f64
            );
            let bound = BUCKET * 1.05;
            assert!(
                ratio < bound && ratio > 1.0 / bound,
                "{:?}: {own} {seen}",
                spec.delay
            );
        }
        assert!(found.min_ns().unwrap() >= spec.delay.as_nanos() as u64);
    }
}

#[test]
fn the_other_segments_do_not_move() {
    let (short, long) = (Duration::from_micros(200), Duration::from_millis(5));
    let wired = Wired::new(lab(), WireSpec::delay(short)).unwrap();
    let mut medians: HashMap<String, [Histogram; 2]> = HashMap::new();
    for round in 0..6 {
        wired
            .wire
            .set_delay(if round % 2 == 0 { short } else { long });
        let (_, report) = trace(&port(PORT), || traffic(&wired, 1_500).run().unwrap());
        for segment in requests(&report, PORT)[0].segments() {
            let both = medians.entry(segment.name.clone()).or_default();
            both[round % 2].merge(&segment.latency);
        }
    }
    let injected = long.saturating_sub(short).as_nanos() as f64;
    for (name, [short, long]) in medians {
        let [before, after] =
            [&short, &long].map(|latency| latency.quantile_ns(0.5).unwrap() as f64);
        println!("{name}: {before} ns, {after} ns with {injected} ns more on the wire");
        if name == "xmit→rx" {
            assert!(
                (after - before - injected).abs() < injected * 0.1,
                "{name}: {before} {after}"
            );
        } else {
            let two_buckets = before.max(after) * (1.0 - 1.0 / (BUCKET * BUCKET));
            let bound = two_buckets.max(injected * 0.02);
            assert!(
                (after - before).abs() <= bound,
                "{name}: {before} {after}, at most {bound}"
            );
        }
    }
}

#[test]
fn quantiles_are_those_of_the_single_packets() {
    let spec = WireSpec {
        jitter: Distribution::Exponential {
            mean: Duration::from_millis(1),
        },
        ..WireSpec::delay(Duration::from_micros(300))
    };
    let wired = Wired::new(lab(), spec).unwrap();
    let (hops, reading) = trace_hops(PORT, || {
        traffic(&wired, 3_000).run().unwrap();
    });
    let report = Report::from_reading(&reading);
    let mut by_hop: HashMap<(String, String), Vec<u64>> = HashMap::new();
    for hop in &hops {
        if let Some(since) = hop.since_ns {
            by_hop
                .entry((hop.device.clone(), hop.stage.clone()))
                .or_default()
                .push(since);
        }
    }
    let mut compared = 0;
    for step in &requests(&report, PORT)[0].steps {
        let Some(segment) = &step.segment else {
            continue;
        };
        let key = (step.hop.device.clone(), step.hop.stage.name().to_owned());
        let single = by_hop.get_mut(&key).expect("each segment has its packets");
        assert_eq!(single.len() as u64, segment.latency.count());
        for q in [0.5, 0.9, 0.99] {
            let (exact, seen) = (quantile(single, q), segment.latency.quantile_ns(q).unwrap());
            let ratio = seen as f64 / exact as f64;
            let half_a_bucket = BUCKET.sqrt() * 1.001;
            // Below the lowest boundary there is one bucket only.
            let is_low = exact <= tracer_common::bucket::BOUNDS[0];
            assert!(
                is_low || ratio < half_a_bucket && ratio > 1.0 / half_a_bucket,
                "{key:?} p{}: {exact} ns, not {seen} ns",
                q * 100.0
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}
