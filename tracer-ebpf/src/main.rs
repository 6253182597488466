//! The kernel half.
fn main() {}
