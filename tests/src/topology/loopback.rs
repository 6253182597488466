//! One host that speaks to itself.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::Address;
use crate::lab::Lab;
use crate::namespace::Ns;

/// One namespace with `lo`.
pub struct Loopback {
    pub host: Ns,
    /// `127.0.0.1`, `::1`
    pub at: Address,
    /// It goes last.
    pub lab: Lab,
}

impl Loopback {
    /// Builds it in a lab of its own.
    pub fn new(lab: Lab) -> Result<Self> {
        Ok(Self {
            host: lab.namespace("host")?,
            at: Address {
                v4: Ipv4Addr::LOCALHOST,
                v6: Ipv6Addr::LOCALHOST,
            },
            lab,
        })
    }
}
