//! Ready-made networks: each names its namespaces, devices and addresses, and is quiet when made.

mod bridged;
mod cabled;
mod chain;
mod line;
mod loopback;
mod nat;
mod story;
mod vlan;
mod vrf;
mod vxlan;
mod wired;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use nix::libc;

use crate::lab::Lab;
use crate::namespace::Ns;

pub use bridged::Bridged;
pub use cabled::Cabled;
pub use chain::Chain;
pub use line::Line;
pub use loopback::Loopback;
pub use nat::Nat;
pub use story::{Road, Story};
pub use vlan::Vlan;
pub use vrf::Vrf;
pub use vxlan::Vxlan;
pub use wired::Wired;

/// Set where the kernel has to have every kind of device.
const NEEDED: &str = "LAB_NEEDS_DEVICES";

/// A network, or none where the kernel says by `EOPNOTSUPP` that it lacks a kind of device; an error
/// even so where `LAB_NEEDS_DEVICES` is set, as in the guests of `cargo xtask vm`.
fn where_known<T>(built: Result<T>, what: &str) -> Result<Option<T>> {
    let is_unknown = |error: &anyhow::Error| {
        let refusal = error.downcast_ref::<io::Error>();
        refusal.and_then(io::Error::raw_os_error) == Some(libc::EOPNOTSUPP)
    };
    match built {
        Ok(network) => Ok(Some(network)),
        Err(error) if is_unknown(&error) && std::env::var_os(NEEDED).is_none() => Ok(None),
        Err(error) => Err(error).with_context(|| format!("build {what}")),
    }
}

/// A host's addresses of both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// `10.<net>.0.<host>`
    pub v4: Ipv4Addr,
    /// `fd00:<net>::<host>`, the numbers as written in the IPv4 address
    pub v6: Ipv6Addr,
}

impl Address {
    /// The host's addresses in one of the lab's networks.
    pub fn new(net: u8, host: u8) -> Self {
        // Read as hexadecimal, the digits are those of the decimal number.
        let digits =
            |n: u8| u16::from(n / 100) << 8 | u16::from(n / 10 % 10) << 4 | u16::from(n % 10);
        Self {
            v4: Ipv4Addr::new(10, net, 0, host),
            v6: Ipv6Addr::new(0xfd00, digits(net), 0, 0, 0, 0, 0, digits(host)),
        }
    }

    /// IPv4, then IPv6.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// A port of the address of the same family as another address.
    pub fn facing(self, peer: IpAddr, port: u16) -> SocketAddr {
        let [v4, v6] = self.both();
        SocketAddr::new(if peer.is_ipv4() { v4 } else { v6 }, port)
    }

    fn assign(self, ns: &Ns, dev: &str) -> Result<()> {
        ns.address(dev, &format!("{}/24", self.v4))?;
        ns.address(dev, &format!("{}/64", self.v6))
    }

    /// An address of the host itself, reachable by routes only.
    fn assign_host(self, ns: &Ns, dev: &str) -> Result<()> {
        ns.address(dev, &format!("{}/32", self.v4))?;
        ns.address(dev, &format!("{}/128", self.v6))
    }
}

/// One end of a link: who, by which device, as which host of the link's network.
type End<'a> = (&'a Ns, &'a str, u8);

/// Joins two ends by veth in a network of their own; each knows the other's Ethernet address.
fn join(lab: &Lab, net: u8, a: End, b: End) -> Result<()> {
    lab.veth((a.0, a.1), (b.0, b.1))?;
    number(net, a, b)?;
    acquaint(net, a, b)?;
    acquaint(net, b, a)
}

/// Gives both ends of a link their addresses.
fn number(net: u8, a: End, b: End) -> Result<()> {
    Address::new(net, a.2).assign(a.0, a.1)?;
    Address::new(net, b.2).assign(b.0, b.1)
}

/// Tells one end the Ethernet address of the other.
fn acquaint(net: u8, (ns, dev, _): End, (peer, peer_dev, host): End) -> Result<()> {
    let mac = peer.mac(peer_dev)?;
    let both = Address::new(net, host).both();
    both.iter().try_for_each(|ip| ns.neighbour(dev, *ip, mac))
}

/// Routes a network of the lab, both families, by a gateway.
fn route(ns: &Ns, net: u8, via: Address, dev: &str) -> Result<()> {
    ns.replace_route(&format!("10.{net}.0.0/24"), via.v4.into(), dev)?;
    ns.replace_route(&format!("fd00:{net}::/64"), via.v6.into(), dev)
}

/// Moves the route to a network of the lab, with the source address of our own packets.
fn route_from(ns: &Ns, net: u8, via: Address, dev: &str, source: Address) -> Result<()> {
    let (v4, v6) = (format!("10.{net}.0.0/24"), format!("fd00:{net}::/64"));
    ns.replace_route_from(&v4, via.v4.into(), dev, source.v4.into())?;
    ns.replace_route_from(&v6, via.v6.into(), dev, source.v6.into())
}
