//! Hosts on one bridge.

use anyhow::Result;

use super::{Address, acquaint};
use crate::lab::Lab;
use crate::link::Mac;
use crate::namespace::Ns;

/// ```text
/// app   [app0]──[b-app]┐
/// db     [db0]──[b-db]─┤ br0 (switch)
/// third [third0]──[b-third]┘
/// ```
///
/// The bridge knows where each host is, so nothing is flooded; what goes to
/// [`Bridged::nowhere`] is, and reaches all ports.
pub struct Bridged {
    pub app: Ns,
    pub db: Ns,
    pub third: Ns,
    pub switch: Ns,
    /// `10.1.0.2`, `fd00:1::2`
    pub app_at: Address,
    /// `10.1.0.3`, `fd00:1::3`
    pub db_at: Address,
    /// `10.1.0.4`, `fd00:1::4`
    pub third_at: Address,
    /// `10.1.0.9`, `fd00:1::9`: app believes that someone is there, at an unknown Ethernet address.
    pub nowhere: Address,
    /// It goes last.
    pub lab: Lab,
}

impl Bridged {
    /// Builds it in a lab of its own.
    pub fn new(lab: Lab) -> Result<Self> {
        let [app, db] = ["app", "db"].map(|name| lab.namespace(name));
        let [third, switch] = ["third", "switch"].map(|name| lab.namespace(name));
        let (app, db, third, switch) = (app?, db?, third?, switch?);
        let ends = [(&app, "app0", 2), (&db, "db0", 3), (&third, "third0", 4)];
        let ports = ["b-app", "b-db", "b-third"];
        for (end, port) in ends.iter().zip(ports) {
            lab.veth((end.0, end.1), (&switch, port))?;
            Address::new(1, end.2).assign(end.0, end.1)?;
        }
        switch.bridge("br0", &ports)?;
        for (end, port) in ends.iter().zip(ports) {
            switch.bridge_entry(port, end.0.mac(end.1)?)?;
            for peer in ends.iter().filter(|peer| peer.2 != end.2) {
                acquaint(1, *end, *peer)?;
            }
        }
        let nowhere = Address::new(1, 9);
        for ip in nowhere.both() {
            app.neighbour("app0", ip, Mac([2, 0, 0, 0, 0xff, 0xff]))?;
        }
        lab.settle()?;
        Ok(Self {
            app,
            db,
            third,
            switch,
            app_at: Address::new(1, 2),
            db_at: Address::new(1, 3),
            third_at: Address::new(1, 4),
            nowhere,
            lab,
        })
    }
}
