//! Devices: veth pairs, bridges, VXLAN, VLAN, dummies, and what can be set on any of them.

use std::fmt;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockProtocol;

use crate::lab::Lab;
use crate::namespace::Ns;
use crate::netlink::{Attributes, Message, Netlink};

const IFINFO: usize = 16;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

/// The state of a device that may carry packets (RFC 2863; `IF_OPER_UP` in linux/if.h).
const OPERSTATE_UP: u8 = 6;

/// An Ethernet address; the lab gives them out in the order in which devices are made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A device's counters, as `struct rtnl_link_stats64` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they have the kernel's names")]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

/// The next Ethernet address of a lab, locally administered.
#[derive(Default)]
pub(crate) struct Macs(AtomicU16);

impl Macs {
    fn next(&self) -> Mac {
        let [high, low] = (self.0.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes();
        Mac([2, 0, 0, 0, high, low])
    }
}

impl Lab {
    /// Joins two namespaces by a pair of veth devices, both up.
    pub fn veth(&self, (a, a_dev): (&Ns, &str), (b, b_dev): (&Ns, &str)) -> Result<()> {
        let message = create(a_dev, a.macs().next()).nest(libc::IFLA_LINKINFO, |m| {
            m.text(INFO_KIND, "veth").nest(INFO_DATA, |m| {
                m.nest(VETH_INFO_PEER, |m| {
                    m.raw(&[0; IFINFO])
                        .text(libc::IFLA_IFNAME, b_dev)
                        .attr(libc::IFLA_ADDRESS, b.macs().next().0)
                        .number(libc::IFLA_NET_NS_FD, b.handle().as_raw_fd() as u32)
                })
            })
        });
        a.rtnetlink().ask(message).with_context(|| {
            format!(
                "make veth {a_dev} of {} – {b_dev} of {}",
                a.name(),
                b.name()
            )
        })?;
        a.up(a_dev)?;
        b.up(b_dev)?;
        a.wait_until_up(a_dev)?;
        b.wait_until_up(b_dev)
    }
}

impl Ns {
    /// Makes a bridge over devices that exist, up, without multicast snooping.
    pub fn bridge(&self, dev: &str, ports: &[&str]) -> Result<()> {
        const BR_MCAST_SNOOPING: u16 = 23;
        self.make(dev, "bridge", |m| m.attr(BR_MCAST_SNOOPING, [0]))?;
        let index = self.index(dev)?;
        for port in ports {
            self.set(port, |m| m.number(libc::IFLA_MASTER, index))?;
        }
        self.up(dev)
    }

    /// Makes a VRF with a route table of its own over devices that exist; up.
    pub fn vrf(&self, dev: &str, table: u32, ports: &[&str]) -> Result<()> {
        const TABLE: u16 = 1;
        self.make(dev, "vrf", |m| m.number(TABLE, table))?;
        let index = self.index(dev)?;
        for port in ports {
            self.set(port, |m| m.number(libc::IFLA_MASTER, index))?;
        }
        self.up(dev)
    }

    /// Makes a VXLAN device that sends everything to one remote end and learns nothing; up.
    pub fn vxlan(
        &self,
        dev: &str,
        vni: u32,
        local: Ipv4Addr,
        remote: Ipv4Addr,
        port: u16,
    ) -> Result<()> {
        const ID: u16 = 1;
        const GROUP: u16 = 2;
        const LOCAL: u16 = 4;
        const LEARNING: u16 = 7;
        const PORT: u16 = 15;
        self.make(dev, "vxlan", |m| {
            m.number(ID, vni)
                .attr(GROUP, remote.octets())
                .attr(LOCAL, local.octets())
                .attr(LEARNING, [0])
                .attr(PORT, port.to_be_bytes())
        })?;
        self.up(dev)
    }

    /// Makes a VLAN device over one that exists, named as in `eth0.100`, with its Ethernet address;
    /// up.
    pub fn vlan(&self, below: &str, id: u16) -> Result<()> {
        const ID: u16 = 1;
        let dev = format!("{below}.{id}");
        let message = create(&dev, self.mac(below)?)
            .number(libc::IFLA_LINK, self.index(below)?)
            .nest(libc::IFLA_LINKINFO, |m| {
                m.text(INFO_KIND, "vlan")
                    .nest(INFO_DATA, |m| m.attr(ID, id.to_ne_bytes()))
            });
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("make VLAN device {dev} in {}", self.name()))?;
        self.up(&dev)
    }

    /// Makes a device that swallows what is sent to it; up.
    pub fn dummy(&self, dev: &str) -> Result<()> {
        self.make(dev, "dummy", |m| m)?;
        self.up(dev)
    }

    /// Gives a device an address such as `10.1.0.2/24` or `fd00:1::2/64`, usable at once.
    pub fn address(&self, dev: &str, address: &str) -> Result<()> {
        let net: IpNet = address
            .parse()
            .with_context(|| format!("parse the address {address:?} (as in 10.1.0.2/24)"))?;
        let mut body = vec![
            family(net.addr()),
            net.prefix_len(),
            libc::IFA_F_NODAD as u8,
            0,
        ];
        body.extend(self.index(dev)?.to_ne_bytes());
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let message = Message::new(libc::RTM_NEWADDR, flags, &body)
            .attr(libc::IFA_LOCAL, octets(net.addr()))
            .attr(libc::IFA_ADDRESS, octets(net.addr()));
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("give {dev} of {} the address {address}", self.name()))
    }

    /// Sets the largest packet of a device, in bytes of layer 3.
    pub fn mtu(&self, dev: &str, bytes: u32) -> Result<()> {
        self.set(dev, |m| m.number(libc::IFLA_MTU, bytes))
    }

    /// Sets how many packets a device's queue holds.
    pub fn queue_len(&self, dev: &str, packets: u32) -> Result<()> {
        self.set(dev, |m| m.number(libc::IFLA_TXQLEN, packets))
    }

    /// Sets a device up.
    pub fn up(&self, dev: &str) -> Result<()> {
        self.flags(dev, libc::IFF_UP)
    }

    /// Sets a device down; its IPv6 addresses, routes and neighbours go.
    pub fn down(&self, dev: &str) -> Result<()> {
        self.flags(dev, 0)
    }

    /// Renames a device; since Linux 6.2 it may be up.
    pub fn rename(&self, dev: &str, new: &str) -> Result<()> {
        let index = self.index(dev)?;
        let message =
            Message::new(libc::RTM_SETLINK, 0, &ifinfo(index, 0, 0)).text(libc::IFLA_IFNAME, new);
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("rename {dev} of {} to {new}", self.name()))
    }

    /// Removes a device, and its peer if it is one of a pair.
    pub fn remove(&self, dev: &str) -> Result<()> {
        let message = Message::new(libc::RTM_DELLINK, 0, &[0; IFINFO]).text(libc::IFLA_IFNAME, dev);
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("remove {dev} of {}", self.name()))
    }

    /// Takes a device of the machine's own, under another name, until [`give_back`](Self::give_back).
    ///
    /// For machines that were made for tests: everywhere else their devices are none of ours.
    pub(crate) fn adopt(&self, own: &str, dev: &str) -> Result<()> {
        let index = if_nametoindex(own).with_context(|| format!("find {own}"))?;
        Netlink::open(SockProtocol::NetlinkRoute)?
            .ask(moved(index, self.handle(), dev))
            .with_context(|| format!("take {own} into {}", self.name()))?;
        self.up(dev)?;
        self.wait_until_up(dev)
    }

    /// Gives a device that was [adopted](Self::adopt) back under its own name. With the namespace it would
    /// go back some time later, and under the new name.
    pub(crate) fn give_back(&self, dev: &str, own: &str) -> Result<()> {
        let machine =
            File::open("/proc/self/ns/net").context("open the machine's own namespace")?;
        let index = self.index(dev)?;
        self.rtnetlink()
            .ask(moved(index, &machine, own))
            .with_context(|| format!("give {dev} of {} back", self.name()))
    }

    /// The number of a device, unique in its namespace only.
    pub fn index(&self, dev: &str) -> Result<u32> {
        let link = self.link(dev)?;
        let index = link.get(4..8).context("a link without a number")?;
        Ok(u32::from_ne_bytes(index.try_into()?))
    }

    /// The Ethernet address of a device; an error for one that has none, such as a wire's end.
    pub fn mac(&self, dev: &str) -> Result<Mac> {
        let address = self.link_attribute(dev, libc::IFLA_ADDRESS)?;
        let address = address.try_into().ok();
        Ok(Mac(address.with_context(|| {
            format!("{dev} of {} has no Ethernet address", self.name())
        })?))
    }

    /// Gives a device another Ethernet address; who knows it by the one before has to ask again.
    pub fn set_mac(&self, dev: &str, mac: Mac) -> Result<()> {
        self.set(dev, |m| m.attr(libc::IFLA_ADDRESS, mac.0))
    }

    /// What the kernel has counted at a device.
    pub fn counters(&self, dev: &str) -> Result<Counters> {
        const STATS64: u16 = 23;
        let stats = self.link_attribute(dev, STATS64)?;
        let (numbers, _) = stats.as_chunks();
        let mut numbers = numbers.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        let mut next = || numbers.next().context("a link without counters");
        let [rx_packets, tx_packets, rx_bytes, tx_bytes] = [next()?, next()?, next()?, next()?];
        let [_rx_errors, _tx_errors] = [next()?, next()?];
        Ok(Counters {
            rx_packets,
            tx_packets,
            rx_bytes,
            tx_bytes,
            rx_dropped: next()?,
            tx_dropped: next()?,
        })
    }

    fn make(&self, dev: &str, kind: &str, data: impl FnOnce(Message) -> Message) -> Result<()> {
        let message = create(dev, self.macs().next()).nest(libc::IFLA_LINKINFO, |m| {
            m.text(INFO_KIND, kind).nest(INFO_DATA, data)
        });
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("make {kind} {dev} in {}", self.name()))
    }

    fn set(&self, dev: &str, what: impl FnOnce(Message) -> Message) -> Result<()> {
        let message = Message::new(libc::RTM_SETLINK, 0, &[0; IFINFO]).text(libc::IFLA_IFNAME, dev);
        self.rtnetlink()
            .ask(what(message))
            .with_context(|| format!("set up {dev} of {}", self.name()))
    }

    fn flags(&self, dev: &str, flags: i32) -> Result<()> {
        let body = ifinfo(0, flags, libc::IFF_UP);
        let message = Message::new(libc::RTM_SETLINK, 0, &body).text(libc::IFLA_IFNAME, dev);
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("set {dev} of {} up or down", self.name()))
    }

    fn wait_until_up(&self, dev: &str) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(5);
        while self.link_attribute(dev, libc::IFLA_OPERSTATE)? != [OPERSTATE_UP] {
            if Instant::now() > patience {
                bail!("{dev} of {} did not come up", self.name());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn link_attribute(&self, dev: &str, kind: u16) -> Result<Vec<u8>> {
        let link = self.link(dev)?;
        let mut attributes = Attributes(link.get(IFINFO..).unwrap_or_default());
        let found = attributes.find(|(this, _)| *this == kind);
        Ok(found.map(|(_, value)| value.to_vec()).unwrap_or_default())
    }

    fn link(&self, dev: &str) -> Result<Vec<u8>> {
        let message =
            Message::plain(libc::RTM_GETLINK, 0, &[0; IFINFO]).text(libc::IFLA_IFNAME, dev);
        self.rtnetlink()
            .query(message)
            .with_context(|| format!("look for device {dev} in {}", self.name()))
    }
}

fn create(dev: &str, mac: Mac) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Message::new(libc::RTM_NEWLINK, flags, &[0; IFINFO])
        .text(libc::IFLA_IFNAME, dev)
        .attr(libc::IFLA_ADDRESS, mac.0)
}

/// Moves a device into another namespace, under a name that is free there.
fn moved(index: u32, namespace: &File, name: &str) -> Message {
    Message::new(libc::RTM_SETLINK, 0, &ifinfo(index, 0, 0))
        .number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd() as u32)
        .text(libc::IFLA_IFNAME, name)
}

/// `struct ifinfomsg`: family, type, index, flags, which flags to change.
fn ifinfo(index: u32, flags: i32, change: i32) -> Vec<u8> {
    let words = [0, index, flags as u32, change as u32];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

pub(crate) fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
