//! Who made a change: named for certain, or not at all.

#[path = "makers/kernel.rs"]
mod kernel;
#[path = "makers/told.rs"]
mod told;
#[path = "makers/ways.rs"]
mod ways;
