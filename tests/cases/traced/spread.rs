//! Packets over several wires: each leg's share (ECMP) is that of the packets really sent, and what goes
//! out by one device and comes back by another is told so.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use lab::{Insert, Lab, Ns, RouteSpec};
use tracer::model::hop::Stage;
use tracer::model::name::Who;
use tracer::model::{Report, Route};

use super::seen::{answers, losses, port, requests, trace};

const PORT: u16 = 9_700;

/// Flows, and the datagrams of each.
const FLOWS: usize = 600;
const EACH: usize = 5;

const LEGS: usize = 3;

/// Two hosts with three wires between them.
struct Spread {
    app: Ns,
    db: Ns,
    /// Where datagrams are sent to, in both families: an address of none of the wires.
    to: [SocketAddr; 2],
    _lab: Lab,
}

impl Spread {
    fn new() -> Self {
        let lab = Lab::new("spread").unwrap();
        let (app, db) = (lab.namespace("app").unwrap(), lab.namespace("db").unwrap());
        for leg in 0..LEGS {
            let (here, there) = (format!("w{leg}"), format!("d{leg}"));
            lab.veth((&app, &here), (&db, &there)).unwrap();
            for (ns, dev, last) in [(&app, &here, 1), (&db, &there, 2)] {
                ns.address(dev, &format!("10.9.{leg}.{last}/24")).unwrap();
                ns.address(dev, &format!("fd09:{leg}::{last}/64")).unwrap();
            }
            for gateway in [v4(leg), v6(leg)] {
                let mac = db.mac(&there).unwrap();
                app.neighbour(&here, gateway, mac).unwrap();
            }
        }
        db.bridge("srv", &[]).unwrap();
        db.address("srv", "10.8.0.1/32").unwrap();
        db.address("srv", "fd08::1/128").unwrap();
        // By the flow's ports, not by its addresses alone.
        app.sysctl("ipv4/fib_multipath_hash_policy", "1").unwrap();
        app.sysctl("ipv6/fib_multipath_hash_policy", "1").unwrap();
        let to = ["10.8.0.1", "fd08::1"].map(|to| SocketAddr::new(to.parse().unwrap(), PORT));
        Self {
            app,
            db,
            to,
            _lab: lab,
        }
    }

    /// Legs of the route itself.
    fn multipath(&self) {
        for (prefix, gateway) in [
            ("10.8.0.0/16", v4 as fn(usize) -> IpAddr),
            ("fd08::/32", v6),
        ] {
            let legs = (0..LEGS).map(|leg| (Some(gateway(leg)), format!("w{leg}"), 1));
            let spec = RouteSpec {
                legs: legs.collect(),
                ..RouteSpec::to(prefix.parse().unwrap())
            };
            self.app.add_route(Insert::Add, &spec).unwrap();
        }
    }

    /// Legs of a group of next-hop objects, of which the last has half of all.
    fn group(&self) {
        for (base, prefix, gateway) in [
            (10, "10.8.0.0/16", v4 as fn(usize) -> IpAddr),
            (20, "fd08::/32", v6),
        ] {
            for leg in 0..LEGS {
                let (id, via) = (base + leg as u32, gateway(leg));
                let dev = format!("w{leg}");
                let made = self.app.next_hop(id, Some(via), &dev, via.is_ipv6());
                made.unwrap();
            }
            let members = [(base, 1), (base + 1, 1), (base + 2, 2)];
            self.app.next_hop_group(base + 9, &members).unwrap();
            let spec = RouteSpec {
                next_hop: Some(base + 9),
                ..RouteSpec::to(prefix.parse().unwrap())
            };
            self.app.add_route(Insert::Add, &spec).unwrap();
        }
    }

    /// Sends all datagrams of all flows; returns how many left by each device.
    fn send(&self, to: SocketAddr) -> [u64; LEGS] {
        let sent = |leg: usize| self.app.counters(&format!("w{leg}")).unwrap().tx_packets;
        let before = [0, 1, 2].map(sent);
        let any: IpAddr = if to.is_ipv4() {
            [0; 4].into()
        } else {
            [0; 16].into()
        };
        let server = self.db.run(|| UdpSocket::bind((any, PORT)).unwrap());
        self.app.run(|| {
            for _ in 0..FLOWS {
                let flow = UdpSocket::bind((any, 0)).unwrap();
                for _ in 0..EACH {
                    flow.send_to(b"to somewhere", to).unwrap();
                }
            }
        });
        drop(server);
        let after = [0, 1, 2].map(sent);
        std::array::from_fn(|leg| after[leg] - before[leg])
    }
}

fn v4(leg: usize) -> IpAddr {
    [10, 9, leg as u8, 2].into()
}

fn v6(leg: usize) -> IpAddr {
    format!("fd09:{leg}::2").parse().unwrap()
}

/// The shares of legs, by the device that each left by, with the gateway that is told for it.
fn told(report: &Report) -> Vec<(String, Option<IpAddr>, f64)> {
    let routes = requests(report, PORT);
    let steps = routes.iter().flat_map(|route| &route.steps);
    let mut told: Vec<_> = steps
        .filter(|step| step.hop.stage == Stage::Xmit)
        .filter_map(|step| {
            let entry = step.forwarding.as_ref()?.entry.as_ref()?;
            assert_eq!(entry.legs, LEGS);
            Some((step.hop.device.clone(), entry.gateway, step.leg_share?))
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told.dedup();
    told
}

#[test]
fn shares_of_legs_are_those_of_the_packets_that_were_sent() {
    for of_group in [false, true] {
        let spread = Spread::new();
        if of_group {
            spread.group();
        } else {
            spread.multipath();
        }
        for to in spread.to {
            let (sent, report) = trace(&port(PORT), || spread.send(to));
            let all: u64 = sent.iter().sum();
            println!("{to} group {of_group}: {sent:?} {:?}", told(&report));
            assert!(all >= (FLOWS * EACH) as u64, "{sent:?}");
            let told = told(&report);
            assert_eq!(told.len(), LEGS, "{told:?} {}", losses(&report));
            for (leg, (device, gateway, share)) in told.into_iter().enumerate() {
                let expected = sent[leg] as f64 / all as f64;
                let via = if to.is_ipv4() { v4(leg) } else { v6(leg) };
                assert_eq!((device, gateway), (format!("w{leg}"), Some(via)));
                assert!((share - expected).abs() < 0.02, "{share} of {expected}");
            }
            // The other end is here, and known by its socket; this test's program has it.
            let names = &requests(&report, PORT)[0].names;
            assert!(!matches!(names.source, Who::Remote(_)), "{names:?}");
        }
    }
}

/// The device and the neighbour of a namespace that packets of a route left or came by.
fn by(route: &Route, ns: &Ns, stage: Stage) -> Option<(String, Option<IpAddr>)> {
    let is_it = |hop: &tracer::model::Hop| hop.namespace.name == ns.name() && hop.stage == stage;
    let step = route.steps.iter().find(|step| is_it(&step.hop))?;
    let forwarding = step.forwarding.clone()?;
    let peer = match stage {
        Stage::Xmit => forwarding.next_hop.clone(),
        _ => forwarding.previous_hop.clone(),
    };
    let address = peer.and_then(|peer| peer.addresses.first().copied());
    Some((step.hop.device.clone(), address))
}

#[test]
fn out_by_one_device_and_back_by_another() {
    const COUNT: u64 = 50;
    let spread = Spread::new();
    let (app, db) = (&spread.app, &spread.db);
    for ns in [app, db] {
        ns.sysctl("ipv4/conf/all/rp_filter", "0").unwrap();
    }
    for dev in ["w0", "w1"] {
        let key = format!("ipv4/conf/{dev}/rp_filter");
        app.sysctl(&key, "0").unwrap();
    }
    // Known at once, in both directions.
    let back: [IpAddr; 2] = ["10.9.1.1", "fd09:1::1"].map(|it| it.parse().unwrap());
    for gateway in back {
        let mac = app.mac("w1").unwrap();
        db.neighbour("d1", gateway, mac).unwrap();
    }
    app.route("10.8.0.0/16", v4(0), "w0").unwrap();
    app.route("fd08::/32", v6(0), "w0").unwrap();
    db.route("10.9.0.1/32", back[0], "d1").unwrap();
    db.route("fd09:0::1/128", back[1], "d1").unwrap();
    for (to, own) in spread.to.into_iter().zip(["10.9.0.1", "fd09:0::1"]) {
        let own: IpAddr = own.parse().unwrap();
        let ((), report) = trace(&port(PORT), || {
            let server = db.run(|| UdpSocket::bind(to).unwrap());
            let client = app.run(|| UdpSocket::bind((own, 0)).unwrap());
            let mut read = [0; 64];
            for _ in 0..COUNT {
                client.send_to(b"there", to).unwrap();
                let (_, from) = server.recv_from(&mut read).unwrap();
                server.send_to(b"and back", from).unwrap();
                client.recv_from(&mut read).unwrap();
            }
        });
        let (out, back_again) = (requests(&report, PORT), answers(&report, PORT));
        assert_eq!((out.len(), back_again.len()), (1, 1), "{}", losses(&report));
        assert_eq!((out[0].packets, back_again[0].packets), (COUNT, COUNT));
        let (gateway, index) = if to.is_ipv4() { (v4(0), 0) } else { (v6(0), 1) };
        assert_eq!(
            by(out[0], app, Stage::Xmit),
            Some(("w0".to_owned(), Some(gateway)))
        );
        assert_eq!(
            by(back_again[0], db, Stage::Xmit),
            Some(("d1".to_owned(), Some(back[index])))
        );
        let (device, from) = by(back_again[0], app, Stage::Rx).expect("it came back");
        assert_eq!(device, "w1");
        let other_end = if to.is_ipv4() { v4(1) } else { v6(1) };
        assert_eq!(from, Some(other_end));
        assert_eq!(out[0].way_back, Some(back_again[0].id));
    }
}
