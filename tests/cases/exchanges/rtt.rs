//! Round trips of connections that stay open, against the wire's own log.

use std::time::Duration;

use lab::topology::Wired;
use lab::{Crossing, Lab, TcpPairs, TcpServer, WireSpec};
use tracer::model::connection::{Phase, Sight};
use tracer::model::{Reading, Report};

use super::seen::{answers, port, requests, tell as tell_route, trace_all};
use super::side::{asking, check_within_a_bucket, median_ms, serving, tell};

const PORT: u16 = 9700;

/// Asks for answers of several segments on one connection over a wire, and traces it.
fn ask(spec: WireSpec, count: u64) -> (Reading, Report, Vec<Crossing>) {
    let wired = Wired::new(Lab::new("exchanges").unwrap(), spec).unwrap();
    let server = TcpServer::start(&wired.db, (wired.db_at.v4, PORT).into()).unwrap();
    let (pairs, reading, report) = trace_all(&port(PORT), || {
        let pairs = TcpPairs {
            count,
            answer_len: |_| 12_000,
            patience: Duration::from_mins(1),
            ..TcpPairs::new((&wired.app, wired.app_at.v4.into()), server.address())
        };
        pairs.run().unwrap()
    });
    assert_eq!(pairs.len() as u64, count);
    println!("asking: {}", tell(asking(&reading)));
    println!("serving: {}", tell(serving(&reading)));
    (reading, report, wired.wire.log())
}

/// The median time of packets there and back, from the queue of one socket's host to the other
/// socket, by the hops: these are checked against the kernel's own tracepoints elsewhere. The wire's
/// log lacks the time until its thread ran.
fn there_and_back_ms(report: &Report) -> f64 {
    let ways = [requests(report, PORT)[0], answers(report, PORT)[0]];
    let medians = ways.map(|route| {
        let median = route.total.quantile_ns(0.5);
        median.unwrap_or_else(|| panic!("{}", tell_route(route)))
    });
    medians.iter().sum::<u64>() as f64 / 1e6
}

/// A wire of this round trip that loses and reorders this share of the packets each way.
fn check(round_trip_ms: u64, loss: f64, reorder: f64, count: u64) {
    println!("{round_trip_ms} ms, loss {loss}, reordered {reorder}");
    let spec = WireSpec {
        loss,
        reorder,
        ..WireSpec::delay(Duration::from_micros(round_trip_ms * 500))
    };
    let (reading, report, log) = ask(spec, count);
    let truth = there_and_back_ms(&report);
    let serving = serving(&reading);
    let found = median_ms(serving, Phase::Rtt, count / 2);
    check_within_a_bucket("serving", found, truth);
    // An answer acknowledges the request, so that the server's own time is in it.
    let found = median_ms(asking(&reading), Phase::RttWithData, count / 2);
    let service = median_ms(serving, Phase::Service, 5);
    check_within_a_bucket("asking", found, truth + service);
    if loss > 0.0 {
        let again = serving.sight(Sight::Retransmits) + serving.sight(Sight::Timeouts);
        let missing = log.iter().filter(|crossing| crossing.lost()).count();
        println!("{again} sent again by the server, {missing} lost both ways");
        assert!(again > 0, "{}", tell(serving));
    }
}

#[test]
fn a_short_wire() {
    check(2, 0.0, 0.0, 300);
    check(2, 0.05, 0.0, 300);
}

#[test]
fn a_long_wire() {
    check(20, 0.0, 0.0, 100);
    check(20, 0.01, 0.0, 200);
    check(20, 0.05, 0.0, 100);
    check(20, 0.0, 0.05, 100);
}

#[test]
fn a_wire_around_the_world() {
    check(200, 0.0, 0.0, 30);
    check(200, 0.05, 0.0, 40);
}

#[test]
fn a_path_that_gets_longer_is_seen_on_the_same_connection() {
    let wired = Wired::new(
        Lab::new("exchanges").unwrap(),
        WireSpec::delay(Duration::from_millis(2)),
    )
    .unwrap();
    let server = TcpServer::start(&wired.db, (wired.db_at.v4, PORT).into()).unwrap();
    let ((), reading, _) = trace_all(&port(PORT), || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(800));
                wired.wire.set_delay(Duration::from_millis(60));
            });
            let pairs = TcpPairs {
                count: 220,
                answer_len: |_| 12_000,
                ..TcpPairs::new((&wired.app, wired.app_at.v4.into()), server.address())
            };
            pairs.run().unwrap();
        });
    });
    let serving = serving(&reading);
    println!("{}", tell(serving));
    let round_trips = serving.phase(Phase::Rtt);
    assert!(round_trips.min_ns().unwrap() < 8_000_000);
    // Two segments and more are acknowledged at once, however much later that is.
    assert!(round_trips.max_ns().unwrap() > 118_000_000);
    let sample = &serving.sample;
    assert!(sample.iter().all(|it| it.tuple.destination_port == PORT));
}
