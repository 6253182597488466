//! What changed, where, and since when: the judgement over streams of histograms.
//!
//! Pure arithmetic: time arrives with the data, state lives in values that the caller keeps.
//! A [`Stream`] judges one hop of one route (or one class's round trips) against its own past;
//! [`siblings`] compares parts of one component with one another when there is no past;
//! [`attribution`] says which hop holds how much of a shift; [`incident`] joins findings that
//! belong together.

pub mod attribution;
pub mod baseline;
pub mod beyond;
pub mod budget;
pub mod dependence;
pub mod exceedance;
pub mod finding;
pub mod habit;
pub mod incident;
pub mod increase;
pub mod leap;
pub mod mishaps;
mod presence;
mod saved;
pub mod siblings;
pub mod stream;
pub mod verdict;

pub use budget::{Budget, Thresholds};
pub use finding::{Direction, Finding, Kind, Tier};
pub use habit::Habit;
pub use increase::{Increase, Mishap};
pub use stream::{Stream, Verdict};
