//! Where packets spend their time: the agent's rooms.

pub mod detect;
pub mod model;
