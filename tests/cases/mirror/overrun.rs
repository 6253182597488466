//! When the kernel has more to tell than it can keep, and when a namespace goes.

use std::net::IpAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lab::{Insert, Lab, Ns, RouteSpec};
use tracer::source::mirror::{Event, Mirror, Note};

use crate::against::{mirrored, right};

/// How long a wrong state may last.
const WRONG: Duration = Duration::from_secs(2);

fn replace(ns: &Ns, via: u8) {
    let via: IpAddr = [10, 0, 1, via].into();
    let spec = RouteSpec {
        legs: vec![(Some(via), "d0".to_owned(), 1)],
        ..RouteSpec::to("172.16.0.0/16".parse().unwrap())
    };
    ns.add_route(Insert::Replace, &spec).unwrap();
}

fn one(lab: &Lab) -> Ns {
    let ns = lab.namespace("a").unwrap();
    ns.bridge("d0", &[]).unwrap();
    ns.address("d0", "10.0.1.1/24").unwrap();
    ns
}

#[test]
fn what_was_not_told_is_right_again_and_the_gap_is_noted() {
    let lab = Lab::new("overrun").unwrap();
    let ns = one(&lab);
    let (tell, notes) = mpsc::channel::<Note>();
    let mirror = Mirror::start(Box::new(move |note| drop(tell.send(note)))).unwrap();
    right(&mirror, &[&ns]).unwrap();
    // As long as somebody looks, the mirror stands still, and the kernel keeps what it can.
    let standing = mirror.seen();
    for round in 0..60_000u32 {
        replace(&ns, 2 + (round % 200) as u8);
    }
    drop(standing);
    let start = Instant::now();
    while right(&mirror, &[&ns]).is_err() {
        assert!(start.elapsed() < WRONG);
    }
    println!("right after {:?}", start.elapsed());
    assert!(start.elapsed() < WRONG);
    assert!(mirror.seen().counts.overruns > 0, "there was none");
    // It is noted after it is put right.
    let gap = loop {
        let note = notes.recv_timeout(WRONG).expect("a note of the gap");
        if let Event::Gap { since } = note.event {
            break (note.namespace.name, since < note.at);
        }
    };
    assert_eq!(gap, (ns.name().to_owned(), true));
}

#[test]
fn a_namespace_is_followed_as_long_as_it_is_there() {
    let lab = Lab::new("gone").unwrap();
    let (tell, notes) = mpsc::channel::<Note>();
    let mirror = Mirror::start(Box::new(move |note| drop(tell.send(note)))).unwrap();
    let ns = one(&lab);
    right(&mirror, &[&ns]).unwrap();
    let (name, inode, cookie) = (ns.name().to_owned(), ns.inode() as u32, ns.cookie());
    {
        let seen = mirror.seen();
        let namespace = &seen.namespaces[&inode].namespace;
        assert_eq!(namespace.name, name);
        assert_eq!(Some(namespace.cookie), cookie.or(Some(u64::from(inode))));
    }
    lab.delete(ns);
    let start = Instant::now();
    while mirror.seen().namespaces.contains_key(&inode) {
        assert!(start.elapsed() < WRONG, "it is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Another one may have its inode at once.
    let next = lab.namespace("a").unwrap();
    right(&mirror, &[&next]).unwrap();
    assert!(
        mirrored(&mirror, &next)
            .unwrap()
            .links()
            .all(|link| link.name != "d0")
    );
    let of_it = notes.try_iter().filter(|note| note.namespace.name == name);
    let events: Vec<bool> = of_it
        .filter_map(|note| match note.event {
            Event::Appeared => Some(true),
            Event::Vanished => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(events, [true, false, true]);
}
