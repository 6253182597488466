//! What the agent takes of a host, and what it leaves there.

#[path = "agent/forgotten.rs"]
mod forgotten;
#[path = "agent/limited.rs"]
mod limited;
#[path = "agent/room.rs"]
mod room;
#[expect(dead_code, reason = "other tests ask more of what was seen")]
#[path = "traced/seen.rs"]
mod seen;
