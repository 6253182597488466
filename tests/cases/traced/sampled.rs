//! Only a share of the packets is followed, and what the programs cost is known.

use std::num::NonZeroU8;
use std::time::Duration;

use lab::topology::{Line, Wired};
use lab::{Lab, NumberedUdp, Pace, WireSpec};
use tracer::model::{Reading, Report};
use tracer::source::Source;
use tracer::source::live::Live;

use super::seen::{check_balance, losses, port, requests, tell};

const PORT: u16 = 9500;
const COUNT: u64 = 10_000;

/// Traces while datagrams of one flow are sent, and follows a share of them.
fn trace_share(share: f64, flow: &NumberedUdp) -> (Reading, Report) {
    let mut live = Live::open(&port(PORT)).unwrap();
    live.follow(share).unwrap();
    assert_eq!(flow.run().unwrap().received, COUNT);
    let reading = Box::new(live).finish().unwrap();
    let report = Report::from_reading(&reading);
    (reading, report)
}

/// A binomial share of the packets, at each hop the same ones: what is missing is no loss.
fn check(share: f64, flow: &NumberedUdp) {
    let (reading, report) = trace_share(share, flow);
    assert!((reading.followed - share).abs() < 1e-6);
    check_balance(&reading);
    let route = requests(&report, PORT)[0];
    assert_eq!(losses(&report), "", "{}", tell(route));
    assert_eq!(route.ends.delivered, route.packets, "{}", tell(route));
    assert!(
        route.steps.iter().all(|step| step.packets == route.packets),
        "{}",
        tell(route)
    );
    let expected = COUNT as f64 * share;
    let deviation = (expected * (1.0 - share)).sqrt();
    println!("{share}: {} of {COUNT}", route.packets);
    assert!(
        (route.packets as f64 - expected).abs() < 5.0 * deviation,
        "{} of {COUNT} are not {share}",
        route.packets
    );
}

#[test]
fn a_share_of_one_flow_through_a_router() {
    let line = Line::new(Lab::new("sampled").unwrap()).unwrap();
    for from in line.app_at.both() {
        let flow = NumberedUdp {
            count: COUNT,
            window: 512,
            ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
        };
        for share in [0.5, 1.0 / 64.0] {
            check(share, &flow);
        }
    }
}

#[test]
fn a_wire_ends_and_begins_the_same_share() {
    let delay = Duration::from_millis(1);
    let wired = Wired::new(Lab::new("sampled").unwrap(), WireSpec::delay(delay)).unwrap();
    let flow = NumberedUdp {
        count: COUNT,
        window: 512,
        ..NumberedUdp::new(
            (&wired.app, wired.app_at.v4.into()),
            (&wired.db, (wired.db_at.v4, PORT).into()),
        )
    };
    check(0.25, &flow);
}

/// Of many packets one in eight is timed and counts for eight; all are counted, and the few that
/// come beside no flood are all timed.
#[test]
fn all_of_a_flood_are_counted_and_some_are_timed() {
    let line = Line::new(Lab::new("sampled").unwrap()).unwrap();
    for from in line.app_at.both() {
        for (window, is_flood) in [(1024, true), (1, false)] {
            let flow = NumberedUdp {
                count: if is_flood { COUNT } else { 100 },
                pace: if is_flood {
                    Pace::BackToBack
                } else {
                    Pace::Constant { per_second: 500.0 }
                },
                window,
                ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
            };
            let mut settings = port(PORT);
            settings.timed_one_in = NonZeroU8::new(8).unwrap();
            let tracing = Live::open(&settings).unwrap();
            assert_eq!(flow.run().unwrap().received, flow.count);
            let reading = Box::new(tracing).finish().unwrap();
            check_balance(&reading);
            let report = Report::from_reading(&reading);
            let route = requests(&report, PORT)[0];
            assert_eq!(losses(&report), "", "{}", tell(route));
            assert_eq!(route.ends.delivered, flow.count, "{}", tell(route));
            for step in &route.steps {
                assert_eq!(step.packets, flow.count, "{}", tell(route));
                let Some(segment) = &step.segment else {
                    continue;
                };
                let timed = segment.latency.count();
                println!("{timed} for {}", flow.count);
                // Whole eights, and the windows' beginnings.
                let allowed = if is_flood { flow.count / 100 } else { 0 };
                assert!(timed.abs_diff(flow.count) <= allowed, "{}", tell(route));
            }
        }
    }
}

#[test]
fn programs_count_their_runs_and_time_some() {
    let line = Line::new(Lab::new("sampled").unwrap()).unwrap();
    let flow = NumberedUdp {
        count: COUNT,
        pace: Pace::BackToBack,
        window: 512,
        ..NumberedUdp::new(
            (&line.app, line.app_at.v4.into()),
            (&line.db, (line.db_at.v4, PORT).into()),
        )
    };
    let mut source = Live::open(&port(PORT)).unwrap();
    flow.run().unwrap();
    let reading = source.read().unwrap();
    for program in ["net_dev_queue", "net_dev_start_xmit", "netif_receive_skb"] {
        let work = reading
            .programs
            .iter()
            .find(|work| work.program == program)
            .unwrap_or_else(|| panic!("{program} ran"));
        println!("{program}: {} runs, {} ns", work.runs, work.busy_ns);
        // App and router send each of them, router and database receive it.
        assert!(work.runs >= 2 * COUNT, "{program}: {} runs", work.runs);
        let mean_ns = work.busy_ns / work.runs;
        assert!((1..1_000_000).contains(&mean_ns), "{program}: {mean_ns} ns");
    }
}
