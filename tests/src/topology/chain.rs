//! Three routers in a row, the middle one of three that share the flows.

use anyhow::Result;

use super::{Address, join, number, route};
use crate::lab::Lab;
use crate::namespace::Ns;
use crate::route::NextHop;
use crate::wire::{Wire, WireSpec};

/// ```text
///                              ┌[r1-m1]──[m1-r1] m1 [m1-r3]~~wire~~[r3-m1]┐
/// app [app0]──[r1-app] r1 ─────┼[r1-m2]──[m2-r1] m2 [m2-r3]~~wire~~[r3-m2]┼ r3 [r3-db]──[db0] db
///                              └[r1-m3]──[m3-r1] m3 [m3-r3]~~wire~~[r3-m3]┘
/// ```
///
/// r1 chooses the middle one by addresses and ports; all answers come back by m1.
pub struct Chain {
    pub app: Ns,
    pub r1: Ns,
    pub middle: [Ns; 3],
    pub r3: Ns,
    pub db: Ns,
    /// `10.1.0.2`, `fd00:1::2`
    pub app_at: Address,
    /// `10.2.0.2`, `fd00:2::2`
    pub db_at: Address,
    /// From each of the middle ones to r3; forth is towards db.
    pub wires: [Wire; 3],
    /// It goes last.
    pub lab: Lab,
}

impl Chain {
    /// Builds it in a lab of its own.
    pub fn new(lab: Lab) -> Result<Self> {
        let [app, r1, r3, db] = ["app", "r1", "r3", "db"].map(|name| lab.namespace(name));
        let (app, r1, r3, db) = (app?, r1?, r3?, db?);
        let [m1, m2, m3] = ["m1", "m2", "m3"].map(|name| lab.namespace(name));
        let middle = [m1?, m2?, m3?];
        join(&lab, 1, (&app, "app0", 2), (&r1, "r1-app", 1))?;
        join(&lab, 2, (&db, "db0", 2), (&r3, "r3-db", 1))?;
        let wire = |number: usize| Self::leg(&lab, &r1, &middle[number], &r3, number as u8 + 1);
        let wires = [wire(0)?, wire(1)?, wire(2)?];
        for router in [&r1, &r3].into_iter().chain(&middle) {
            router.forwarding(true)?;
        }
        route(&app, 2, Address::new(1, 1), "app0")?;
        route(&db, 1, Address::new(2, 1), "db0")?;
        route(&r3, 1, Self::middle_at_r3(1), "r3-m1")?;
        for family in ["ipv4", "ipv6"] {
            r1.sysctl(&format!("{family}/fib_multipath_hash_policy"), "1")?;
        }
        let chain = Self {
            app_at: Address::new(1, 2),
            db_at: Address::new(2, 2),
            app,
            r1,
            middle,
            r3,
            db,
            wires,
            lab,
        };
        chain.spread(&[1, 2, 3])?;
        chain.lab.settle()?;
        Ok(chain)
    }

    fn leg(lab: &Lab, r1: &Ns, middle: &Ns, r3: &Ns, number_of: u8) -> Result<Wire> {
        let m = format!("m{number_of}");
        let (to_m, to_r1) = (format!("r1-{m}"), format!("{m}-r1"));
        let (to_r3, from_r3) = (format!("{m}-r3"), format!("r3-{m}"));
        join(lab, 40 + number_of, (middle, &to_r1, 2), (r1, &to_m, 1))?;
        let wire = lab.wire((middle, &to_r3), (r3, &from_r3), WireSpec::default())?;
        number(50 + number_of, (middle, &to_r3, 1), (r3, &from_r3, 2))?;
        route(middle, 1, Address::new(40 + number_of, 1), &to_r1)?;
        route(middle, 2, Address::new(50 + number_of, 2), &to_r3)?;
        Ok(wire)
    }

    /// r1 shares the flows to db between these of the middle ones, from 1 on.
    pub fn spread(&self, middle: &[u8]) -> Result<()> {
        let devices: Vec<String> = middle.iter().map(|it| format!("r1-m{it}")).collect();
        for (prefix, is_v4) in [("10.2.0.0/24", true), ("fd00:2::/64", false)] {
            let legs: Vec<NextHop> = middle
                .iter()
                .zip(&devices)
                .map(|(&number, dev)| {
                    let [v4, v6] = Self::middle_at_r1(number).both();
                    NextHop {
                        via: if is_v4 { v4 } else { v6 },
                        dev,
                        weight: 1,
                    }
                })
                .collect();
            self.r1.multipath_route(prefix, &legs)?;
        }
        Ok(())
    }

    /// The address of a middle router on its link to r1: by it, it answers app.
    pub fn middle_at_r1(number: u8) -> Address {
        Address::new(40 + number, 2)
    }

    fn middle_at_r3(number: u8) -> Address {
        Address::new(50 + number, 1)
    }

    /// The address of r3 on its link to a middle router. By IPv4 it answers app from the one of m1, by
    /// which its words leave; by IPv6 from the one by which a packet came.
    pub fn r3_at(number: u8) -> Address {
        Address::new(50 + number, 2)
    }
}
