//! Two hosts with network cards, and a cable between them.

use std::env;

use anyhow::{Context, Result};

use super::{Address, acquaint, number};
use crate::lab::Lab;
use crate::namespace::Ns;

/// Names the two cards, where the machine was made for tests and has them.
const CABLE: &str = "LAB_CABLE";

/// ```text
/// app [app0]──cable──[db0] db
/// ```
pub struct Cabled {
    pub app: Ns,
    pub db: Ns,
    /// `10.1.0.2`, `fd00:1::2`
    pub app_at: Address,
    /// `10.1.0.3`, `fd00:1::3`
    pub db_at: Address,
    /// What the machine calls the cards.
    cards: [String; 2],
    /// It goes last.
    pub lab: Lab,
}

impl Cabled {
    /// Builds it in a lab of its own; none where `LAB_CABLE` names no cards, as the guests of
    /// `cargo xtask vm` do.
    pub fn where_laid(lab: Lab) -> Result<Option<Self>> {
        let Ok(cards) = env::var(CABLE) else {
            return Ok(None);
        };
        let (one, other) = cards.split_once(' ').context("LAB_CABLE names two cards")?;
        let (app, db) = (lab.namespace("app")?, lab.namespace("db")?);
        app.adopt(one, "app0")?;
        db.adopt(other, "db0")?;
        let (a, b) = ((&app, "app0", 2), (&db, "db0", 3));
        number(1, a, b)?;
        acquaint(1, a, b)?;
        acquaint(1, b, a)?;
        lab.settle()?;
        Ok(Some(Self {
            app,
            db,
            app_at: Address::new(1, 2),
            db_at: Address::new(1, 3),
            cards: [one, other].map(str::to_owned),
            lab,
        }))
    }
}

impl Drop for Cabled {
    fn drop(&mut self) {
        for (ns, dev, own) in [
            (&self.app, "app0", &self.cards[0]),
            (&self.db, "db0", &self.cards[1]),
        ] {
            if let Err(cause) = ns.give_back(dev, own) {
                eprintln!("the next lab with this cable won't find {own}: {cause:#}");
            }
        }
    }
}
