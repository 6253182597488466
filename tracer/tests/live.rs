//! The command as a user runs it, on the running kernel.

#[path = "live/agent.rs"]
mod agent;
#[expect(dead_code, reason = "the tests with a recording look at heads too")]
#[path = "agent/asked.rs"]
mod asked;
#[path = "live/command.rs"]
mod command;
#[path = "live/confined.rs"]
mod confined;
#[path = "live/ended.rs"]
mod ended;
#[path = "live/filtered.rs"]
mod filtered;
#[path = "live/governed.rs"]
mod governed;
#[path = "live/incidents.rs"]
mod incidents;
#[path = "live/journal.rs"]
mod journal;
#[path = "live/off.rs"]
mod off;
#[path = "live/older.rs"]
mod older;
#[path = "live/probed.rs"]
mod probed;
#[path = "live/refused.rs"]
mod refused;
#[expect(dead_code, reason = "the tests with a recording ask more of an agent")]
#[path = "agent/running.rs"]
mod running;
#[path = "live/schema.rs"]
mod schema;
