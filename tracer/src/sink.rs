//! Where reports go: text for people, JSON for programs, metrics for monitoring.

pub mod alert_json;
pub mod blame_json;
pub mod blame_text;
pub mod changes_json;
pub mod changes_text;
pub mod doctor_json;
pub mod doctor_text;
pub mod export;
mod fit;
mod host_text;
pub mod incident_report;
pub mod incidents_json;
pub mod incidents_text;
mod json;
pub mod look;
pub mod object_json;
pub mod object_text;
mod picture;
pub mod probe_json;
pub mod probe_text;
pub mod prometheus;
pub mod routes_compare;
pub mod routes_json;
pub mod routes_text;
mod time;
pub mod units;
pub mod verdict_json;
pub mod verdict_text;

pub use look::Look;
