//! Two hosts and a router that keeps them in a VRF.

use anyhow::Result;

use super::{Address, Line, where_known};
use crate::lab::Lab;

/// A [`Line`] whose router has both devices in the VRF `red`, with a table of its own.
pub struct Vrf(pub Line);

impl Vrf {
    /// The VRF's route table.
    pub const TABLE: u32 = 10;

    /// Builds it in a lab of its own.
    ///
    /// None where the kernel has no VRF devices (`CONFIG_NET_VRF`).
    pub fn where_known(lab: Lab) -> Result<Option<Self>> {
        where_known(Self::new(lab), "a network with a VRF")
    }

    fn new(lab: Lab) -> Result<Self> {
        let line = Line::new(lab)?;
        let ports = [("r-app", 1), ("r-db", 2)];
        line.router
            .vrf("red", Self::TABLE, &ports.map(|(dev, _)| dev))?;
        for (dev, net) in ports {
            // Joining the VRF took the IPv6 addresses away, and the neighbours of both families.
            let v6 = Address::new(net, 1).v6;
            line.router.address(dev, &format!("{v6}/64"))?;
        }
        let ends = [
            (&line.app, "app0", "r-app", 1),
            (&line.db, "db0", "r-db", 2),
        ];
        for (host, host_dev, dev, net) in ends {
            let mac = host.mac(host_dev)?;
            for ip in Address::new(net, 2).both() {
                line.router.neighbour(dev, ip, mac)?;
            }
        }
        line.lab.settle()?;
        Ok(Self(line))
    }
}
