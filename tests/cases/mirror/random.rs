//! After any sequence of operations the mirror is as the kernel is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use fastrand::Rng;
use ipnet::IpNet;
use lab::{Insert, Lab, Ns, RouteSpec, RuleSpec};
use tracer::source::mirror::Mirror;

use crate::against::{Right, right};

/// How many sequences there are.
const SEQUENCES: &str = "LAB_MIRROR_SEQUENCES";
/// The first one's seed, to repeat one that failed.
const SEED: &str = "LAB_MIRROR_SEED";
const LONGEST: usize = 12;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Three namespaces: the first two are joined by veth, the third comes and goes.
struct Field {
    lab: Lab,
    left: Ns,
    right: Ns,
    third: Option<Ns>,
}

impl Field {
    fn new() -> Self {
        let lab = Lab::new("mirror").unwrap();
        let (left, right) = (lab.namespace("a").unwrap(), lab.namespace("b").unwrap());
        Self {
            lab,
            left,
            right,
            third: None,
        }
    }

    fn one(&self, random: &mut Rng) -> &Ns {
        match &self.third {
            Some(third) if random.u8(..4) == 0 => third,
            _ if random.bool() => &self.left,
            _ => &self.right,
        }
    }

    fn all(&self) -> Vec<&Ns> {
        [&self.left, &self.right]
            .into_iter()
            .chain(&self.third)
            .collect()
    }
}

const BRIDGES: [&str; 3] = ["d0", "d1", "d2"];
const DEVICES: [&str; 6] = ["d0", "d1", "d2", "v0", "v1", "lo"];

/// Few of everything, so that operations meet one another's things.
struct Few<'a>(&'a mut Rng);

impl Few<'_> {
    fn device(&mut self) -> &'static str {
        self.0.choice(DEVICES).unwrap()
    }

    fn address(&mut self) -> IpAddr {
        let (net, host) = (self.0.u8(1..4), self.0.u8(1..4));
        if self.0.bool() {
            Ipv4Addr::new(10, 0, net, host).into()
        } else {
            Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, host.into()).into()
        }
    }

    fn network_of(address: IpAddr) -> String {
        let len = if address.is_ipv4() { 24 } else { 64 };
        format!("{address}/{len}")
    }

    fn prefix(&mut self, v6: bool) -> IpNet {
        let net = self.0.u8(1..5);
        let len = |a, b, random: &mut Rng| if random.bool() { a } else { b };
        if v6 {
            let address = Ipv6Addr::new(0xfd01, net.into(), 0, 0, 0, 0, 0, 0);
            IpNet::new(address.into(), len(32, 64, self.0))
                .unwrap()
                .trunc()
        } else if self.0.u8(..8) == 0 {
            IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap()
        } else {
            let address = Ipv4Addr::new(172, 16, net, 0);
            IpNet::new(address.into(), len(16, 24, self.0))
                .unwrap()
                .trunc()
        }
    }

    fn of_family(&mut self, v6: bool) -> IpAddr {
        loop {
            let address = self.address();
            if address.is_ipv6() == v6 {
                return address;
            }
        }
    }

    fn route(&mut self) -> RouteSpec {
        let v6 = self.0.bool();
        let prefix = self.prefix(v6);
        let mut spec = RouteSpec {
            table: self.0.choice([254, 254, 100, 1000]).unwrap(),
            metric: self.0.choice([0, 10, 20]).unwrap(),
            protocol: self.0.choice([4, 186]).unwrap(),
            ..RouteSpec::to(prefix)
        };
        match self.0.u8(..8) {
            0 => spec.kind = self.0.choice([6, 7, 8]).unwrap(),
            1 | 2 => spec.next_hop = Some(self.0.u32(1..9)),
            3 | 4 => {
                let legs = self.0.usize(2..4);
                spec.legs = (0..legs)
                    .map(|_| {
                        let weight = self.0.u8(1..4);
                        (Some(self.of_family(v6)), self.device().to_owned(), weight)
                    })
                    .collect();
            }
            5 => spec.legs = vec![(None, self.device().to_owned(), 1)],
            _ => spec.legs = vec![(Some(self.of_family(v6)), self.device().to_owned(), 1)],
        }
        if self.0.u8(..4) == 0 {
            spec.source = Some(self.of_family(v6));
        }
        if self.0.u8(..6) == 0 {
            spec.mtu = Some(1400);
        }
        spec
    }

    fn rule(&mut self) -> RuleSpec {
        let v6 = self.0.bool();
        let mut spec = RuleSpec {
            v6,
            priority: self.0.u32(100..104),
            table: self.0.choice([254, 100, 1000]).unwrap(),
            from: None,
            to: None,
            mark: None,
            input: None,
        };
        match self.0.u8(..4) {
            0 => spec.from = Some(self.prefix(v6)),
            1 => spec.to = Some(self.prefix(v6)),
            2 => spec.mark = Some(self.0.u32(1..4)),
            _ => spec.input = Some(self.device().to_owned()),
        }
        spec
    }
}

/// Does something, or tries to: most of what is refused is worth trying.
fn operate(field: &mut Field, random: &mut Rng) -> String {
    let ns = field.one(random).clone();
    let mut some = Few(random);
    let done = match some.0.u8(..26) {
        0 => (
            "bridge".to_owned(),
            ns.bridge(some.0.choice(BRIDGES).unwrap(), &[]),
        ),
        1 => {
            let (a, b) = (some.device(), some.device());
            (
                format!("veth {a} {b}"),
                field.lab.veth((&field.left, a), (&field.right, b)),
            )
        }
        2 => {
            let dev = some.device();
            (format!("remove {dev}"), ns.remove(dev))
        }
        3 | 4 => {
            let dev = some.device();
            (format!("down {dev}"), ns.down(dev))
        }
        5..=7 => {
            let dev = some.device();
            (format!("up {dev}"), ns.up(dev))
        }
        8..=10 => {
            let (dev, address) = (some.device(), some.address());
            let address = Few::network_of(address);
            (
                format!("address {dev} {address}"),
                ns.address(dev, &address),
            )
        }
        11 => {
            let (dev, address) = (some.device(), some.address());
            let address = Few::network_of(address);
            (
                format!("remove address {dev} {address}"),
                ns.remove_address(dev, &address),
            )
        }
        12..=16 => {
            let spec = some.route();
            let how = [
                Insert::Add,
                Insert::Append,
                Insert::Prepend,
                Insert::Replace,
            ];
            let how = some.0.choice(how).unwrap();
            (format!("{how:?} {spec:?}"), ns.add_route(how, &spec))
        }
        17 => {
            let spec = some.route();
            (format!("delete {spec:?}"), ns.delete_route(&spec))
        }
        18..=24 => decide(&mut some, &ns),
        _ => {
            if let Some(third) = field.third.take() {
                field.lab.delete(third);
                ("no third".to_owned(), Ok(()))
            } else {
                field.third = Some(field.lab.namespace("c").unwrap());
                ("third".to_owned(), Ok(()))
            }
        }
    };
    let (what, result) = done;
    let refused = if result.is_err() { " (refused)" } else { "" };
    format!("{}: {what}{refused}", ns.name())
}

/// Changes what decides over routes: next-hop objects, rules, neighbours.
fn decide(some: &mut Few<'_>, ns: &Ns) -> (String, anyhow::Result<()>) {
    match some.0.u8(..7) {
        0 | 1 => {
            let (id, v6, dev) = (some.0.u32(1..6), some.0.bool(), some.device());
            let via = some.0.bool().then(|| some.of_family(v6));
            (
                format!("next hop {id} {via:?} {dev}"),
                ns.next_hop(id, via, dev, v6),
            )
        }
        2 => {
            let (id, a, b) = (some.0.u32(6..9), some.0.u32(1..6), some.0.u32(1..6));
            (
                format!("group {id}: {a} {b}"),
                ns.next_hop_group(id, &[(a, 1), (b, 3)]),
            )
        }
        3 => {
            let id = some.0.u32(1..9);
            (format!("remove next hop {id}"), ns.remove_next_hop(id))
        }
        4 => {
            let spec = some.rule();
            (format!("{spec:?}"), ns.add_rule(&spec))
        }
        5 => {
            let spec = some.rule();
            (format!("remove {spec:?}"), ns.delete_rule(&spec))
        }
        _ => {
            let (dev, address) = (some.device(), some.address());
            let mac = lab::Mac([2, 0, 0, 1, 0, some.0.u8(..)]);
            (
                format!("neighbour {dev} {address}"),
                ns.neighbour(dev, address, mac),
            )
        }
    }
}

#[test]
fn after_any_sequence_of_operations_the_mirror_is_as_the_kernel_is() {
    let sequences = from_environment(SEQUENCES).unwrap_or(2_000);
    let first = from_environment(SEED).unwrap_or(1);
    let mirror = Mirror::start(Box::new(drop)).unwrap();
    let mut field = Field::new();
    let (mut slowest, mut operations) = (Right::default(), 0);
    let mut done = Vec::new();
    let start = Instant::now();
    for seed in first..first + sequences {
        let mut random = Rng::with_seed(seed);
        for _ in 0..random.usize(1..=LONGEST) {
            done.push(format!("{seed}: {}", operate(&mut field, &mut random)));
            operations += 1;
        }
        let took: Right = right(&mirror, &field.all()).unwrap_or_else(|wrong| {
            let last = &done[done.len().saturating_sub(60)..];
            let counts = mirror.seen().counts;
            panic!(
                "seed {seed}\n{}\n{counts:?}\nwrong: {wrong:#?}",
                last.join("\n")
            );
        });
        if took.after > slowest.after {
            slowest = took;
        }
    }
    let counts = mirror.seen().counts;
    println!(
        "{sequences} sequences, {operations} operations in {:?}; {counts:?}; the slowest after {:?}, before: {:#?}",
        start.elapsed(),
        slowest.after,
        slowest.before
    );
}
