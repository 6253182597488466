//! Two hosts in an overlay over a routed underlay.

use anyhow::Result;

use super::{Address, acquaint, number};
use crate::lab::Lab;
use crate::namespace::Ns;
use crate::topology::line::Line;

/// The overlay's devices are `vx-app` and `vx-db`; below them is a [`Line`].
pub struct Vxlan {
    pub app: Ns,
    pub router: Ns,
    pub db: Ns,
    /// In the overlay: `10.5.0.2`, `fd00:5::2`
    pub app_at: Address,
    /// In the overlay: `10.5.0.3`, `fd00:5::3`
    pub db_at: Address,
    /// In the underlay: `10.1.0.2`
    pub app_under: Address,
    /// In the underlay: `10.2.0.2`
    pub db_under: Address,
    /// It goes last.
    pub lab: Lab,
}

impl Vxlan {
    /// The overlay's number.
    pub const VNI: u32 = 42;
    /// The UDP port of the encapsulation, as assigned by IANA (RFC 7348).
    pub const PORT: u16 = 4789;

    /// Builds it in a lab of its own.
    pub fn new(lab: Lab) -> Result<Self> {
        let line = Line::new(lab)?;
        let (app_under, db_under) = (line.app_at, line.db_at);
        let (app, db) = (line.app, line.db);
        app.vxlan("vx-app", Self::VNI, app_under.v4, db_under.v4, Self::PORT)?;
        db.vxlan("vx-db", Self::VNI, db_under.v4, app_under.v4, Self::PORT)?;
        let (a, b) = ((&app, "vx-app", 2), (&db, "vx-db", 3));
        for end in [a, b] {
            // 1500 less the outer Ethernet, IPv4, UDP and VXLAN headers.
            end.0.mtu(end.1, 1450)?;
        }
        number(5, a, b)?;
        acquaint(5, a, b)?;
        acquaint(5, b, a)?;
        line.lab.settle()?;
        Ok(Self {
            app,
            router: line.router,
            db,
            app_at: Address::new(5, 2),
            db_at: Address::new(5, 3),
            app_under,
            db_under,
            lab: line.lab,
        })
    }
}
