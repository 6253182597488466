//! Two hosts and a router, all on VLANs.

use anyhow::Result;

use super::{Address, End, acquaint, number, route, where_known};
use crate::lab::Lab;
use crate::namespace::Ns;

/// ```text
/// app [app0.100]─[app0]──[r-app]─[r-app.100] router [r-db.200]─[r-db]──[db0]─[db0.200] db
/// ```
///
/// The devices below the VLANs have no addresses.
pub struct Vlan {
    pub app: Ns,
    pub router: Ns,
    pub db: Ns,
    /// `10.1.0.2`, `fd00:1::2`
    pub app_at: Address,
    /// `10.2.0.2`, `fd00:2::2`
    pub db_at: Address,
    /// It goes last.
    pub lab: Lab,
}

impl Vlan {
    /// Builds it in a lab of its own.
    ///
    /// None where the kernel has no VLAN devices (`CONFIG_VLAN_8021Q`).
    pub fn where_known(lab: Lab) -> Result<Option<Self>> {
        where_known(Self::new(lab), "a network of VLANs")
    }

    fn new(lab: Lab) -> Result<Self> {
        let [app, router, db] = ["app", "router", "db"].map(|name| lab.namespace(name));
        let (app, router, db) = (app?, router?, db?);
        join(&lab, 1, 100, (&app, "app0", 2), (&router, "r-app", 1))?;
        join(&lab, 2, 200, (&db, "db0", 2), (&router, "r-db", 1))?;
        router.forwarding(true)?;
        route(&app, 2, Address::new(1, 1), "app0.100")?;
        route(&db, 1, Address::new(2, 1), "db0.200")?;
        lab.settle()?;
        Ok(Self {
            app,
            router,
            db,
            app_at: Address::new(1, 2),
            db_at: Address::new(2, 2),
            lab,
        })
    }
}

/// Joins two ends by veth, and gives both a VLAN device over it with an address of the network.
fn join(lab: &Lab, net: u8, id: u16, a: End, b: End) -> Result<()> {
    lab.veth((a.0, a.1), (b.0, b.1))?;
    a.0.vlan(a.1, id)?;
    b.0.vlan(b.1, id)?;
    let (a_dev, b_dev) = (format!("{}.{id}", a.1), format!("{}.{id}", b.1));
    let (a, b) = ((a.0, &*a_dev, a.2), (b.0, &*b_dev, b.2));
    number(net, a, b)?;
    acquaint(net, a, b)?;
    acquaint(net, b, a)
}
