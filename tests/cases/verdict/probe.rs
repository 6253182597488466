//! Probes beyond the next hop, against what the routers there really do.

use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use lab::topology::Chain;
use lab::{Direction, Lab};
use tracer::detect::beyond::beyond;
use tracer::model::probe::{Beyond, Probed, Target, Trouble};
use tracer::sink::{Look, probe_text};
use tracer::source::probe::probe;

const PORT: u16 = 5432;
const MS: u64 = 1_000_000;

/// What probes from app to db find; and that their sender keeps its promises.
fn probed(chain: &Chain, is_v4: bool) -> (Probed, Beyond) {
    let at = |it: lab::topology::Address| it.both()[usize::from(!is_v4)];
    let listener = chain
        .db
        .run(|| TcpListener::bind((at(chain.db_at), PORT)))
        .unwrap();
    listener.set_nonblocking(true).unwrap();
    let before = chain.app.counters("app0").unwrap();
    let probed = probe(&Target {
        namespace: chain.app.name().to_owned(),
        device: "app0".to_owned(),
        source: at(chain.app_at),
        destination: at(chain.db_at),
        port: PORT,
    })
    .unwrap();
    let after = chain.app.counters("app0").unwrap();
    let said = beyond(&probed);
    println!("{}", probe_text::to_text(&probed, &said, Look::default()));

    // Resets of what db answers count too; a few packets of neighbour discovery may be among them.
    let sent = (after.tx_packets - before.tx_packets) as f64;
    let seconds = probed.took_ns as f64 / 1e9;
    assert!(sent >= probed.probes.len() as f64, "{sent}");
    assert!(
        sent <= 10.0 * seconds + 10.0,
        "{sent} packets in {seconds} s"
    );
    // The service's program has seen nothing of them.
    assert!(listener.accept().is_err());
    (probed, said)
}

fn chain() -> Chain {
    Chain::new(Lab::new("probe").unwrap()).unwrap()
}

/// `(distance, address)`
fn place(ttl: u8, address: lab::topology::Address, is_v4: bool) -> (u8, IpAddr) {
    (ttl, address.both()[usize::from(!is_v4)])
}

#[track_caller]
fn slow(said: &Beyond) -> (tracer::model::probe::Between, u64) {
    match said.trouble {
        Trouble::Slow { at, more_ns, .. } => (at, more_ns),
        _ => panic!("{said:#?}"),
    }
}

#[test]
fn the_slow_one_of_three_routers_in_a_row_is_named() {
    let chain = chain();
    chain.spread(&[2]).unwrap();
    chain.wires[1].set_delay_of(Direction::Forth, Duration::from_millis(30));

    let (_, said) = probed(&chain, true);
    let (at, more_ns) = slow(&said);
    assert_eq!(at.after, Some(place(2, Chain::middle_at_r1(2), true)));
    assert_eq!(at.before, Some(place(3, Chain::r3_at(1), true)));
    assert!((29 * MS..60 * MS).contains(&more_ns), "{more_ns}");
    assert!(said.bad.is_empty(), "all go the same way: {said:?}");
    let distances: Vec<u8> = said.hops.iter().map(|it| it.ttl).collect();
    assert_eq!(distances, [1, 2, 3, 4]);
}

#[test]
fn a_router_that_does_not_answer_is_said_and_what_is_slow_behind_it_is_found() {
    let chain = chain();
    chain.spread(&[3]).unwrap();
    chain.wires[2].set_delay_of(Direction::Forth, Duration::from_millis(30));
    // It passes on what comes, and knows no way back for words of its own.
    for prefix in ["10.1.0.0/24", "fd00:1::/64"] {
        chain.middle[2].remove_route(prefix).unwrap();
    }

    let (_, said) = probed(&chain, false);
    let silent = said.hops.iter().find(|it| it.ttl == 2).unwrap();
    assert_eq!((silent.address, silent.answered), (None, 0));
    let (at, _) = slow(&said);
    assert_eq!(
        at.after,
        Some(place(1, lab::topology::Address::new(1, 1), false))
    );
    assert_eq!(at.before, Some(place(3, Chain::r3_at(3), false)));
}

/// The source ports that went by a middle router, as the lab's own wire has it.
fn ports_by(probed: &Probed, middle: u8) -> Vec<u16> {
    let router = IpAddr::from(Chain::middle_at_r1(middle).v4);
    let by = probed
        .probes
        .iter()
        .filter(|it| it.ttl == 2 && it.reply.is_some_and(|reply| reply.from == router));
    let mut ports: Vec<u16> = by.map(|it| it.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Probes until some ports go by a middle router and others do not: all eight go past one of three
/// once in 25 times.
fn probed_on_both_sides(chain: &Chain, middle: u8) -> (Probed, Beyond, Vec<u16>) {
    for _ in 0..4 {
        let (probed, said) = probed(chain, true);
        let ports = ports_by(&probed, middle);
        if !ports.is_empty() && ports.len() < probed.ports.len() {
            return (probed, said, ports);
        }
    }
    panic!("r1 spreads no flows");
}

#[test]
fn one_slow_leg_of_three_beyond_the_next_hop_is_told_by_its_source_ports() {
    let chain = chain();
    chain.wires[2].set_delay_of(Direction::Forth, Duration::from_millis(40));

    let (_, mut said, by_m3) = probed_on_both_sides(&chain, 3);
    said.bad.sort_unstable();
    assert_eq!(said.bad, by_m3);
    let (at, more_ns) = slow(&said);
    assert_eq!(at.after, Some(place(2, Chain::middle_at_r1(3), true)));
    assert!((39 * MS..80 * MS).contains(&more_ns), "{more_ns}");
    assert_eq!(said.only_bad, [IpAddr::from(Chain::middle_at_r1(3).v4)]);
}

#[test]
fn one_dead_leg_of_three_beyond_the_next_hop_is_told_by_its_source_ports() {
    let chain = chain();
    chain.wires[1].set_loss(1.0);

    let (_, mut said, by_m2) = probed_on_both_sides(&chain, 2);
    said.bad.sort_unstable();
    assert_eq!(said.bad, by_m2);
    let Trouble::Dead { at } = said.trouble else {
        panic!("{said:#?}");
    };
    assert_eq!(at.after, Some(place(2, Chain::middle_at_r1(2), true)));
}
