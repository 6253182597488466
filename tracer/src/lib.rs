//! Where packets spend their time: the agent's rooms.

pub mod model;
pub mod sink;
pub mod source;
