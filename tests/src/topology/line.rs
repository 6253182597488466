//! Two hosts and a router between them.

use anyhow::Result;

use super::{Address, join, route};
use crate::lab::Lab;
use crate::namespace::Ns;

/// ```text
/// app [app0]──[r-app] router [r-db]──[db0] db
/// ```
pub struct Line {
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

impl Line {
    /// Builds it in a lab of its own.
    pub fn new(lab: Lab) -> Result<Self> {
        let [app, router, db] = ["app", "router", "db"].map(|name| lab.namespace(name));
        let (app, router, db) = (app?, router?, db?);
        join(&lab, 1, (&app, "app0", 2), (&router, "r-app", 1))?;
        join(&lab, 2, (&db, "db0", 2), (&router, "r-db", 1))?;
        router.forwarding(true)?;
        route(&app, 2, Address::new(1, 1), "app0")?;
        route(&db, 1, Address::new(2, 1), "db0")?;
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
