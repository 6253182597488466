//! Two hosts and a router that translates addresses, for IPv4.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Result;

use super::{Address, Line};
use crate::firewall::Protocol;
use crate::lab::Lab;
use crate::namespace::Ns;

/// A [`Line`] whose router sends what comes for [`Nat::service`] to the database, and gives what
/// comes from the app its own address, so that the database sees the router only.
pub struct Nat {
    pub app: Ns,
    pub router: Ns,
    pub db: Ns,
    /// `10.1.0.2`
    pub app_at: Address,
    /// `10.2.0.2`
    pub db_at: Address,
    /// `10.1.0.1:8000`, which becomes port 9000 of the database.
    pub service: SocketAddrV4,
    /// `10.2.0.2:9000`
    pub behind: SocketAddrV4,
    /// `10.2.0.1`, which the database sees instead of the app.
    pub mask: Ipv4Addr,
    /// It goes last.
    pub lab: Lab,
}

impl Nat {
    /// Builds it in a lab of its own.
    pub fn new(lab: Lab) -> Result<Self> {
        let Line {
            app,
            router,
            db,
            app_at,
            db_at,
            lab,
        } = Line::new(lab)?;
        let service = SocketAddrV4::new(Address::new(1, 1).v4, 8000);
        let behind = SocketAddrV4::new(db_at.v4, 9000);
        let mask = Address::new(2, 1).v4;
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let there = (*service.ip(), service.port());
            router.dnat(there, protocol, (*behind.ip(), behind.port()))?;
        }
        router.snat("10.1.0.0/24".parse()?, mask)?;
        Ok(Self {
            app,
            router,
            db,
            app_at,
            db_at,
            service,
            behind,
            mask,
            lab,
        })
    }
}
