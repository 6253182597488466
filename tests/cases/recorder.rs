//! The kernel's own account agrees with the traffic that was sent.

use std::collections::HashSet;

use lab::EventKind::{
    KfreeSkb, NetDevQueue, NetDevStartXmit, NetifReceiveSkb, NetifRx, SkDataReady,
    SkbCopyDatagramIovec, TcpProbe,
};
use lab::{
    Bulk, EventKind, Hook, Lab, Ns, NumberedUdp, Pace, Protocol, Recorder, Recording, TcpPairs,
    TcpServer, Until, now_ns,
};

/// Two hosts whose devices nobody else has: recordings are of the whole machine.
struct Pair {
    a: Ns,
    b: Ns,
    a_dev: String,
    b_dev: String,
    lab: Lab,
}

fn pair(tag: &str) -> Pair {
    let lab = Lab::new("recorder").unwrap();
    let (a, b) = (lab.namespace("a").unwrap(), lab.namespace("b").unwrap());
    let (a_dev, b_dev) = (
        format!("{tag}a{}", std::process::id()),
        format!("{tag}b{}", std::process::id()),
    );
    lab.veth((&a, &a_dev), (&b, &b_dev)).unwrap();
    a.address(&a_dev, "10.1.0.1/24").unwrap();
    b.address(&b_dev, "10.1.0.2/24").unwrap();
    let ([a_ip, b_ip], [a_mac, b_mac]) = (
        [[10, 1, 0, 1], [10, 1, 0, 2]],
        [a.mac(&a_dev).unwrap(), b.mac(&b_dev).unwrap()],
    );
    a.neighbour(&a_dev, b_ip.into(), b_mac).unwrap();
    b.neighbour(&b_dev, a_ip.into(), a_mac).unwrap();
    lab.settle().unwrap();
    Pair {
        a,
        b,
        a_dev,
        b_dev,
        lab,
    }
}

impl Pair {
    fn record(&self, kinds: &[EventKind], count: u64) -> Recording {
        let recorder = Recorder::start_with(&self.lab, kinds).unwrap();
        let to = (&self.b, ([10, 1, 0, 2], 7000).into());
        let delivery = NumberedUdp {
            count,
            ..NumberedUdp::new((&self.a, [10, 1, 0, 1].into()), to)
        }
        .run()
        .unwrap();
        assert_eq!(delivery.lost(), 0);
        recorder.stop().unwrap()
    }
}

#[test]
fn every_datagram_is_seen_once_at_every_hop_in_order_with_its_true_address() {
    let pair = pair("h");
    let start_ns = now_ns();
    let recording = pair.record(&EventKind::ALL, 500);
    assert_eq!((recording.lost, recording.missing.len()), (0, 0));

    let hops = [
        (NetDevQueue, &pair.a_dev),
        (NetDevStartXmit, &pair.a_dev),
        (NetifRx, &pair.b_dev),
        (NetifReceiveSkb, &pair.b_dev),
    ];
    // 64 bytes of payload, UDP, IPv4, and at the sender Ethernet.
    let at = |(kind, dev): (EventKind, &str), len| -> Vec<_> {
        recording
            .at(kind, dev)
            .filter(|event| event.len == Some(len))
            .collect()
    };
    let lens = [106, 106, 92, 92];
    let seen: Vec<_> = hops
        .iter()
        .zip(lens)
        .map(|((kind, dev), len)| at((*kind, dev.as_str()), len))
        .collect();
    for (hop, events) in hops.iter().zip(&seen) {
        assert_eq!(events.len(), 500, "{hop:?}");
        assert!(
            events[0].ts_ns > start_ns && events[499].ts_ns < now_ns(),
            "{hop:?}"
        );
    }
    for i in 0..500 {
        let way: Vec<_> = seen.iter().map(|events| events[i]).collect();
        let skb = way[0].skb.unwrap();
        assert!(way.iter().all(|event| event.skb == Some(skb)), "{way:?}");
        assert!(way.is_sorted_by_key(|event| event.ts_ns), "{way:?}");
        // A hashed address has no upper half; a kernel address has it full.
        assert_eq!(skb >> 47, 0x1_ffff, "{skb:#x}");
    }
}

#[test]
fn a_request_is_seen_until_it_is_read() {
    let pair = pair("t");
    let server = TcpServer::start(&pair.b, ([10, 1, 0, 2], 7000).into()).unwrap();
    let recorder = Recorder::start(&pair.lab).unwrap();
    let from = (&pair.a, [10, 1, 0, 1].into());
    TcpPairs::new(from, server.address()).run().unwrap();
    let recording = recorder.stop().unwrap();
    // The request that `rx` has seen is the one that the socket gets and the server reads.
    let received: HashSet<_> = recording
        .at(NetifRx, &pair.b_dev)
        .map(|event| event.skb)
        .collect();
    for kind in [TcpProbe, SkbCopyDatagramIovec] {
        let same = recording.events.iter().filter(|event| event.kind == kind);
        let same = same.filter(|event| received.contains(&event.skb)).count();
        assert!(same >= 100, "{kind:?}: {same}");
    }
    let ready = recording
        .events
        .iter()
        .filter(|event| event.kind == SkDataReady);
    assert!(ready.filter(|event| event.socket.is_some()).count() >= 200);
}

#[test]
fn a_dropped_datagram_has_a_reason() {
    let pair = pair("d");
    pair.b.drop_port(Hook::Input, Protocol::Udp, 7000).unwrap();
    let recorder = Recorder::start(&pair.lab).unwrap();
    let to = (&pair.b, ([10, 1, 0, 2], 7000).into());
    let delivery = NumberedUdp::new((&pair.a, [10, 1, 0, 1].into()), to)
        .run()
        .unwrap();
    assert_eq!(delivery.lost(), 1000);
    let recording = recorder.stop().unwrap();
    // Freed memory becomes someone else's packet: what ends after a packet was received is that
    // packet once only.
    let mut received = HashSet::new();
    let mut reasons = Vec::new();
    for event in &recording.events {
        let is_ours = event.device.as_deref() == Some(pair.b_dev.as_str());
        match event.kind {
            NetifReceiveSkb if is_ours => {
                received.insert(event.skb);
            }
            KfreeSkb if received.remove(&event.skb) => reasons.push(event.reason),
            _ => {}
        }
    }
    assert!(reasons.len() >= 1000, "{}", reasons.len());
    // 2 is SKB_DROP_REASON_NOT_SPECIFIED.
    let unnamed = reasons.iter().find(|reason| **reason <= Some(2));
    assert_eq!(unnamed, None);
}

#[test]
fn a_flood_is_recorded_whole() {
    let pair = pair("w");
    let before = pair.a.counters(&pair.a_dev).unwrap().tx_packets;
    let recorder = Recorder::start(&pair.lab).unwrap();
    let (from, to) = (
        (&pair.a, [10, 1, 0, 1].into()),
        (&pair.b, ([10, 1, 0, 2], 7000).into()),
    );
    let flood = NumberedUdp {
        count: 50_000,
        pace: Pace::BackToBack,
        ..NumberedUdp::new(from, to)
    };
    flood.run().unwrap();
    Bulk {
        from,
        to,
        streams: 4,
        until: Until::Bytes(20_000_000),
    }
    .run()
    .unwrap();
    let recording = recorder.stop().unwrap();
    assert_eq!(recording.lost, 0);
    let sent = pair.a.counters(&pair.a_dev).unwrap().tx_packets - before;
    assert_eq!(
        recording.at(NetDevStartXmit, &pair.a_dev).count() as u64,
        sent
    );
}
