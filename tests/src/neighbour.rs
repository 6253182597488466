//! Neighbours and bridge entries that are set, so that nothing has to be learned.

use std::net::IpAddr;

use anyhow::{Context, Result};
use nix::libc;

use crate::link::{Mac, family, octets};
use crate::namespace::Ns;
use crate::netlink::Message;

impl Ns {
    /// Says which Ethernet address an IP address has, for good: no ARP, no neighbour discovery.
    pub fn neighbour(&self, dev: &str, ip: IpAddr, mac: Mac) -> Result<()> {
        let body = self.ndmsg(family(ip), dev, libc::NUD_PERMANENT, 0)?;
        let message = new(&body)
            .attr(libc::NDA_DST, octets(ip))
            .attr(libc::NDA_LLADDR, mac.0);
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("tell {} that {ip} is {mac} on {dev}", self.name()))
    }

    /// Forgets a neighbour: the next packet to it waits for ARP or neighbour discovery.
    pub fn forget_neighbour(&self, dev: &str, ip: IpAddr) -> Result<()> {
        let body = self.ndmsg(family(ip), dev, 0, 0)?;
        let message = Message::new(libc::RTM_DELNEIGH, 0, &body).attr(libc::NDA_DST, octets(ip));
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("make {} forget {ip} on {dev}", self.name()))
    }

    /// Says behind which bridge port an Ethernet address is.
    pub fn bridge_entry(&self, port: &str, mac: Mac) -> Result<()> {
        let bridge = libc::AF_BRIDGE as u8;
        let body = self.ndmsg(bridge, port, libc::NUD_NOARP, libc::NTF_MASTER)?;
        self.rtnetlink()
            .ask(new(&body).attr(libc::NDA_LLADDR, mac.0))
            .with_context(|| format!("tell the bridge of {} that {mac} is at {port}", self.name()))
    }

    /// `struct ndmsg`.
    fn ndmsg(&self, family: u8, dev: &str, state: u16, flags: u8) -> Result<Vec<u8>> {
        let mut body = vec![family, 0, 0, 0];
        body.extend(self.index(dev)?.to_ne_bytes());
        body.extend(state.to_ne_bytes());
        body.extend([flags, 0]);
        Ok(body)
    }
}

fn new(body: &[u8]) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    Message::new(libc::RTM_NEWNEIGH, flags, body)
}
