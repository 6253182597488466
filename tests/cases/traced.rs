//! The kernel half on real packets: every packet counted at every hop, and nothing guessed.

#[path = "traced/conserved.rs"]
mod conserved;
#[path = "traced/dropped.rs"]
mod dropped;
#[path = "traced/exact.rs"]
mod exact;
#[path = "traced/fine.rs"]
mod fine;
#[path = "traced/forwarded.rs"]
mod forwarded;
#[path = "traced/joins.rs"]
mod joins;
#[path = "traced/passages.rs"]
mod passages;
#[path = "traced/sampled.rs"]
mod sampled;
#[path = "traced/seen.rs"]
mod seen;
#[path = "traced/spread.rs"]
mod spread;
#[path = "traced/together.rs"]
mod together;
#[path = "traced/truth.rs"]
mod truth;
