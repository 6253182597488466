//! What a wire says it did is what it was told to do, and what the traffic saw.

use std::time::Duration;

use lab::topology::Wired;
use lab::{
    Bulk, Crossing, Delivery, Direction, Distribution, Lab, NumberedUdp, Pace, Until, WireSpec,
};

const COUNT: u64 = 1000;

fn wired(spec: WireSpec) -> Wired {
    Wired::new(Lab::new("wire").unwrap(), spec).unwrap()
}

fn traffic(wired: &Wired) -> Delivery {
    let to = (&wired.db, (wired.db_at.v4, 7000).into());
    NumberedUdp {
        count: COUNT,
        ..NumberedUdp::new((&wired.app, wired.app_at.v4.into()), to)
    }
    .run()
    .unwrap()
}

/// The log of numbered datagrams: those of their length, forth.
fn crossings(wired: &Wired) -> Vec<Crossing> {
    let log = wired.wire.log().into_iter();
    log.filter(|crossing| crossing.bytes == 92 && crossing.direction == Direction::Forth)
        .collect()
}

fn delays(crossings: &[Crossing]) -> Vec<Duration> {
    let given = crossings.iter().filter_map(Crossing::delay_ns);
    let mut delays: Vec<_> = given.map(Duration::from_nanos).collect();
    delays.sort();
    delays
}

#[test]
fn a_delay_is_kept_and_written_down() {
    for delay in [0, 1, 5, 80].map(Duration::from_millis) {
        let wired = wired(WireSpec::delay(delay));
        let delivery = traffic(&wired);
        let counts = (delivery.received, delivery.reordered, delivery.duplicates);
        assert_eq!(counts, (COUNT, 0, 0), "{delay:?}");

        let crossings = crossings(&wired);
        assert_eq!(crossings.len() as u64, COUNT, "{delay:?}");
        let delays = delays(&crossings);
        let first = delays[0];
        assert!(first >= delay, "{first:?} of {delay:?}");
        // A thread that has to wait for its processor is late; not each time.
        assert!(
            first < delay + Duration::from_millis(1),
            "{first:?} of {delay:?}"
        );

        // The datagram left before it was taken and arrived after it was given.
        let latencies = delivery.latencies_ns();
        for (crossing, latency_ns) in crossings.iter().zip(&latencies) {
            assert!(crossing.delay_ns().unwrap() <= *latency_ns, "{crossing:?}");
        }
    }
}

#[test]
fn a_wire_that_keeps_awake_is_on_time() {
    let delay = Duration::from_micros(200);
    let wired = wired(WireSpec {
        awake: Some(Direction::Forth),
        ..WireSpec::delay(delay)
    });
    assert_eq!(traffic(&wired).received, COUNT);
    let delays = delays(&crossings(&wired));
    let (first, median) = (delays[0], delays[delays.len() / 2]);
    println!("{first:?} at least, {median:?} in the middle");
    assert!(first >= delay, "{first:?}");
    assert!(first < delay + Duration::from_micros(20), "{first:?}");
}

#[test]
fn packets_in_flight_overlap() {
    let delay = Duration::from_millis(80);
    let wired = wired(WireSpec::delay(delay));
    let to = (&wired.db, (wired.db_at.v4, 7000).into());
    let delivery = NumberedUdp {
        count: 10_000,
        pace: Pace::Constant {
            per_second: 10_000.0,
        },
        ..NumberedUdp::new((&wired.app, wired.app_at.v4.into()), to)
    }
    .run()
    .unwrap();
    assert_eq!(delivery.lost(), 0);
    let delays = delays(&crossings(&wired));
    assert!(delays[delays.len() / 2] < delay + Duration::from_millis(1));
}

#[test]
fn a_window_bounds_what_is_on_its_way() {
    let wired = wired(WireSpec {
        loss: 0.1,
        ..WireSpec::delay(Duration::from_millis(5))
    });
    let window = 10;
    let delivery = NumberedUdp {
        count: 200,
        window: window as u64,
        pace: Pace::BackToBack,
        patience: Duration::from_millis(50),
        ..NumberedUdp::new(
            (&wired.app, wired.app_at.v4.into()),
            (&wired.db, (wired.db_at.v4, 7000).into()),
        )
    }
    .run()
    .unwrap();
    assert_eq!(delivery.sent, 200);
    assert!(delivery.lost() > 0);
    for (number, sent_ns) in delivery.sent_ns.iter().enumerate() {
        let patience_ns = 50_000_000;
        let under_way = (0..number).filter(|earlier| match delivery.received_ns[*earlier] {
            Some(received_ns) => received_ns > *sent_ns,
            None => delivery.sent_ns[*earlier] + patience_ns > *sent_ns,
        });
        let count = under_way.count();
        assert!(count < window, "{count} when {number} was sent");
    }
}

#[test]
fn the_delay_changes_while_it_runs() {
    let wired = wired(WireSpec::default());
    traffic(&wired);
    let before = crossings(&wired).len();
    wired
        .wire
        .set_delay_of(Direction::Forth, Duration::from_millis(7));
    traffic(&wired);
    let after = delays(&crossings(&wired)[before..]);
    assert!(after[0] >= Duration::from_millis(7), "{:?}", after[0]);
}

#[test]
fn what_is_lost_is_lost_on_purpose() {
    let wired = wired(WireSpec {
        loss: 0.1,
        ..WireSpec::delay(Duration::from_millis(1))
    });
    let delivery = traffic(&wired);
    let lost = crossings(&wired)
        .iter()
        .filter(|crossing| crossing.lost())
        .count();
    assert_eq!(delivery.lost(), lost as u64);
    assert!((50..200).contains(&lost), "{lost} of {COUNT}");
    assert_eq!(wired.wire.refused(), 0);
}

#[test]
fn jitter_keeps_the_order_and_reordering_does_not() {
    let jitter = Distribution::Exponential {
        mean: Duration::from_millis(1),
    };
    let spec = WireSpec {
        jitter,
        ..WireSpec::delay(Duration::from_millis(5))
    };
    assert_eq!(traffic(&wired(spec)).reordered, 0);
    let delivery = traffic(&wired(WireSpec {
        reorder: 0.1,
        ..spec
    }));
    assert_eq!(delivery.lost(), 0);
    assert!(delivery.reordered > 100, "{}", delivery.reordered);
}

#[test]
fn closing_lets_what_is_on_its_way_arrive() {
    let wired = wired(WireSpec::delay(Duration::from_millis(50)));
    let socket = wired
        .db
        .run(|| std::net::UdpSocket::bind((wired.db_at.v4, 7000)));
    let (socket, sender) = (
        socket.unwrap(),
        wired.app.run(|| std::net::UdpSocket::bind("0.0.0.0:0")),
    );
    sender
        .unwrap()
        .send_to(b"late", (wired.db_at.v4, 7000))
        .unwrap();
    std::thread::sleep(Duration::from_millis(10));
    let log = wired.wire.close();
    assert!(
        log.iter()
            .any(|crossing| crossing.bytes == 32 && !crossing.lost())
    );
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 4);
}

#[test]
fn the_log_has_every_packet_that_the_devices_counted() {
    let wired = wired(WireSpec::delay(Duration::from_millis(2)));
    let from = (&wired.app, wired.app_at.v4.into());
    let to = (&wired.db, (wired.db_at.v4, 7000).into());
    let burst = NumberedUdp {
        count: 20_000,
        pace: Pace::BackToBack,
        ..NumberedUdp::new(from, to)
    };
    let delivery = burst.run().unwrap();
    let (streams, until) = (2, Until::Bytes(2_000_000));
    let totals = Bulk {
        from,
        to,
        streams,
        until,
    }
    .run()
    .unwrap();
    assert_eq!(totals.received, 4_000_000);
    wired.lab.settle().unwrap();
    // What a burst overflowed was dropped by the device, before the wire.
    let app = wired.app.counters("app0").unwrap();
    assert_eq!(delivery.lost(), app.tx_dropped);

    let (app, db) = (app, wired.db.counters("db0").unwrap());
    let log = wired.wire.close();
    let count = |direction| {
        log.iter()
            .filter(|crossing| crossing.direction == direction)
            .count()
    };
    assert_eq!(count(Direction::Forth) as u64, app.tx_packets);
    assert_eq!(count(Direction::Back) as u64, db.tx_packets);
    assert_eq!(
        (app.rx_packets, db.rx_packets),
        (db.tx_packets, app.tx_packets)
    );
}
