//! Networks of our own.
