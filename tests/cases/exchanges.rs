//! Round trips, exchanges and troubles of connections, against what the lab really did.

#[path = "exchanges/coverage.rs"]
mod coverage;
#[path = "exchanges/crafted.rs"]
mod crafted;
#[path = "exchanges/errors.rs"]
mod errors;
#[path = "exchanges/passing.rs"]
mod passing;
#[path = "exchanges/rtt.rs"]
mod rtt;
#[path = "traced/seen.rs"]
#[expect(dead_code, reason = "of the other tests' helpers some are used here")]
mod seen;
#[path = "exchanges/service.rs"]
mod service;
#[path = "exchanges/side.rs"]
mod side;
#[path = "exchanges/trouble.rs"]
mod trouble;
