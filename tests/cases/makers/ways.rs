//! The ways in which routes are changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime};

use lab::{Insert, Lab, Ns, RouteSpec};
use tracer::model::journal::{Kind, Who};
use tracer::model::network::How;

use crate::told::{Batch, Change, Told, command, inside, ip_called, iproute2, maker, one};

fn routes(changes: &[Change]) -> Vec<&Change> {
    let routes = changes.iter().filter(|it| it.subject.kind == Kind::Route);
    routes.collect()
}

fn run(ns: &Ns, line: &str) -> u32 {
    let words: Vec<&str> = line.split(' ').collect();
    run_words(ns, &words)
}

fn run_words(ns: &Ns, words: &[&str]) -> u32 {
    let mut child = inside(ns, words).spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    pid
}

#[test]
fn a_command_is_named_with_its_ancestry() {
    let lab = Lab::new("maker").unwrap();
    let ns = one(&lab);
    let told = Told::start();
    told.changes(&ns);
    let pid = run(&ns, "ip route add 172.16.0.0/16 via 10.0.1.2");
    let changes = told.changes(&ns);
    let route = routes(&changes)[0];
    println!("{} by {}", route.subject.name, route.who);
    assert_eq!(route.subject.name, "172.16.0.0/16 table main");
    assert_eq!(maker(route), Some(("ip".to_owned(), pid)));
    let Who::Process(process) = &route.who else {
        unreachable!()
    };
    assert_eq!(process.ancestry[1].pid, std::process::id());
}

#[test]
fn what_follows_from_a_command_is_its_too_and_a_carrier_is_the_kernels() {
    let lab = Lab::new("maker").unwrap();
    let ns = one(&lab);
    let other = lab.namespace("b").unwrap();
    lab.veth((&ns, "v0"), (&other, "v1")).unwrap();
    ns.address("v0", "10.0.2.1/24").unwrap();
    run(&ns, "ip route add 172.17.0.0/16 via 10.0.2.2");
    let told = Told::start();
    told.changes(&ns);
    // The other end is set down: here the carrier is lost.
    other.down("v1").unwrap();
    let changes = told.changes(&ns);
    let links: Vec<&Change> = changes
        .iter()
        .filter(|it| it.subject.kind == Kind::Link)
        .collect();
    assert!(!links.is_empty());
    assert!(links.iter().all(|it| it.who == Who::Kernel), "{links:#?}");
    other.up("v1").unwrap();
    told.changes(&ns);
    let pid = run(&ns, "ip link set v0 down");
    let changes = told.changes(&ns);
    for change in &changes {
        println!(
            "{:?} {} {:?} by {}",
            change.subject.kind, change.subject.name, change.how, change.who
        );
    }
    let gone = changes
        .iter()
        .find(|it| it.subject.name.starts_with("172.17"));
    let gone = gone.expect("the route went");
    assert_eq!(
        (gone.how, maker(gone)),
        (How::Implied, Some(("ip".to_owned(), pid)))
    );
    let wrong = changes
        .iter()
        .filter_map(maker)
        .find(|(name, of)| name != "ip" || *of != pid);
    assert_eq!(wrong, None);
}

/// Whether each route was made by whom the test knows, and how many are unknown; a wrong name is an
/// end.
fn judge(changes: &[Change], truth: &BTreeMap<String, (String, u32)>) -> usize {
    let mut unknown = 0;
    for (name, made) in truth {
        let of = |it: &&Change| it.subject.name == *name && !it.is_gone;
        let change = changes.iter().find(of);
        let change = change.unwrap_or_else(|| panic!("{name} was not told"));
        match maker(change) {
            None => unknown += 1,
            Some(named) => assert_eq!(named, *made, "{name}: {}", change.who),
        }
    }
    unknown
}

#[test]
fn a_thousand_commands_that_are_gone_at_once_have_their_own_names() {
    const THREADS: u32 = 4;
    const EACH: u32 = 250;
    let lab = Lab::new("maker").unwrap();
    let ns = one(&lab);
    let folder = std::env::temp_dir().join(format!("tracer-makers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ips: Vec<PathBuf> = (0..THREADS)
        .map(|number| ip_called(&folder, &format!("ip-{number}")))
        .collect();
    let told = Told::start();
    told.changes(&ns);
    let start = Instant::now();
    let truth: BTreeMap<String, (String, u32)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (ns, ip) = (&ns, &ips[thread as usize]);
                scope.spawn(move || {
                    let one = |number: u32| {
                        let prefix = format!("172.{}.{number}.0/24", 16 + thread);
                        let line = format!("{} route add {prefix} via 10.0.1.2", ip.display());
                        let pid = run(ns, &line);
                        (format!("{prefix} table main"), (command(ip), pid))
                    };
                    (0..EACH).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let took = start.elapsed();
    let changes = told.changes(&ns);
    std::fs::remove_dir_all(&folder).unwrap();
    let unknown = judge(&changes, &truth);
    println!(
        "{} commands in {took:?}: {unknown} unknown, none wrong",
        truth.len()
    );
    assert_eq!(truth.len(), 1_000);
    assert!(unknown <= 10, "{unknown}");
}

#[test]
fn a_port_says_nothing_about_a_process() {
    let lab = Lab::new("maker").unwrap();
    let ns = one(&lab);
    let folder = std::env::temp_dir().join(format!("tracer-ports-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (first, second) = (ip_called(&folder, "first"), ip_called(&folder, "second"));
    let told = Told::start();
    told.changes(&ns);
    // In a pid namespace of its own the command's number, and so its port, is that of the host's
    // first process; then two commands have the same number there.
    let script = format!(
        "{0} route add 172.16.1.0/24 via 10.0.1.2
         echo 100 > /proc/sys/kernel/ns_last_pid; {0} route add 172.16.2.0/24 via 10.0.1.2
         echo 100 > /proc/sys/kernel/ns_last_pid; {1} route add 172.16.3.0/24 via 10.0.1.2; true",
        first.display(),
        second.display()
    );
    run_words(&ns, &["unshare", "--pid", "--fork", "sh", "-c", &script]);
    // The lab's own sockets: this process has several, and only one has its number.
    let spec = RouteSpec {
        legs: vec![(Some([10, 0, 1, 2].into()), "d0".to_owned(), 1)],
        ..RouteSpec::to("172.16.4.0/24".parse().unwrap())
    };
    ns.add_route(Insert::Add, &spec).unwrap();
    // As `ip netns exec` does it.
    let exec = iproute2().map(|ip| {
        let mut child = Command::new(ip)
            .args(["netns", "exec", ns.name()])
            .args(["ip", "route", "add", "172.16.5.0/24", "via", "10.0.1.2"])
            .spawn()
            .unwrap();
        let pid = child.id();
        child.wait().unwrap();
        pid
    });
    let changes = told.changes(&ns);
    std::fs::remove_dir_all(&folder).unwrap();
    let by = |number: u8| {
        let name = format!("172.16.{number}.0/24 table main");
        let change = changes.iter().find(|it| it.subject.name == name);
        let change = change.unwrap_or_else(|| panic!("{name} was not told"));
        println!("{name} by {}", change.who);
        maker(change).expect("a process")
    };
    for (number, path) in [(1, &first), (2, &first), (3, &second)] {
        let (name, pid) = by(number);
        assert_eq!(name, command(path));
        assert!(
            pid > 1 && pid != 101,
            "{pid} is a number of the inner namespace"
        );
    }
    assert_ne!(by(2).1, by(3).1);
    assert_eq!(by(4).1, std::process::id());
    if let Some(pid) = exec {
        assert_eq!(by(5), ("ip".to_owned(), pid));
    }
}

#[test]
fn a_daemon_is_named_and_its_protocol_stands_beside() {
    let lab = Lab::new("maker").unwrap();
    let ns = one(&lab);
    let folder = std::env::temp_dir().join(format!("tracer-daemon-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let daemon = ip_called(&folder, "bgpd");
    let told = Told::start();
    told.changes(&ns);
    let mut batch = Batch::start(&ns, daemon.to_str().unwrap());
    let pid = batch.0.id();
    let mut truth = BTreeMap::new();
    for number in 0..5_000u32 {
        let prefix = format!("100.{}.{}.0/24", number / 250, number % 250);
        batch.line(&format!("route add {prefix} via 10.0.1.2 proto bgp"));
        truth.insert(format!("{prefix} table main"), ("bgpd".to_owned(), pid));
    }
    batch.end();
    let changes = told.changes(&ns);
    std::fs::remove_dir_all(&folder).unwrap();
    let unknown = judge(&changes, &truth);
    println!(
        "{} routes of one daemon: {unknown} unknown, none wrong",
        truth.len()
    );
    assert!(unknown <= 50, "{unknown}");
}

#[test]
fn how_soon_a_change_is_told() {
    let lab = Lab::new("maker").unwrap();
    let ns = one(&lab);
    let told = Told::start();
    told.changes(&ns);
    let mut delays = Vec::new();
    for number in 0..200u8 {
        let spec = RouteSpec {
            legs: vec![(Some([10, 0, 1, 2].into()), "d0".to_owned(), 1)],
            ..RouteSpec::to(format!("172.16.{number}.0/24").parse().unwrap())
        };
        ns.add_route(Insert::Add, &spec).unwrap();
        let done = SystemTime::now();
        let change = told.next(&ns);
        assert_eq!(maker(&change).map(|it| it.1), Some(std::process::id()));
        delays.push(change.at.duration_since(done).unwrap_or_default());
    }
    delays.sort_unstable();
    println!(
        "told after {:?} (p50), {:?} (p99), {:?} at most",
        delays[100], delays[197], delays[199]
    );
}
