//! Conserved.
