//! A namespace vanishes while it is traced, and another one with its inode takes its place.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::{Lab, Ns, NumberedUdp};
use nix::sched::{CloneFlags, setns, unshare};
use tracer::model::{End, Report, Step};
use tracer::source::live::Live;
use tracer::source::settings::Component;
use tracer::source::{Settings, Source};

use super::account::tell_all;
use super::seen::{check_balance, losses, port, requests};

const PORT: u16 = 9320;

/// Datagrams each way to the first namespace, and to the second.
const FIRST: u64 = 700;
const SECOND: u64 = 300;

/// How long the kernel may take to free an inode, and how often it is asked meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);

/// How often someone else may take the inode.
const ATTEMPTS: u32 = 5;

/// A namespace that stays, and one at the other end of a veth.
struct Pair<'a> {
    lab: &'a Lab,
    here: Ns,
}

impl Pair<'_> {
    fn join(&self, there: &Ns) {
        let (here, lab) = (&self.here, self.lab);
        lab.veth((here, "a0"), (there, "b0")).unwrap();
        here.address("a0", "10.1.0.1/24").unwrap();
        there.address("b0", "10.1.0.2/24").unwrap();
        here.neighbour("a0", [10, 1, 0, 2].into(), there.mac("b0").unwrap())
            .unwrap();
        there
            .neighbour("b0", [10, 1, 0, 1].into(), here.mac("a0").unwrap())
            .unwrap();
        lab.settle().unwrap();
    }

    /// As many datagrams from the one that stays as to it.
    fn exchange(&self, there: &Ns, count: u64) {
        let ends = [(&self.here, [10, 1, 0, 1]), (there, [10, 1, 0, 2])];
        for [from, to] in [[ends[0], ends[1]], [ends[1], ends[0]]] {
            let udp = NumberedUdp {
                count,
                ..NumberedUdp::new((from.0, from.1.into()), (to.0, (to.1, PORT).into()))
            };
            assert_eq!(udp.run().unwrap().received, count);
        }
    }

    /// Deletes a namespace, and makes one of another cookie with the same inode; none when someone
    /// else on this machine was faster.
    fn replace(&self, gone: Ns) -> Option<Ns> {
        let (cookie, inode) = (gone.cookie(), gone.inode());
        self.lab.delete(gone);
        let held = Inodes::up_to(inode)?;
        let new = held.free(|| self.lab.namespace("second").unwrap());
        if new.inode() != inode {
            println!("the inode {inode} went to someone else");
            self.lab.delete(new);
            return None;
        }
        assert_ne!(new.cookie(), cookie);
        Some(new)
    }
}

/// Holds all free inodes up to one that is about to be given away.
///
/// The kernel gives the lowest free inode to whatever asks for one: namespaces of all kinds and
/// the files below `/proc` that a network namespace comes with, the namespace itself first
/// (`proc_alloc_inum`, which Linux 6.18 calls in `preinit_net`). A UTS namespace takes one inode
/// and nothing else.
struct Inodes {
    wanted: File,
    held: Vec<File>,
}

impl Inodes {
    /// Waits until the inode is free, and takes it; none when someone else seems to have it.
    fn up_to(inode: u64) -> Option<Self> {
        let since = Instant::now();
        let mut held = Vec::new();
        while since.elapsed() < PATIENCE {
            let uts = uts_namespace();
            match uts.metadata().unwrap().ino().cmp(&inode) {
                Ordering::Less => held.push(uts),
                Ordering::Equal => return Some(Self { wanted: uts, held }),
                // The one that is gone is not cleaned up yet.
                Ordering::Greater => sleep(STEP),
            }
        }
        println!("the inode {inode} is not free within {PATIENCE:?}");
        None
    }

    /// Gives the wanted inode to what is made next, before any other.
    fn free<T>(self, make: impl FnOnce() -> T) -> T {
        drop(self.wanted);
        let new = make();
        drop(self.held);
        new
    }
}

/// A UTS namespace that lives as long as the file, and no longer: this thread goes back to its own.
fn uts_namespace() -> File {
    const OWN: &str = "/proc/thread-self/ns/uts";
    let own = File::open(OWN).unwrap();
    unshare(CloneFlags::CLONE_NEWUTS).unwrap();
    let new = File::open(OWN).unwrap();
    setns(own, CloneFlags::CLONE_NEWUTS).unwrap();
    new
}

/// Who a namespace is.
#[derive(Debug)]
struct Identity {
    name: String,
    cookie: Option<u64>,
    inode: u64,
}

impl Identity {
    fn of(ns: &Ns) -> Self {
        Self {
            name: ns.name().to_owned(),
            cookie: ns.cookie(),
            inode: ns.inode(),
        }
    }
}

/// Traces two namespaces with the same inode, one after the other.
fn trace_both(settings: impl Fn(&Ns) -> Settings) -> (Report, [Identity; 2]) {
    let attempt = || {
        let lab = Lab::new("returning").unwrap();
        let pair = Pair {
            lab: &lab,
            here: lab.namespace("here").unwrap(),
        };
        let first = lab.namespace("first").unwrap();
        pair.join(&first);
        let before = Identity::of(&first);
        let mut live = Live::open(&settings(&first)).unwrap();
        pair.exchange(&first, FIRST);
        // The agent reads each second, and so learns the name of what it may never see again.
        live.read().unwrap();
        let second = pair.replace(first)?;
        pair.join(&second);
        let after = Identity::of(&second);
        pair.exchange(&second, SECOND);
        let reading = Box::new(live).finish().unwrap();
        check_balance(&reading);
        Some((Report::from_reading(&reading), [before, after]))
    };
    (0..ATTEMPTS)
        .find_map(|_| attempt())
        .expect("an inode comes back")
}

#[test]
fn a_namespace_with_the_inode_of_one_that_vanished_is_another() {
    let (report, [before, after]) = trace_both(|_| port(PORT));
    println!("losses of the whole machine: {}", losses(&report));
    assert_eq!(before.inode, after.inode);
    for (ns, count) in [(before, FIRST), (after, SECOND)] {
        let is_in = |step: &&Step| Some(step.hop.namespace.cookie) == ns.cookie;
        let mut routes = requests(&report, PORT);
        routes.retain(|route| route.steps.iter().any(|step| is_in(&step)));
        assert_eq!(
            routes.len(),
            2,
            "there and back: {}",
            tell_all(&report.routes)
        );
        for route in routes {
            let told = || tell_all([route]);
            assert!(
                route.steps.iter().all(|step| step.packets == count),
                "{}",
                told()
            );
            assert_eq!(
                (route.packets, route.ends.delivered),
                (count, count),
                "{}",
                told()
            );
            let mut its = route.steps.iter().filter(is_in);
            assert!(
                its.all(|step| step.hop.namespace.name == ns.name),
                "{}",
                told()
            );
        }
    }
    let ids: BTreeSet<_> = report.routes.iter().map(|route| route.id).collect();
    assert_eq!(ids.len(), report.routes.len());
}

#[test]
fn a_component_is_not_who_has_the_inode_of_its_namespace() {
    let (report, _) = trace_both(|first| {
        let named = Component {
            name: "named".to_owned(),
            prefixes: vec!["10.1.0.2/32".parse().unwrap()],
            ports: Vec::new(),
            namespace: Some(first.name().to_owned()),
        };
        Settings {
            components: vec![named],
            ..port(PORT)
        }
    });
    let mut routes = requests(&report, PORT);
    routes.retain(|route| route.class.source == End::Component("named".to_owned()));
    let packets: u64 = routes.iter().map(|route| route.packets).sum();
    assert_eq!(packets, FIRST, "{}", tell_all(routes));
}
