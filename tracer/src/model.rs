//! Routes, hops, histograms: values and arithmetic, with no clock, file, log or kernel.

pub mod about;
pub mod answer;
pub mod blame;
pub mod class;
pub mod connection;
pub mod counts;
pub mod coverage;
pub mod dependents;
pub mod drops;
#[cfg(test)]
pub(crate) mod example;
pub mod forgotten;
pub mod forwarding;
pub mod histogram;
pub mod hop;
pub mod host;
pub mod identity;
pub mod incident;
pub mod journal;
pub mod name;
pub mod network;
pub mod object;
pub mod owner;
pub mod passing;
pub mod probe;
pub mod reading;
pub mod report;
pub mod route;
pub mod verdict;

pub use tracer_common::bucket;

pub use class::{Class, End, Protocol, Service, Tuple};
pub use connection::Connections;
pub use counts::Counts;
pub use forgotten::{Forgotten, Gone};
pub use histogram::Histogram;
pub use hop::{Hop, Namespace};
pub use host::HostStack;
pub use name::Names;
pub use reading::{
    Availability, Births, Ends, Losses, Mirrored, Node, Parent, ProgramWork, Reading, State,
};
pub use report::Report;
pub use route::{Balance, Route, RouteId, Segment, Step};
