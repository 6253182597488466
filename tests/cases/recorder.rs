//! The kernel's own account agrees with the traffic that was sent.

use lab::EventKind::{NetDevQueue, NetDevStartXmit, NetifReceiveSkb, NetifRx};
use lab::{EventKind, Lab, Ns, NumberedUdp, Recorder, Recording, now_ns};

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
