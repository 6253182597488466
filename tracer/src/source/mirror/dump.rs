//! All that a namespace has, or a part of it, as the kernel dumps it.

use std::collections::BTreeMap;
use std::io;

use super::attributes::Malformed;
use super::decode::{self, RTM_GETNEXTHOP, Routes};
use super::socket::Asker;
use crate::model::network::{Fact, Family, Network, Part, Rows, Told};

/// How often a dump that was overtaken by changes is taken again at once.
const TRIES: usize = 3;

/// All that there is now.
///
/// # Errors
/// When the kernel refuses a dump.
pub(super) fn all(asker: &mut Asker) -> io::Result<Network> {
    let mut network = Network::default();
    for part in [
        Part::Links,
        Part::Addresses,
        Part::Neighbours,
        Part::NextHops,
    ] {
        network.join(self::part(asker, part)?);
    }
    // Each by itself: one that is dumped again begins from nothing, not from a copy of all the rest.
    for family in Family::ALL {
        network.join(part(asker, Part::Rules(family))?);
        let mut tables = Network::default();
        routes(asker, family, None, &mut tables)?;
        network.join(tables);
    }
    Ok(network)
}

/// A part as it is now; of all others there is nothing.
///
/// # Errors
/// When the kernel refuses the dump.
pub(super) fn part(asker: &mut Asker, part: Part) -> io::Result<Network> {
    let mut network = Network::default();
    fill(asker, part, &mut network)?;
    Ok(network)
}

fn fill(asker: &mut Asker, part: Part, network: &mut Network) -> io::Result<()> {
    match part {
        Part::Links => {
            let mut links = Vec::new();
            take(asker, libc::RTM_GETLINK, &[0; 16], &mut links, Vec::push)?;
            for mut link in links {
                speed(asker, &mut link);
                network.push(link);
            }
            Ok(())
        }
        Part::Addresses => add(asker, libc::RTM_GETADDR, &[0; 8], network),
        Part::Neighbours => add(asker, libc::RTM_GETNEIGH, &[0; 12], network),
        Part::NextHops => known(add(asker, RTM_GETNEXTHOP, &[0; 8], network)),
        Part::Rules(family) => {
            let mut body = [0; 12];
            body[0] = number(family);
            known(add(asker, libc::RTM_GETRULE, &body, network))
        }
        Part::Routes(family, table) => routes(asker, family, Some(table), network),
        Part::Exceptions(family, table) => exceptions(asker, family, table, network),
    }
}

/// Asks for a device's speed where its driver may know one.
pub(super) fn speed(asker: &Asker, fact: &mut Fact) {
    if let Fact::Link(link) = fact
        && ["", "bond", "team"].contains(&link.kind.as_str())
        && link.mac.is_some()
        && link.carrier
    {
        link.speed_mbps = asker.speed(&link.name);
    }
}

/// All routes of a table share those of their paths that are alike: a full table has a million
/// routes and few paths.
fn routes(
    asker: &mut Asker,
    family: Family,
    table: Option<u32>,
    network: &mut Network,
) -> io::Result<()> {
    let body = request(family, table, 0);
    let mut routes = Routes::default();
    let add = |tables: &mut BTreeMap<u32, Rows>, kind: u16, _: u16, body: &[u8]| {
        if kind == libc::RTM_NEWROUTE
            && let Some(route) = routes.read(body)?
            // Kernels that can't choose send all tables.
            && route.slot.family() == family
            && table.is_none_or(|table| route.table == table)
        {
            let rows = tables.entry(route.table).or_default();
            rows.push(route.slot, route.path);
        }
        Ok(())
    };
    let mut tables = BTreeMap::new();
    known(take_read(
        asker,
        libc::RTM_GETROUTE,
        &body,
        &mut tables,
        add,
    ))?;
    for (id, rows) in tables {
        network.fill(family, id, rows);
    }
    Ok(())
}

/// What was learnt beside a table (Linux 5.3). IPv4 keeps it at the gateway, and tells it once for
/// each route by that gateway (`fib_dump_info_fnhe`, net/ipv4/route.c).
fn exceptions(
    asker: &mut Asker,
    family: Family,
    table: u32,
    network: &mut Network,
) -> io::Result<()> {
    let body = request(family, Some(table), libc::RTM_F_CLONED);
    let part = Part::Exceptions(family, table);
    let add = |network: &mut Network, fact: Fact| {
        if fact.part() == part {
            network.push(fact);
        }
    };
    known(take(asker, libc::RTM_GETROUTE, &body, network, add))
}

/// `struct rtmsg`, and the table that is asked for.
fn request(family: Family, table: Option<u32>, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 12];
    body[0] = number(family);
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    if let Some(table) = table {
        body.extend(8u16.to_ne_bytes());
        body.extend(libc::RTA_TABLE.to_ne_bytes());
        body.extend(table.to_ne_bytes());
    }
    body
}

fn add(asker: &mut Asker, kind: u16, body: &[u8], network: &mut Network) -> io::Result<()> {
    take(asker, kind, body, network, Network::push)
}

/// What a kernel has not is empty: a table that went with its last route, IPv6 that is off,
/// next-hop objects before Linux 5.3.
fn known(dumped: io::Result<()>) -> io::Result<()> {
    let absent = [libc::ENOENT, libc::EOPNOTSUPP, libc::EAFNOSUPPORT];
    match dumped {
        Err(error)
            if absent
                .iter()
                .any(|&code| error.raw_os_error() == Some(code)) =>
        {
            Ok(())
        }
        dumped => dumped,
    }
}

/// Adds a dump's facts.
fn take<T: Clone>(
    asker: &mut Asker,
    kind: u16,
    body: &[u8],
    into: &mut T,
    add: impl Fn(&mut T, Fact),
) -> io::Result<()> {
    let read = |into: &mut T, kind, flags, body: &[u8]| {
        if let Some(Told::New(fact, _)) = decode::message(kind, flags, body)? {
            add(into, fact);
        }
        Ok(())
    };
    take_read(asker, kind, body, into, read)
}

/// Reads a dump's messages; taken again where the kernel says that it changed meanwhile.
fn take_read<T: Clone>(
    asker: &mut Asker,
    kind: u16,
    body: &[u8],
    into: &mut T,
    mut read: impl FnMut(&mut T, u16, u16, &[u8]) -> Result<(), Malformed>,
) -> io::Result<()> {
    let before = into.clone();
    for attempt in 1.. {
        let mut malformed = false;
        let is_whole = asker.dump(kind, body, &mut |kind, flags, body| {
            malformed |= read(into, kind, flags, body).is_err();
        })?;
        if malformed {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a netlink message is shorter than it says",
            ));
        }
        // One that never is whole is put right by what is told meanwhile.
        if is_whole || attempt == TRIES {
            break;
        }
        into.clone_from(&before);
    }
    Ok(())
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => libc::AF_INET as u8,
        Family::V6 => libc::AF_INET6 as u8,
    }
}
