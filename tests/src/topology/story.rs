//! The story that tracer is for: an app with two roads to its database, one of them old and slow.

use std::time::Duration;

use anyhow::Result;

use super::{Address, join, number, route, route_from};
use crate::lab::Lab;
use crate::namespace::Ns;
use crate::wire::{Wire, WireSpec};

/// ```text
///                        ┌[a-r1]──[r1-app] r1 [r1-db]────────[db-r1]┐
/// web [web0]──[app0] app ┤                                          ├ db
///                        └[a-r2]──[r2-app] r2 [r2-db]~~wire~~[db-r2]┘
/// ```
///
/// app reaches db by r1, and db answers by r1, until someone moves a route.
pub struct Story {
    pub web: Ns,
    pub app: Ns,
    /// The router of the fast road.
    pub r1: Ns,
    /// The router of the old road.
    pub r2: Ns,
    pub db: Ns,
    /// `10.1.0.2`, `fd00:1::2`
    pub web_at: Address,
    /// `10.1.0.3`, `fd00:1::3`, on the link to web; packets to db have it as their source.
    pub app_at: Address,
    /// `10.2.0.2`, `fd00:2::2`, on db's `lo`, so that it is the same by both roads.
    pub db_at: Address,
    /// Between r2 and db; forth is towards db.
    pub wire: Wire,
    /// It goes last.
    pub lab: Lab,
}

/// A way between app and db.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// By r1.
    Fast,
    /// By r2 and the wire.
    Old,
}

impl Story {
    /// Builds it in a lab of its own; the old road's wire delays by so much each way.
    pub fn new(lab: Lab, old_road_delay: Duration) -> Result<Self> {
        let [web, app, db] = ["web", "app", "db"].map(|name| lab.namespace(name));
        let (web, app, db) = (web?, app?, db?);
        let (r1, r2) = (lab.namespace("r1")?, lab.namespace("r2")?);
        join(&lab, 1, (&web, "web0", 2), (&app, "app0", 3))?;
        join(&lab, 11, (&app, "a-r1", 2), (&r1, "r1-app", 1))?;
        join(&lab, 12, (&app, "a-r2", 2), (&r2, "r2-app", 1))?;
        join(&lab, 21, (&db, "db-r1", 2), (&r1, "r1-db", 1))?;
        let spec = WireSpec::delay(old_road_delay);
        let wire = lab.wire((&r2, "r2-db"), (&db, "db-r2"), spec)?;
        number(22, (&db, "db-r2", 2), (&r2, "r2-db", 1))?;
        let story = Self {
            web_at: Address::new(1, 2),
            app_at: Address::new(1, 3),
            db_at: Address::new(2, 2),
            web,
            app,
            r1,
            r2,
            db,
            wire,
            lab,
        };
        story.connect()?;
        story.lab.settle()?;
        Ok(story)
    }

    fn connect(&self) -> Result<()> {
        self.db_at.assign_host(&self.db, "lo")?;
        for host in [&self.app, &self.r1, &self.r2] {
            host.forwarding(true)?;
        }
        route(&self.r1, 1, Address::new(11, 2), "r1-app")?;
        route(&self.r1, 2, Address::new(21, 2), "r1-db")?;
        route(&self.r2, 1, Address::new(12, 2), "r2-app")?;
        route(&self.r2, 2, Address::new(22, 2), "r2-db")?;
        route(&self.web, 2, self.app_at, "web0")?;
        self.move_requests(Road::Fast)?;
        self.move_answers(Road::Fast)
    }

    /// Another host that does app's work, by r1 alone, and its address there.
    pub fn colleague(&self, number: u8) -> Result<(Ns, Address)> {
        let host = self.lab.namespace(&format!("app{number}"))?;
        let (net, device) = (30 + number, format!("a{number}-r1"));
        let router = format!("r1-a{number}");
        join(&self.lab, net, (&host, &device, 2), (&self.r1, &router, 1))?;
        route(&host, 2, Address::new(net, 1), &device)?;
        route(&self.db, net, Address::new(21, 1), "db-r1")?;
        self.lab.settle()?;
        Ok((host, Address::new(net, 2)))
    }

    /// A third road from app to db, whose router is r3, and its wire; forth is towards db.
    ///
    /// ```text
    /// app [a-r3]──[r3-app] r3 [r3-db]~~wire~~[db-r3] db
    /// ```
    ///
    /// Nothing goes by it yet: app has 10.13.0.2 on it, and db 10.23.0.2.
    pub fn third_road(&self) -> Result<(Ns, Wire)> {
        let r3 = self.lab.namespace("r3")?;
        join(&self.lab, 13, (&self.app, "a-r3", 2), (&r3, "r3-app", 1))?;
        let ends = [(&r3, "r3-db"), (&self.db, "db-r3")];
        let wire = self.lab.wire(ends[0], ends[1], WireSpec::default())?;
        number(23, (&self.db, "db-r3", 2), (&r3, "r3-db", 1))?;
        r3.forwarding(true)?;
        route(&r3, 1, Address::new(13, 2), "r3-app")?;
        self.lab.settle()?;
        Ok((r3, wire))
    }

    /// Another link from r1 to db, 10.n.0.0/24, where r1 is 1 and db is 2: a wire that delays by so much
    /// each way.
    ///
    /// ```text
    /// r1 [r1-w<n>]~~wire~~[db-w<n>] db
    /// ```
    pub fn r1_wire(&self, net: u8, delay: Duration) -> Result<Wire> {
        let [at_r1, at_db] = devices(net);
        let spec = WireSpec::delay(delay);
        let wire = self
            .lab
            .wire((&self.r1, &at_r1), (&self.db, &at_db), spec)?;
        number(net, (&self.r1, &at_r1, 1), (&self.db, &at_db, 2))?;
        self.lab.settle()?;
        Ok(wire)
    }

    /// The same by veth.
    pub fn r1_link(&self, net: u8) -> Result<()> {
        let [at_r1, at_db] = devices(net);
        join(&self.lab, net, (&self.r1, &at_r1, 1), (&self.db, &at_db, 2))?;
        self.lab.settle()
    }

    /// Moves app's route to db.
    pub fn move_requests(&self, road: Road) -> Result<()> {
        let (net, dev) = match road {
            Road::Fast => (11, "a-r1"),
            Road::Old => (12, "a-r2"),
        };
        route_from(&self.app, 2, Address::new(net, 1), dev, self.app_at)
    }

    /// Moves db's route back to app and web.
    pub fn move_answers(&self, road: Road) -> Result<()> {
        let (net, dev) = match road {
            Road::Fast => (21, "db-r1"),
            Road::Old => (22, "db-r2"),
        };
        route_from(&self.db, 1, Address::new(net, 1), dev, self.db_at)
    }
}

/// Of another link from r1 to db.
fn devices(net: u8) -> [String; 2] {
    ["r1", "db"].map(|end| format!("{end}-w{net}"))
}
