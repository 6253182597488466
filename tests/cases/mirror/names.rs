//! Who is behind the ends: the processes that the lab started, in namespaces of its own.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use lab::{Lab, Ns};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracer::model::class::{Class, End, Protocol, Service, Tuple};
use tracer::model::hop::{Hop, Namespace, Stage};
use tracer::model::name::{Names, Who};
use tracer::model::reading::{Ends, Node, Parent, Reading};
use tracer::source::mirror::Mirror;
use tracer::source::names;

use crate::against::right;

/// A way from a socket of one namespace to one of another.
fn reading(from: &Ns, to: &Ns, protocol: Protocol, first: Tuple, service: Service) -> Reading {
    let node = |parent, ns: &Ns, stage| Node {
        parent,
        hop: Arc::new(Hop {
            namespace: Namespace {
                name: ns.name().to_owned(),
                cookie: ns.cookie().unwrap_or(ns.inode()),
                inode: ns.inode() as u32,
            },
            device: "eth0".to_owned(),
            ifindex: 2,
            kind: "veth".to_owned(),
            stage,
            next_hop_mac: None,
            previous_hop_mac: None,
        }),
        translated: None,
        packets: 1,
        bytes: 0,
        latency: tracer::model::Histogram::default(),
        total: tracer::model::Histogram::default(),
        born: 0,
        ends: Ends::default(),
    };
    Reading {
        classes: vec![Class {
            source: End::NoAddress,
            destination: End::NoAddress,
            protocol,
            service: Some(service),
            first: Some(first),
            way_back: None,
        }],
        nodes: vec![
            node(Parent::Class(0), from, Stage::Queue),
            node(Parent::Node(0), to, Stage::Deliver),
        ],
        ..Reading::default()
    }
}

/// The packet of a class whose ends are these.
fn tuple(from: SocketAddr, to: SocketAddr) -> Tuple {
    Tuple {
        source: from.ip(),
        destination: to.ip(),
        source_port: from.port(),
        destination_port: to.port(),
    }
}

/// The names of both ends, as they are found at once.
fn told(ns: [&Ns; 2], protocol: Protocol, from: SocketAddr, to: SocketAddr) -> Names {
    let mirror = Mirror::start(Box::new(drop)).unwrap();
    right(&mirror, &ns).unwrap();
    let service = Service::Destination(to.port());
    let mut reading = reading(ns[0], ns[1], protocol, tuple(from, to), service);
    names::Names::default().tell(&mut reading, &mirror);
    reading.names.remove(&0).unwrap_or_default()
}

/// This test's own program: it is all that has sockets in the lab.
fn is_this_test(who: &Who) {
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let Who::Local(processes) = who else {
        panic!("{who:?}");
    };
    let commands: Vec<_> = processes.iter().map(|it| it.command.as_deref()).collect();
    assert_eq!(commands, [Some(own.trim_end())]);
}

fn two(lab: &Lab) -> (Ns, Ns) {
    let (app, db) = (lab.namespace("app").unwrap(), lab.namespace("db").unwrap());
    lab.veth((&app, "eth0"), (&db, "eth0")).unwrap();
    for (ns, last) in [(&app, 1), (&db, 2)] {
        ns.address("eth0", &format!("10.0.1.{last}/24")).unwrap();
        ns.address("eth0", &format!("fd00:1::{last}/64")).unwrap();
    }
    (app, db)
}

#[test]
fn both_ends_of_a_connection_are_named_in_their_namespaces() {
    let lab = Lab::new("names").unwrap();
    let (app, db) = two(&lab);
    // One that listens at all addresses of both families, as most do.
    let listener = db.run(|| TcpListener::bind("[::]:5432").unwrap());
    for to in ["10.0.1.2:5432", "[fd00:1::2]:5432"] {
        let to: SocketAddr = to.parse().unwrap();
        let client = app.run(|| TcpStream::connect(to).unwrap());
        let names = told([&app, &db], Protocol::Tcp, client.local_addr().unwrap(), to);
        is_this_test(&names.source);
        is_this_test(&names.destination);
    }
    drop(listener);
}

#[test]
fn datagrams_have_names_whether_their_socket_is_connected_or_not() {
    let lab = Lab::new("names").unwrap();
    let (app, db) = two(&lab);
    let to: SocketAddr = "10.0.1.2:53".parse().unwrap();
    let server = db.run(|| UdpSocket::bind(to).unwrap());
    for connected in [true, false] {
        let client = app.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        if connected {
            client.connect(to).unwrap();
        }
        let from = SocketAddr::new([10, 0, 1, 1].into(), client.local_addr().unwrap().port());
        let names = told([&app, &db], Protocol::Udp, from, to);
        is_this_test(&names.source);
        is_this_test(&names.destination);
    }
    drop(server);
}

#[test]
fn where_no_socket_is_there_nobody_is_named() {
    let lab = Lab::new("names").unwrap();
    let (app, db) = two(&lab);
    // On the same port, but in another namespace and at another address.
    let wrong = app.run(|| TcpListener::bind("[::]:5432").unwrap());
    let elsewhere = db.run(|| TcpListener::bind("127.0.0.1:5432").unwrap());
    let from = SocketAddr::new(IpAddr::from([10, 0, 1, 1]), 40_000);
    let names = told(
        [&app, &db],
        Protocol::Tcp,
        from,
        "10.0.1.2:5432".parse().unwrap(),
    );
    assert_eq!(names, Names::default());
    drop((wrong, elsewhere));
}

/// Classes of a service each, one after the other, all of a process that has very much open: each of
/// them has its names when it is told for the first time, whatever those before it took.
#[test]
fn a_new_class_waits_for_no_other_one() {
    const OPEN: usize = 2_000;
    const CLASSES: u16 = 60;
    let lab = Lab::new("names").unwrap();
    let (app, db) = two(&lab);
    let mirror = Mirror::start(Box::new(drop)).unwrap();
    right(&mirror, &[&app, &db]).unwrap();
    let (limit, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = OPEN as u64 + 500;
    setrlimit(Resource::RLIMIT_NOFILE, limit.max(wanted), most.max(wanted)).unwrap();
    let open = |_| UdpSocket::bind("0.0.0.0:0").unwrap();
    let open: Vec<UdpSocket> = app.run(|| (0..OPEN).map(open).collect());
    let mut names = names::Names::default();
    let mut sockets = Vec::new();
    let mut all = Reading::default();
    for number in 0..CLASSES {
        let to = SocketAddr::new([10, 0, 1, 2].into(), 5_000 + number);
        let server = db.run(|| UdpSocket::bind(to).unwrap());
        let client = app.run(|| UdpSocket::bind("10.0.1.1:0").unwrap());
        let first = tuple(client.local_addr().unwrap(), to);
        sockets.extend([server, client]);
        let service = Service::Destination(to.port());
        let new = reading(&app, &db, Protocol::Udp, first, service);
        let (class, node) = (all.classes.len(), all.nodes.len());
        all.classes.extend(new.classes);
        all.nodes.extend(new.nodes.into_iter().map(|it| Node {
            parent: match it.parent {
                Parent::Class(_) => Parent::Class(class),
                Parent::Node(parent) => Parent::Node(node + parent),
            },
            ..it
        }));
        names.tell(&mut all, &mirror);
        let told = &all.names[&class];
        is_this_test(&told.source);
        is_this_test(&told.destination);
    }
    drop((open, sockets));
}
