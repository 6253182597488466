//! Two hosts at the ends of a wire.

use anyhow::Result;

use super::{Address, number};
use crate::lab::Lab;
use crate::namespace::Ns;
use crate::wire::{Wire, WireSpec};

/// ```text
/// app [app0]~~wire~~[db0] db
/// ```
pub struct Wired {
    pub app: Ns,
    pub db: Ns,
    /// `10.1.0.2`, `fd00:1::2`
    pub app_at: Address,
    /// `10.1.0.3`, `fd00:1::3`
    pub db_at: Address,
    /// Forth is from app to db.
    pub wire: Wire,
    /// It goes last.
    pub lab: Lab,
}

impl Wired {
    /// Builds it in a lab of its own.
    pub fn new(lab: Lab, spec: WireSpec) -> Result<Self> {
        let (app, db) = (lab.namespace("app")?, lab.namespace("db")?);
        let wire = lab.wire((&app, "app0"), (&db, "db0"), spec)?;
        number(1, (&app, "app0", 2), (&db, "db0", 3))?;
        lab.settle()?;
        Ok(Self {
            app,
            db,
            app_at: Address::new(1, 2),
            db_at: Address::new(1, 3),
            wire,
            lab,
        })
    }
}
