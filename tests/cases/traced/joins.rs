//! No packet is taken for another: each timeline is compared with what the kernel itself recorded
//! of the same run, event by event.
//!
//! The lab's packets differ in length from their neighbours, so that a packet which took the
//! address of another is told by it. tracefs records in the kernel's own code, which shares
//! nothing with the programs under test.

use std::collections::{BTreeMap, HashMap};

use lab::topology::{Address, Bridged, Line};
use lab::{
    Bulk, EventKind, KernelEvent, Lab, Ns, NumberedUdp, Offload, Pace, Recorder, Recording,
    TcpPairs, TcpServer, Until,
};
use tracer::model::Reading;

use super::passages::{Hop, trace_hops};
use super::seen::check_balance;

const PORT: u16 = 9200;

/// The tracepoints that a hop may be.
fn kinds(hop: &Hop) -> &'static [EventKind] {
    match hop.stage.as_str() {
        "queue" => &[EventKind::NetDevQueue],
        "xmit" => &[EventKind::NetDevStartXmit],
        "rx" => &[
            EventKind::NetifRx,
            EventKind::NapiGroReceiveEntry,
            EventKind::NetifReceiveSkbEntry,
        ],
        "receive" => &[EventKind::NetifReceiveSkb],
        _ => &[],
    }
}

/// Traces and records the same work.
fn watch(lab: &Lab, work: impl FnOnce()) -> (Vec<Hop>, Recording, Reading) {
    let recorder = Recorder::start(lab).unwrap();
    let (hops, reading) = trace_hops(PORT, work);
    let recording = recorder.stop().unwrap();
    assert_eq!(recording.lost, 0, "the kernel's recording has a hole");
    (hops, recording, reading)
}

/// The kernel's events with an address and a place on a packet's way, by address, in order.
fn by_address(recording: &Recording) -> HashMap<u64, Vec<&KernelEvent>> {
    let mut by_address: HashMap<u64, Vec<&KernelEvent>> = HashMap::new();
    let hop_kinds = [
        EventKind::NetDevQueue,
        EventKind::NetDevStartXmit,
        EventKind::NetifRx,
        EventKind::NapiGroReceiveEntry,
        EventKind::NetifReceiveSkbEntry,
        EventKind::NetifReceiveSkb,
    ];
    for event in recording
        .events
        .iter()
        .filter(|event| hop_kinds.contains(&event.kind))
    {
        if let Some(skb) = event.skb {
            by_address.entry(skb).or_default().push(event);
        }
    }
    by_address
}

/// What lies between the tracer's numbers for addresses and the addresses: the same for all.
fn distance(hops: &[Hop], recording: &Recording) -> u64 {
    let mut votes: HashMap<u64, usize> = HashMap::new();
    let events = &recording.events;
    for hop in hops.iter().filter(|hop| !kinds(hop).is_empty()).take(200) {
        let near = events.partition_point(|event| event.ts_ns < hop.at_ns.saturating_sub(20_000));
        for event in events[near..]
            .iter()
            .take_while(|event| event.ts_ns < hop.at_ns + 20_000)
        {
            if let (Some(skb), true) = (event.skb, kinds(hop).contains(&event.kind)) {
                *votes.entry(skb.wrapping_sub(hop.tag())).or_default() += 1;
            }
        }
    }
    votes
        .into_iter()
        .max_by_key(|(_, votes)| *votes)
        .expect("some hop is near some event")
        .0
}

/// Bytes from the network header on, as far as a tracepoint tells them.
fn network_len(event: &KernelEvent) -> u32 {
    let has_ethernet = matches!(
        event.kind,
        EventKind::NetDevQueue | EventKind::NetDevStartXmit
    );
    event.len.unwrap() - if has_ethernet { 14 } else { 0 }
}

/// Each timeline is an unbroken run of the kernel's events at one address, all of one packet.
///
/// Where the devices merge packets, they grow on the way in and nowhere else.
fn check(hops: &[Hop], recording: &Recording, merges: bool) {
    let events = by_address(recording);
    let distance = distance(hops, recording);
    let mut timelines: BTreeMap<(u64, u64), Vec<&Hop>> = BTreeMap::new();
    for hop in hops.iter().filter(|hop| !kinds(hop).is_empty()) {
        timelines
            .entry((hop.born_ns, hop.tag()))
            .or_default()
            .push(hop);
    }
    let (mut compared, mut false_joins) = (0u64, 0u64);
    for ((_, tag), mut timeline) in timelines {
        timeline.sort_by_key(|hop| hop.at_ns);
        let at_address = events
            .get(&tag.wrapping_add(distance))
            .expect("the kernel knows the address");
        let places: Vec<usize> = timeline
            .iter()
            .map(|hop| place_of(hop, at_address, timeline[0]))
            .collect();
        for (hop, pair) in timeline[1..].iter().zip(places.windows(2)) {
            let (before, event) = (at_address[pair[0]], at_address[pair[1]]);
            compared += 1;
            let skipped: Vec<_> = at_address[pair[0] + 1..pair[1].max(pair[0] + 1)]
                .iter()
                // A bridge hands a packet up to itself, which is no hop.
                .filter(|event| event.kind != EventKind::NetifReceiveSkbEntry)
                .collect();
            let grows = merges && event.kind == EventKind::NetifReceiveSkb;
            let (len_before, len) = (network_len(before), network_len(event));
            let same_length = len == len_before || grows && len > len_before;
            if !skipped.is_empty() || pair[1] <= pair[0] || !same_length {
                false_joins += 1;
                eprintln!(
                    "false: {hop:?}\n  before {before:?}\n  now {event:?}\n  between {skipped:?}"
                );
            }
        }
    }
    println!("{compared} joins compared, {false_joins} false");
    assert_eq!(false_joins, 0, "of {compared} joins");
    assert!(compared > 0);
}

/// Which of the events at its address a hop is: the last one of its kind at its device up to the
/// hop's moment, since the recorder was attached first and is called first.
fn place_of(hop: &Hop, at_address: &[&KernelEvent], first: &Hop) -> usize {
    let until = at_address.partition_point(|event| event.ts_ns <= hop.at_ns);
    at_address[..until]
        .iter()
        .rposition(|event| {
            kinds(hop).contains(&event.kind) && event.device.as_deref() == Some(&hop.device)
        })
        .unwrap_or_else(|| panic!("no event for {hop:?} of {first:?}"))
}

fn lab() -> Lab {
    Lab::new("joins").unwrap()
}

#[test]
fn requests_and_answers_of_all_lengths() {
    let line = Line::new(lab()).unwrap();
    let from = line.app_at.v4.into();
    let server = TcpServer::start(&line.db, line.db_at.facing(from, PORT)).unwrap();
    let pairs = TcpPairs {
        count: 10_000,
        request_len: |i| 100 + (i * 7 % 997) as usize,
        answer_len: |i| 100 + (i * 13 % 1_009) as usize,
        ..TcpPairs::new((&line.app, from), server.address())
    };
    let (hops, recording, reading) = watch(&line.lab, || {
        pairs.run().unwrap();
    });
    check(&hops, &recording, false);
    check_balance(&reading);
}

fn bulk(line: &Line, from: (&Ns, std::net::IpAddr), to: (&Ns, Address), merges: bool) {
    let bulk = Bulk {
        from,
        to: (to.0, to.1.facing(from.1, PORT)),
        streams: 4,
        until: Until::Bytes(10_000_000),
    };
    let (hops, recording, reading) = watch(&line.lab, || {
        bulk.run().unwrap();
    });
    check(&hops, &recording, merges);
    check_balance(&reading);
}

#[test]
fn bulk_that_is_merged_and_split() {
    let line = Line::new(lab()).unwrap();
    let from = (&line.app, line.app_at.v4.into());
    bulk(&line, from, (&line.db, line.db_at), false);
    for (ns, device) in [(&line.router, "r-app"), (&line.db, "db0")] {
        ns.offload(device, Offload::Gro, true).unwrap();
    }
    line.app.offload("app0", Offload::Tso, false).unwrap();
    bulk(&line, from, (&line.db, line.db_at), true);
}

#[test]
fn floods_and_copies() {
    let bridged = Bridged::new(lab()).unwrap();
    let from = bridged.app_at.v4.into();
    let udp = NumberedUdp {
        count: 20_000,
        pace: Pace::Constant {
            per_second: 20_000.0,
        },
        target: Some(bridged.nowhere.facing(from, PORT)),
        payload_len: |i| 64 + (i * 7 % 997) as usize,
        ..NumberedUdp::new(
            (&bridged.app, from),
            (&bridged.db, bridged.db_at.facing(from, PORT)),
        )
    };
    let (hops, recording, reading) = watch(&bridged.lab, || {
        udp.run().unwrap();
    });
    check(&hops, &recording, false);
    check_balance(&reading);
}
