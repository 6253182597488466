//! Which ends of classes are on this host, and by which sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::model::hop::Stage;
use crate::model::{Class, End, Namespace, Parent, Protocol, Reading, Service};

/// A side of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    Source,
    Destination,
}

/// An end on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// Where its sockets are.
    pub(super) namespace: Namespace,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub(super) protocol: u8,
    /// Its address and port, and the other's, of the class's first packet, as they are here.
    pub(super) own: SocketAddr,
    pub(super) other: SocketAddr,
    /// Whose the service's port is.
    pub(super) service: Role,
    /// The addresses of both ends: other packets of the class have others than the first one.
    pub(super) own_net: IpNet,
    pub(super) other_net: IpNet,
}

/// What an end is to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
    /// Both ports are ephemeral.
    Peer,
}

/// The ends that are on this host: packets are born at their socket's `queue`, or delivered to it.
pub(super) fn local(reading: &Reading) -> BTreeMap<(usize, Side), Local> {
    let mut ends = BTreeMap::new();
    for (index, node) in reading.nodes.iter().enumerate() {
        let side = match (node.hop.stage, node.parent) {
            (Stage::Queue, Parent::Class(_)) => Side::Source,
            (Stage::Deliver | Stage::Read, _) => Side::Destination,
            _ => continue,
        };
        let Some(class) = super::class_of(reading, index) else {
            continue;
        };
        if ends.contains_key(&(class, side)) {
            continue;
        }
        let tuple = node.translated.or(reading.classes[class].first);
        let Some(tuple) = tuple else {
            continue;
        };
        let source = SocketAddr::new(tuple.source, tuple.source_port);
        let destination = SocketAddr::new(tuple.destination, tuple.destination_port);
        let namespace = node.hop.namespace.clone();
        let found = end(
            &reading.classes[class],
            side,
            namespace,
            source,
            destination,
        );
        ends.extend(found.map(|local| ((class, side), local)));
    }
    ends
}

fn end(
    class: &Class,
    side: Side,
    namespace: Namespace,
    source: SocketAddr,
    destination: SocketAddr,
) -> Option<Local> {
    let protocol = match class.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        // Nobody's sockets: the kernel answers, or `ping` asks without a port.
        Protocol::Icmp | Protocol::Other => return None,
    };
    let ((own, own_end), (other, other_end)) = match side {
        Side::Source => ((source, &class.source), (destination, &class.destination)),
        Side::Destination => ((destination, &class.destination), (source, &class.source)),
    };
    let service = match (class.service, side) {
        (None, _) => Role::Peer,
        (Some(Service::Source(_)), Side::Source)
        | (Some(Service::Destination(_)), Side::Destination) => Role::Server,
        (Some(_), _) => Role::Client,
    };
    Some(Local {
        namespace,
        protocol,
        own,
        other,
        service,
        own_net: net(own_end, own.ip()),
        other_net: net(other_end, other.ip()),
    })
}

/// The addresses of an end, as far as they are known here: where the packet's was translated, or a
/// name stands for them, that one alone.
fn net(end: &End, address: IpAddr) -> IpNet {
    let alone = IpNet::from(address);
    match *end {
        End::Prefix(prefix, length) => IpNet::new(prefix, length)
            .ok()
            .filter(|net| net.contains(&address))
            .unwrap_or(alone),
        End::Component(_) | End::NoAddress => alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Tuple, example};

    #[test]
    fn ends_are_local_where_packets_are_born_and_where_they_are_delivered() {
        let mut reading = example::lab();
        reading.classes[0].first = Some(Tuple {
            source: [10, 0, 1, 1].into(),
            destination: [10, 0, 2, 2].into(),
            source_port: 40_000,
            destination_port: 9_000,
        });
        let ends = local(&reading);
        let request = &ends[&(0, Side::Source)];
        assert_eq!(request.namespace.name, "lab-app");
        assert_eq!(request.service, Role::Client);
        let served = &ends[&(0, Side::Destination)];
        assert_eq!(served.namespace.name, "lab-db");
        assert_eq!(served.service, Role::Server);
        assert_eq!((served.own, served.other), (request.other, request.own));
    }

    #[test]
    fn a_translated_address_stands_for_itself_alone() {
        let end = End::Prefix([10, 0, 1, 0].into(), 24);
        let net = |address: [u8; 4]| super::net(&end, address.into()).to_string();
        assert_eq!(net([10, 0, 1, 7]), "10.0.1.0/24");
        assert_eq!(net([192, 168, 0, 1]), "192.168.0.1/32");
    }
}
