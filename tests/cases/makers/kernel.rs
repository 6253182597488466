//! What the kernel does of itself is nobody else's, whoever runs on its processors meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use lab::{Lab, advertise};
use tracer::model::journal::{Kind, Who};

use crate::told::{Change, Told, inside, maker};

/// Commands that run on every processor while something happens, and change nothing.
fn among_others<T>(ns: &lab::Ns, happens: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    inside(ns, &["true"]).status().unwrap();
                }
            });
        }
        let made = happens();
        is_over.store(true, Ordering::Relaxed);
        made
    })
}

fn all_are_the_kernels(changes: &[Change]) {
    for change in changes {
        let (kind, name) = (change.subject.kind, &change.subject.name);
        println!("{kind:?} {name} gone {} by {}", change.is_gone, change.who);
    }
    let wrong: Vec<_> = changes.iter().filter_map(maker).collect();
    assert_eq!(wrong, []);
    let unknown = changes.iter().filter(|it| it.who != Who::Kernel).count();
    assert_eq!(unknown, 0);
}

fn find<'a>(changes: &'a [Change], kind: Kind, name: &str) -> Option<&'a Change> {
    let mut changes = changes.iter();
    changes.find(|it| it.subject.kind == kind && it.subject.name.contains(name))
}

#[test]
fn what_a_router_advertises_is_set_and_withdrawn_by_the_kernel() {
    let lab = Lab::new("maker").unwrap();
    let (host, router) = (lab.namespace("h").unwrap(), lab.namespace("r").unwrap());
    lab.veth((&host, "h0"), (&router, "r0")).unwrap();
    host.sysctl("ipv6/conf/h0/accept_ra", "2").unwrap();
    host.sysctl("ipv6/conf/h0/autoconf", "1").unwrap();
    // A router speaks by its link-local address, or is not heard.
    router.address("r0", "fe80::1/64").unwrap();
    let told = Told::start();
    told.changes(&host);
    let prefix = "fd00:9::".parse().unwrap();
    let changes = among_others(&host, || {
        advertise(&router, "r0", prefix, 1_800).unwrap();
        told.changes(&host)
    });
    all_are_the_kernels(&changes);
    assert!(find(&changes, Kind::Route, "::/0 table main").is_some());
    assert!(find(&changes, Kind::Route, "fd00:9::/64 table main").is_some());
    assert!(find(&changes, Kind::Address, "fd00:9::").is_some());

    let changes = among_others(&host, || {
        advertise(&router, "r0", prefix, 0).unwrap();
        told.changes(&host)
    });
    all_are_the_kernels(&changes);
    let gone = find(&changes, Kind::Route, "::/0 table main").expect("it is withdrawn");
    assert!(gone.is_gone);
}

#[test]
fn what_follows_from_a_lost_carrier_is_the_kernels() {
    let lab = Lab::new("maker").unwrap();
    let (host, other) = (lab.namespace("h").unwrap(), lab.namespace("o").unwrap());
    lab.veth((&host, "h0"), (&other, "o0")).unwrap();
    host.address("h0", "10.0.2.1/24").unwrap();
    host.address("h0", "fd00:2::1/64").unwrap();
    let told = Told::start();
    told.changes(&host);
    for is_up in [false, true] {
        let changes = among_others(&host, || {
            let set = if is_up {
                other.up("o0")
            } else {
                other.down("o0")
            };
            set.unwrap();
            told.changes(&host)
        });
        assert!(find(&changes, Kind::Link, "h0").is_some());
        all_are_the_kernels(&changes);
    }
}
