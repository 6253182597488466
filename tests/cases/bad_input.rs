//! What should not happen, happens: each is a counted loss, and the good traffic beside it is
//! accounted for to the packet.

#[path = "bad_input/account.rs"]
mod account;
#[path = "bad_input/garbage.rs"]
mod garbage;
#[path = "bad_input/middle.rs"]
mod middle;
#[path = "bad_input/renamed.rs"]
mod renamed;
#[path = "bad_input/returning.rs"]
mod returning;
#[expect(dead_code, reason = "good traffic is traced by its account")]
#[path = "traced/seen.rs"]
mod seen;
#[path = "bad_input/tiny.rs"]
mod tiny;
