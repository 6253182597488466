//! Messages as the kernel writes them, and as nobody should.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::network::{Exception, Leg, Route};
use crate::source::mirror::socket::each_message;

/// A route as `ip route add 10.2.0.0/16 proto bird metric 32 mtu 1400 nexthop via 10.0.9.1 dev 3
/// weight 2 nexthop via 10.0.9.2 dev 4` makes it.
fn route() -> Vec<u8> {
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes
    };
    let leg = |hops: u8, device: u32, gateway: [u8; 4]| {
        let gateway = attribute(libc::RTA_GATEWAY, &gateway);
        let mut bytes = (8 + gateway.len() as u16).to_ne_bytes().to_vec();
        bytes.extend([0, hops]);
        bytes.extend(device.to_ne_bytes());
        bytes.extend(gateway);
        bytes
    };
    let mtu = attribute(2, &1400u32.to_ne_bytes());
    let legs = [leg(1, 3, [10, 0, 9, 1]), leg(0, 4, [10, 0, 9, 2])].concat();
    [
        vec![libc::AF_INET as u8, 16, 0, 0, 254, 12, 0, 1, 0, 0, 0, 0],
        attribute(libc::RTA_TABLE, &254u32.to_ne_bytes()),
        attribute(libc::RTA_DST, &[10, 2, 0, 0]),
        attribute(libc::RTA_PRIORITY, &32u32.to_ne_bytes()),
        attribute(libc::RTA_METRICS, &mtu),
        attribute(libc::RTA_MULTIPATH, &legs),
    ]
    .concat()
}

#[test]
fn a_route_over_two_legs_is_read_whole() {
    let told = message(libc::RTM_NEWROUTE, 0, &route()).unwrap();
    let Some(Told::New(Fact::Route(Route { table, slot, path }), Place::First)) = told else {
        panic!("{told:?}");
    };
    assert_eq!((table, slot.metric), (254, 32));
    assert_eq!(slot.prefix, "10.2.0.0/16".parse().unwrap());
    assert_eq!((path.protocol, path.mtu()), (12, Some(1400)));
    let leg = |gateway: [u8; 4], device, weight| Leg {
        gateway: Some(gateway.into()),
        device,
        weight,
        onlink: false,
        encapsulation: 0,
    };
    assert_eq!(
        path.legs,
        [leg([10, 0, 9, 1], 3, 2), leg([10, 0, 9, 2], 4, 1)]
    );
}

#[test]
fn a_route_cut_short_anywhere_is_refused_or_less_and_nothing_worse() {
    let route = route();
    let whole = message(libc::RTM_NEWROUTE, 0, &route);
    for end in 0..route.len() {
        assert_ne!(
            message(libc::RTM_NEWROUTE, 0, &route[..end]),
            whole,
            "{end}"
        );
    }
}

/// What a dump of exceptions has of a path MTU: `10.2.0.7 via 10.0.9.1 dev 3 cache mtu 1400`.
#[test]
fn what_was_learnt_of_one_destination_is_an_exception() {
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes
    };
    let [a, b, c, d] = libc::RTM_F_CLONED.to_ne_bytes();
    let body = |len: u8| {
        [
            vec![libc::AF_INET as u8, len, 0, 0, 254, 0, 0, 1, a, b, c, d],
            attribute(libc::RTA_TABLE, &254u32.to_ne_bytes()),
            attribute(libc::RTA_DST, &[10, 2, 0, 7]),
            attribute(libc::RTA_OIF, &3u32.to_ne_bytes()),
            attribute(libc::RTA_GATEWAY, &[10, 0, 9, 1]),
            attribute(libc::RTA_METRICS, &attribute(2, &1400u32.to_ne_bytes())),
        ]
        .concat()
    };
    let expected = Exception {
        table: 254,
        destination: [10, 2, 0, 7].into(),
        device: 3,
        gateway: Some([10, 0, 9, 1].into()),
        mtu: Some(1400),
    };
    assert_eq!(
        message(libc::RTM_NEWROUTE, 0, &body(32)),
        Ok(Some(Told::New(Fact::Exception(expected), Place::First)))
    );
    assert_eq!(message(libc::RTM_NEWROUTE, 0, &body(24)), Ok(None));
}

#[test]
fn messages_of_other_kinds_and_families_are_passed_over() {
    assert_eq!(message(libc::RTM_NEWQDISC, 0, &[]), Ok(None));
    let bridge = [libc::AF_BRIDGE as u8; 16];
    assert_eq!(message(libc::RTM_NEWLINK, 0, &bridge), Ok(None));
    let mut cached = route();
    cached[8..12].copy_from_slice(&libc::RTM_F_CLONED.to_ne_bytes());
    assert_eq!(message(libc::RTM_NEWROUTE, 0, &cached), Ok(None));
}

fn kind() -> impl Strategy<Value = u16> {
    proptest::sample::select(
        KINDS
            .iter()
            .flat_map(|row| [row.0, row.1])
            .collect::<Vec<_>>(),
    )
}

/// Bytes that are attributes now and then, down to some depth.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = proptest::collection::vec(any::<u8>(), 0..24);
    let nested = leaf.prop_recursive(3, 64, 6, |inner| {
        let attribute = (0u16..32, any::<i8>(), inner).prop_map(|(kind, wrong, value)| {
            let len = (value.len() as u16 + 4).wrapping_add_signed(i16::from(wrong / 64));
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        });
        proptest::collection::vec(attribute, 0..6).prop_map(|all| all.concat())
    });
    let family = proptest::sample::select(vec![0u8, 2, 10, 7]);
    (
        family,
        0u8..130,
        proptest::collection::vec(any::<u8>(), 6..16),
        nested,
    )
        .prop_map(|(family, len, header, rest)| [vec![family, len], header, rest].concat())
}

#[test]
fn routes_that_differ_in_their_destinations_share_what_is_read_of_them() {
    let mut routes = Routes::default();
    let mut read = |last: u8, length: u8| {
        let mut message = route();
        message[1] = length;
        let at = message.windows(4).position(|it| it == [10, 2, 0, 0]);
        message[at.unwrap() + 2] = last;
        let told = routes.read(&message).unwrap().unwrap();
        assert_eq!(route::read(&message), Ok(Some(Fact::Route(told.clone()))));
        told
    };
    let (one, other, wider) = (read(0, 24), read(7, 24), read(0, 23));
    let prefixes = [&one, &other, &wider].map(|it| it.slot.prefix.to_string());
    assert_eq!(prefixes, ["10.2.0.0/24", "10.2.7.0/24", "10.2.0.0/23"]);
    assert!(Arc::ptr_eq(&one.path, &other.path) && Arc::ptr_eq(&one.path, &wider.path));
}

proptest! {
    #[test]
    fn what_is_read_once_for_many_is_what_each_says(
        bodies in proptest::collection::vec(body(), 1..4),
        order in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut routes = Routes::default();
        for (which, length) in order {
            let mut body = which.get(&bodies).clone();
            body[1] = length % 34;
            let alone = match route::read(&body) {
                Ok(Some(Fact::Route(route))) => Ok(Some(route)),
                Ok(_) => Ok(None),
                Err(malformed) => Err(malformed),
            };
            prop_assert_eq!(routes.read(&body), alone);
        }
    }

    #[test]
    fn no_bytes_are_too_bad(kind in kind(), flags: u16, body in body()) {
        let _ = message(kind, flags, &body);
    }

    #[test]
    fn no_datagram_is_too_bad(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        each_message(&bytes, &mut |inside| {
            let _ = message(inside.message_type(), inside.flags(), inside.payload());
        });
    }

    #[test]
    fn a_flipped_byte_hurts_nobody(at in 0usize..80, value: u8) {
        let mut route = route();
        let at = at % route.len();
        route[at] = value;
        let _ = message(libc::RTM_NEWROUTE, 0, &route);
    }
}
