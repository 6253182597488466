//! What a device carried against what was seen of it, with a thief in front of the hops.

use std::io::Write;
use std::time::Duration;

use lab::topology::{Road, Story};
use lab::{Lab, TcpServer, Users};
use tracer::model::Reading;
use tracer::model::coverage::{Coverage, Direction};
use tracer::source::live::Live;
use tracer::source::mirror::bypass;
use tracer::source::{Settings, Source};

const COUNT: u64 = 20_000;

/// An Ethernet frame with a UDP datagram for nobody.
fn frame(number: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0];
    frame.extend([0x45, 0, 0, 46]);
    frame.extend(number.to_be_bytes());
    frame.extend([0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 3]);
    frame.extend([0x27, 0x10, 0x27, 0x11, 0, 26, 0, 0]);
    frame.extend([7; 18]);
    frame
}

/// Traces all there is while a device receives frames of which a share is stolen.
fn reading(percent: u8) -> Reading {
    let lab = Lab::new("coverage").unwrap();
    let host = lab.namespace("host").unwrap();
    let mut tap = host.tap("tap0").unwrap();
    let _thief = host.steal("tap0", percent).unwrap();
    let robbed = bypass::Device {
        namespace: host.name().to_owned(),
        name: "tap0".to_owned(),
    };
    assert!(bypass::by_xdp().contains(&robbed));
    let mut live = Live::open(&Settings::default()).unwrap();
    // The mirror needs a moment to find a namespace; then both counts begin.
    std::thread::sleep(Duration::from_millis(1_500));
    live.read().unwrap();
    for number in 0..COUNT {
        tap.write_all(&frame(number as u16)).unwrap();
    }
    Box::new(live).finish().unwrap()
}

fn came(reading: &Reading) -> &Coverage {
    let mut all = reading.coverage.iter();
    all.find(|it| it.device == "tap0" && it.direction == Direction::Receive)
        .unwrap_or_else(|| panic!("{:?}", reading.coverage))
}

#[test]
fn what_is_stolen_is_missing() {
    for percent in [0, 30, 100] {
        let reading = reading(percent);
        let came = came(&reading);
        println!("{percent} %: {came:?}");
        assert_eq!(came.carried, COUNT, "{came:?}");
        let found = came.ratio().unwrap();
        let truth = 1.0 - f64::from(percent) / 100.0;
        assert!((found - truth).abs() < 0.01, "{percent} %: {came:?}");
        // It is known which ones are stolen, and what is not stolen is seen but for the kernel's
        // own skips.
        let left = COUNT - COUNT / 100 * u64::from(percent);
        assert!(
            came.seen <= left && came.seen + 20 >= left,
            "{percent} %: {came:?}"
        );
        assert_eq!(came.is_poor(), percent > 5);
    }
}

#[test]
fn what_comes_while_the_last_packets_are_waited_for_is_not_missing() {
    let story = Story::new(Lab::new("coverage").unwrap(), Duration::ZERO).unwrap();
    story.move_requests(Road::Old).unwrap();
    // Whoever is lost on the wire is waited for at the end, and never comes.
    story.wire.set_loss(0.05);
    let db = TcpServer::start(&story.db, (story.db_at.v4, 5432).into()).unwrap();
    let from = (&story.app, story.app_at.v4.into());
    let users = Users::start(from, db.address(), 8, Duration::from_millis(20));
    let mut live = Live::open(&Settings::default()).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    live.read().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let reading = Box::new(live).finish().unwrap();
    drop(users);

    let mut all = reading.coverage.iter();
    let sent = all
        .find(|it| it.device == "a-r2" && it.direction == Direction::Transmit)
        .unwrap_or_else(|| panic!("{:?}", reading.coverage));
    println!("{sent:?}");
    assert!(sent.carried >= 100 && !sent.is_poor(), "{sent:?}");
}
