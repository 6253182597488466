//! Where packets spend their time: the agent's rooms.

pub mod app;
pub mod cli;
pub mod config;
pub mod detect;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod judge;
pub mod model;
pub mod sink;
pub mod source;
pub mod store;
