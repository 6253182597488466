//! Networks of our own, with ground truth that we set: namespaces, links, wires, traffic and
//! recordings for tests, demonstrations and benchmarks.
//!
//! ```no_run
//! use lab::{Lab, NumberedUdp};
//!
//! let lab = Lab::new("example")?;
//! let (app, db) = (lab.namespace("app")?, lab.namespace("db")?);
//! lab.veth((&app, "app0"), (&db, "db0"))?;
//! app.address("app0", "10.1.0.1/24")?;
//! db.address("db0", "10.1.0.2/24")?;
//! let delivery = NumberedUdp::new((&app, [10, 1, 0, 1].into()), (&db, ([10, 1, 0, 2], 9).into()))
//!     .run()?;
//! assert_eq!(delivery.lost(), 0);
//! # anyhow::Ok(())
//! ```
//!
//! Everything needs root, stays inside the namespaces it made, and is removed again.
#![expect(
    clippy::missing_errors_doc,
    reason = "every function here asks the kernel for something, and its error says what"
)]

mod clock;
mod firewall;
mod lab;
mod ledger;
mod link;
mod namespace;
mod neighbour;
mod netlink;
mod offload;
mod policy;
pub mod programs;
mod qdisc;
mod recorder;
mod route;
pub mod topology;
mod traffic;
mod wire;
mod xdp;

pub use clock::now_ns;
pub use firewall::{Hook, Protocol};
pub use lab::Lab;
pub use link::{Counters, Mac};
pub use namespace::Ns;
pub use offload::Offload;
pub use policy::{Insert, RouteSpec, RuleSpec};
pub use recorder::{EventKind, KernelEvent, Recorder, Recording};
pub use route::NextHop;
pub use traffic::{
    advertise::advertise,
    bulk::{Bulk, Totals, Until},
    garbage::inject_garbage,
    icmp::{checksum, closed_port, low_ttl, ping},
    pace::Pace,
    segment::{Segment, Segments},
    tcp::{Pair, TcpPairs, TcpServer},
    udp::{Delivery, NumberedUdp},
    users::Users,
};
pub use wire::{Crossing, Direction, Distribution, Wire, WireSpec};
pub use xdp::Thief;
