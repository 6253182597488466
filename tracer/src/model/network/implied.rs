//! What the kernel changes without telling it.
//!
//! As `net/ipv4/fib_semantics.c`, `net/ipv4/fib_frontend.c` and `net/ipv4/nexthop.c` of Linux 6.18
//! do.
//! IPv6 tells what goes, as long as `net.ipv6.route.skip_notify_on_dev_down` is off.

use std::net::IpAddr;

use super::{Address, Change, Fact, Family, How, Link, Network, NextHopKind, Path, Route, Table};

/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;

/// `RT_SCOPE_HOST`: the routes of a local address, which outlive their device's being down.
const HOST: u8 = 254;

/// Follows the last of the changes, and what follows from that.
pub(super) fn follow(network: &mut Network, changes: &mut Vec<Change>) {
    let Some(change) = changes.last().cloned() else {
        return;
    };
    match (&change.before, &change.after) {
        (Some(Fact::Link(before)), after) => {
            let after = match after {
                Some(Fact::Link(after)) => Some(after),
                _ => None,
            };
            link_changed(network, before, after, changes);
        }
        (Some(Fact::Address(gone)), None) => address_gone(network, gone, changes),
        (Some(Fact::NextHop(gone)), None) => next_hop_gone(network, gone.id, changes),
        _ => {}
    }
}

fn link_changed(
    network: &mut Network,
    before: &Link,
    after: Option<&Link>,
    changes: &mut Vec<Change>,
) {
    let device = before.index;
    let went_down = before.up && after.is_none_or(|after| !after.up);
    // net/ipv4/nexthop.c, nh_netdev_event: NETDEV_CHANGE flushes too.
    let is_dark = |link: &Link| !link.carrier && !link.running;
    if went_down || after.is_none_or(|after| is_dark(after) && !is_dark(before)) {
        next_hops_of_device_go(network, device, changes);
    }
    if after.is_none() {
        // fib_sync_down_dev, NETDEV_UNREGISTER: one leg lost is all lost.
        let leads_there = |path: &Path| path.legs.iter().any(|leg| leg.device == device);
        routes_go(network, |_, path| leads_there(path), changes);
        left_behind(network, device, changes);
    } else if went_down {
        dead_routes_go(network, device, false, changes);
    }
}

/// What is left of a device's own when it is gone.
fn left_behind(network: &mut Network, device: u32, changes: &mut Vec<Change>) {
    let addresses = network.addresses.values().cloned().map(Fact::Address);
    let neighbours = network.neighbours.values().cloned().map(Fact::Neighbour);
    let of_device = |fact: &Fact| match fact {
        Fact::Address(address) => address.index == device,
        Fact::Neighbour(neighbour) => neighbour.index == device,
        _ => false,
    };
    let left: Vec<Fact> = addresses.chain(neighbours).filter(of_device).collect();
    for fact in left {
        if let Some((before, after)) = network.remove(fact) {
            changes.push(implied(before, after));
        }
    }
}

fn address_gone(network: &mut Network, gone: &Address, changes: &mut Vec<Change>) {
    if Family::of(gone.address) == Family::V6 {
        return;
    }
    let others = || {
        let all = network.addresses.values();
        all.filter(|other| Family::of(other.address) == Family::V4)
    };
    let is_last_of_device = !others().any(|other| other.index == gone.index);
    let is_local_still = others().any(|other| other.address == gone.address);
    if !is_local_still {
        sources_go(network, gone, changes);
    }
    if is_last_of_device {
        // fib_inetaddr_event: as if the device were down, local routes included.
        dead_routes_go(network, gone.index, true, changes);
    }
}

/// `fib_sync_down_addr`: routes whose source address is gone go, in the table of the device.
fn sources_go(network: &mut Network, gone: &Address, changes: &mut Vec<Change>) {
    let master = network.links.get(&gone.index).and_then(|link| link.master);
    let master = master.and_then(|master| network.links.get(&master));
    let table = master.and_then(|link| link.vrf_table).unwrap_or(MAIN);
    let source: IpAddr = gone.address;
    let is_from_there = |id, path: &Path| id == table && path.prefer_source == Some(source);
    routes_go(network, is_from_there, changes);
}

/// `fib_sync_down_dev`: routes all of whose legs are dead go.
fn dead_routes_go(network: &mut Network, device: u32, force: bool, changes: &mut Vec<Change>) {
    let down: Vec<u32> = network
        .links
        .values()
        .filter(|link| !link.up)
        .map(|link| link.index)
        .collect();
    let is_dead = |path: &Path| {
        let leads_there = path.legs.iter().any(|leg| leg.device == device);
        let dead = |leg: u32| leg == device || down.contains(&leg);
        leads_there && (force || path.scope != HOST) && path.legs.iter().all(|leg| dead(leg.device))
    };
    routes_go(network, |_, path| is_dead(path), changes);
}

/// `nexthop_flush_dev`.
fn next_hops_of_device_go(network: &mut Network, device: u32, changes: &mut Vec<Change>) {
    let of_device: Vec<u32> = network
        .next_hops
        .values()
        .filter(|it| matches!(&it.kind, NextHopKind::Leg(leg) if leg.device == device))
        .map(|it| it.id)
        .collect();
    for id in of_device {
        next_hop_goes(network, id, changes);
    }
}

fn next_hop_goes(network: &mut Network, id: u32, changes: &mut Vec<Change>) {
    if let Some(gone) = network.next_hops.remove(&id) {
        changes.push(implied(Some(Fact::NextHop(gone)), None));
        next_hop_gone(network, id, changes);
    }
}

/// `remove_nexthop`: the routes by it go, and it leaves its groups; an empty group goes too.
fn next_hop_gone(network: &mut Network, id: u32, changes: &mut Vec<Change>) {
    let by_it = |path: &Path| path.next_hop == Some(id);
    for family in Family::ALL {
        take(network, family, |_, path| by_it(path), changes);
    }
    let mut empty = Vec::new();
    for group in network.next_hops.values_mut() {
        let before = group.clone();
        let NextHopKind::Group(members) = &mut group.kind else {
            continue;
        };
        members.retain(|&(member, _)| member != id);
        if members.is_empty() {
            empty.push(group.id);
        }
        if *group != before {
            let after = Fact::NextHop(group.clone());
            changes.push(implied(Some(Fact::NextHop(before)), Some(after)));
        }
    }
    for group in empty {
        next_hop_goes(network, group, changes);
    }
}

/// `fib_flush`: IPv4 routes go without a word, but those that refuse packets stay.
fn routes_go(
    network: &mut Network,
    mut condition: impl FnMut(u32, &Path) -> bool,
    changes: &mut Vec<Change>,
) {
    let goes = |id, path: &Path| path.kind < Path::BLACKHOLE && condition(id, path);
    take(network, Family::V4, goes, changes);
}

fn take(
    network: &mut Network,
    family: Family,
    mut condition: impl FnMut(u32, &Path) -> bool,
    changes: &mut Vec<Change>,
) {
    for (&(_, id), table) in network
        .tables
        .iter_mut()
        .filter(|((of, _), _)| *of == family)
    {
        let taken = table.take(|_, path| condition(id, path));
        changes.extend(taken.into_iter().map(|(slot, path)| {
            let route = Route {
                table: id,
                slot,
                path,
            };
            implied(Some(Fact::Route(route)), None)
        }));
    }
    network
        .tables
        .retain(|_, table: &mut Table| !table.is_empty());
}

fn implied(before: Option<Fact>, after: Option<Fact>) -> Change {
    Change {
        before,
        after,
        how: How::Implied,
    }
}
