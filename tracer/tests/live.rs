//! The command as a user runs it, on the running kernel.

#[path = "live/command.rs"]
mod command;
#[path = "live/ended.rs"]
mod ended;
#[path = "live/filtered.rs"]
mod filtered;
#[path = "live/refused.rs"]
mod refused;
#[path = "live/schema.rs"]
mod schema;
