//! Routes, hops, histograms: values and arithmetic, with no clock, file, log or kernel.

pub mod class;
#[cfg(test)]
pub(crate) mod example;
pub mod forwarding;
pub mod histogram;
pub mod hop;
pub mod network;
pub mod reading;
pub mod report;
pub mod route;

pub use tracer_common::bucket;

pub use class::{Class, End, Protocol, Service, Tuple};
pub use histogram::Histogram;
pub use hop::{Hop, Namespace};
pub use reading::{Availability, Ends, Losses, Node, Parent, Reading, State};
pub use report::Report;
pub use route::{Balance, Route, RouteId, Segment, Step};
