//! The mirror of the namespaces' networks, against what their kernel says.

#[path = "mirror/against.rs"]
mod against;
#[path = "mirror/blame.rs"]
mod blame;
#[path = "mirror/exceptions.rs"]
mod exceptions;
#[path = "mirror/names.rs"]
mod names;
#[path = "mirror/overrun.rs"]
mod overrun;
#[path = "mirror/random.rs"]
mod random;
#[path = "mirror/ways.rs"]
mod ways;
