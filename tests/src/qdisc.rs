//! Queues on a device: a token bucket that makes packets wait.

use anyhow::{Context, Result};
use nix::libc;

use crate::namespace::Ns;
use crate::netlink::Message;

impl Ns {
    /// Lets at most so many bytes a second leave by a device, after a burst; `limit_bytes` wait,
    /// the rest is dropped.
    pub fn token_bucket(
        &self,
        dev: &str,
        bytes_per_second: u32,
        burst_bytes: u32,
        limit_bytes: u32,
    ) -> Result<()> {
        const PARMS: u16 = 1;
        const BURST: u16 = 6;
        let parms = tbf_qopt(bytes_per_second, limit_bytes);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let message = Message::new(libc::RTM_NEWQDISC, flags, &self.root(dev)?)
            .text(libc::TCA_KIND, "tbf")
            .nest(libc::TCA_OPTIONS, |m| {
                m.attr(PARMS, parms).number(BURST, burst_bytes)
            });
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("put a token bucket on {dev} of {}", self.name()))
    }

    /// Takes a device's queue away; it gets the one that it had at first.
    pub fn remove_qdisc(&self, dev: &str) -> Result<()> {
        let message = Message::new(libc::RTM_DELQDISC, 0, &self.root(dev)?);
        self.rtnetlink()
            .ask(message)
            .with_context(|| format!("take the queue off {dev} of {}", self.name()))
    }

    /// `struct tcmsg` for the root of a device; it becomes `1:`.
    fn root(&self, dev: &str) -> Result<Vec<u8>> {
        const ROOT: u32 = u32::MAX;
        let words = [0, self.index(dev)?, 0x1_0000, ROOT, 0];
        Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
    }
}

/// `struct tc_tbf_qopt`: rate, no peak rate, limit; the burst comes in an attribute of its own.
fn tbf_qopt(bytes_per_second: u32, limit_bytes: u32) -> [u8; 36] {
    let mut bytes = [0; 36];
    // The rate of a `tc_ratespec` is its last word; linklayer 1 is Ethernet.
    bytes[1] = 1;
    bytes[8..12].copy_from_slice(&bytes_per_second.to_ne_bytes());
    bytes[24..28].copy_from_slice(&limit_bytes.to_ne_bytes());
    bytes
}
