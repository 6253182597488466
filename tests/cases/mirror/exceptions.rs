//! What the kernel learns of single destinations: path MTUs and redirects.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lab::{Lab, Mac, Ns};
use nix::sys::socket::{setsockopt, sockopt};
use tracer::model::forwarding::{FibEntry, Forwarding};
use tracer::model::journal::{Kind, subject, text};
use tracer::source::mirror::{Event, Mirror, Note, Ways};

use crate::against::right;
use crate::ways::reading;

/// ```text
/// app [app0]──┐           ┌──[r1]  r1  [out]──[db0] db
///             ├──[switch]─┤
///             │           └──[r2]  r2
/// ```
///
/// What goes from r1 to db has to be smaller, and for what r2 is better for, r1 says so.
struct Field {
    app: Ns,
    r1: Ns,
    r2: Ns,
    db: Ns,
    _switch: Ns,
    _lab: Lab,
}

const SMALL: u32 = 1_400;

impl Field {
    fn new() -> Self {
        let lab = Lab::new("learnt").unwrap();
        let [app, r1, r2] = ["app", "r1", "r2"].map(|name| lab.namespace(name).unwrap());
        let [db, switch] = ["db", "switch"].map(|name| lab.namespace(name).unwrap());
        let hosts = [(&app, "app0", 2), (&r1, "r1", 1), (&r2, "r2", 3)];
        for (ns, dev, last) in hosts {
            lab.veth((ns, dev), (&switch, dev)).unwrap();
            ns.address(dev, &format!("10.1.0.{last}/24")).unwrap();
            for net in ["fd01", "fe80"] {
                ns.address(dev, &format!("{net}::{last}/64")).unwrap();
            }
        }
        switch.bridge("br0", &["app0", "r1", "r2"]).unwrap();
        lab.veth((&r1, "out"), (&db, "db0")).unwrap();
        for (ns, dev, last) in [(&r1, "out", 1), (&db, "db0", 2)] {
            ns.address(dev, &format!("10.2.0.{last}/24")).unwrap();
            ns.address(dev, &format!("fd02::{last}/64")).unwrap();
            ns.mtu(dev, SMALL).unwrap();
        }
        for router in [&r1, &r2] {
            router.forwarding(true).unwrap();
        }
        for (there, gateway) in [("10.1.0.0/24", "10.2.0.1"), ("fd01::/64", "fd02::1")] {
            db.route(there, gateway.parse().unwrap(), "db0").unwrap();
        }
        for prefix in ["10.2.0.0/24", "10.3.0.0/24"] {
            app.route(prefix, at(false, 1), "app0").unwrap();
        }
        app.route("fd02::/64", at(true, 1), "app0").unwrap();
        // IPv6 sends and takes redirects between link-local addresses only (RFC 4861, section 8).
        app.route("fd03::/64", link_local(1), "app0").unwrap();
        r1.route("fd03::/64", link_local(3), "r1").unwrap();
        app.sysctl("ipv6/conf/app0/accept_redirects", "1").unwrap();
        // Whatever the host's defaults are.
        for (ns, key) in [(&app, "accept_redirects"), (&r1, "send_redirects")] {
            let dev = if key.starts_with("accept") {
                "app0"
            } else {
                "r1"
            };
            for dev in ["all", dev] {
                let key = format!("ipv4/conf/{dev}/{key}");
                ns.sysctl(&key, "1").unwrap();
            }
        }
        r1.route("10.3.0.0/24", at(false, 3), "r1").unwrap();
        lab.settle().unwrap();
        Self {
            app,
            r1,
            r2,
            db,
            _switch: switch,
            _lab: lab,
        }
    }

    /// Sends large datagrams, so many that the kernel learns.
    fn send(&self, to: &str) {
        let to = SocketAddr::new(to.parse().unwrap(), 9);
        let any: IpAddr = if to.is_ipv4() {
            [0; 4].into()
        } else {
            [0; 16].into()
        };
        self.app.run(|| {
            let socket = UdpSocket::bind((any, 0)).unwrap();
            // Of others the kernel heeds no redirect of IPv6 (`ip6_sk_redirect`, net/ipv6/route.c).
            setsockopt(&socket, sockopt::BindToDevice, &"app0".into()).unwrap();
            for _ in 0..8 {
                socket.send_to(&[0; 1_420], to).unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
    }

    fn mac(&self, of: &str) -> Mac {
        let ns = if of == "r1" { &self.r1 } else { &self.r2 };
        ns.mac(of).unwrap()
    }
}

/// A link-local address at the switch's network: labs give out none by themselves.
fn link_local(last: u8) -> IpAddr {
    format!("fe80::{last}").parse().unwrap()
}

/// An address of the switch's network.
fn at(v6: bool, last: u8) -> IpAddr {
    let text = if v6 {
        format!("fd01::{last}")
    } else {
        format!("10.1.0.{last}")
    };
    text.parse().unwrap()
}

/// How app's own packets to a destination are told to go on, by the device of a router; when
/// something is as it has to be.
#[track_caller]
fn wait(
    ways: &mut Ways,
    field: &Field,
    to: &str,
    by: &str,
    is_there: impl Fn(&FibEntry) -> bool,
) -> Forwarding {
    let start = Instant::now();
    let to: IpAddr = to.parse().unwrap();
    loop {
        let ends = [at(to.is_ipv6(), 2), to];
        let mut reading = reading(&field.app, None, ends, ("app0", field.mac(by)));
        ways.tell(&mut reading);
        let told = reading.forwarding.remove(&0).unwrap_or_default();
        if told.entry.as_ref().is_some_and(&is_there) {
            return Arc::unwrap_or_clone(told);
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{to}: {told:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The changes that are told of what was learnt.
fn learnt(notes: &Receiver<Note>, field: &Field) -> Vec<(String, Option<String>)> {
    let ours = notes
        .try_iter()
        .filter(|note| note.namespace.name == field.app.name());
    ours.filter_map(|note| {
        let Event::Changed(changed) = note.event else {
            return None;
        };
        let change = &changed.change;
        let fact = change.after.as_ref().or(change.before.as_ref())?;
        let subject = subject(fact, &changed.devices);
        let after = change.after.as_ref().map(|it| text(it, &changed.devices));
        (subject.kind == Kind::Exception).then_some((subject.name, after))
    })
    .collect()
}

#[test]
fn path_mtus_and_redirects_are_told_beside_the_entries_that_they_are_exceptions_of() {
    let field = Field::new();
    // Known before anyone looks.
    field.send("10.2.0.2");
    let (sender, notes) = channel();
    let tell = Box::new(move |note| drop(sender.send(note)));
    let mut ways = Ways::new(Mirror::start(tell).unwrap());
    right(ways.mirror(), &[&field.app]).unwrap();
    let has_mtu = |entry: &FibEntry| entry.path_mtu == Some(SMALL);
    let told = wait(&mut ways, &field, "10.2.0.2", "r1", has_mtu);
    let entry = told.entry.unwrap();
    assert_eq!((entry.mtu, entry.redirect), (None, None));
    assert_eq!(entry.gateway, Some(at(false, 1)));
    assert_eq!(learnt(&notes, &field), [], "a first look is no change");
    // The first look at the other family's table.
    let dumps = |ways: &Ways| ways.mirror().seen().counts.dumps;
    let before = dumps(&ways);
    wait(&mut ways, &field, "fd02::2", "r1", |entry| {
        entry.path_mtu.is_none()
    });
    while dumps(&ways) == before {
        std::thread::sleep(Duration::from_millis(20));
    }

    // Learnt while the tables are in use: seen by the next look, half a minute later.
    field.send("fd02::2");
    field.send("10.3.0.9");
    field.send("fd03::9");
    wait(&mut ways, &field, "fd02::2", "r1", has_mtu);
    let [first, second] = [1, 3].map(link_local);
    let told = wait(&mut ways, &field, "fd03::9", "r2", |it| {
        it.redirect == Some(second)
    });
    assert_eq!(told.entry.unwrap().gateway, Some(first));
    let addresses = told.next_hop.unwrap().addresses;
    assert!(addresses.contains(&second), "{addresses:?}");
    let told = wait(&mut ways, &field, "fd03::9", "r1", |_| true);
    assert_eq!(told.entry.unwrap().redirect, None);
    let (to, r2) = ("10.3.0.9", at(false, 3));
    let told = wait(&mut ways, &field, to, "r2", |it| it.redirect == Some(r2));
    assert_eq!(told.entry.unwrap().gateway, Some(at(false, 1)));
    assert_eq!(told.next_hop.unwrap().addresses.first(), Some(&r2));
    // Packets that went to the first router went by the route.
    let told = wait(&mut ways, &field, to, "r1", |_| true);
    assert_eq!(told.entry.unwrap().redirect, None);
    let mut told = learnt(&notes, &field);
    told.sort();
    println!("{told:#?}");
    let better = format!("fd03::9 via {second} dev app0 table main");
    let expected = [
        ("10.3.0.9 via 10.1.0.3 dev app0 table main", " cache"),
        ("fd02::2 via fd01::1 dev app0 table main", " cache mtu 1400"),
        (&*better, " cache"),
    ];
    let expected = expected.map(|(name, state)| (name.to_owned(), Some(format!("{name}{state}"))));
    assert_eq!(told, expected);
    drop(field.db);
}
