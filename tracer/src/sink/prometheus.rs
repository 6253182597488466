//! The page of metrics that Prometheus reads, in each of the forms that it may ask for.

mod families;
mod family;
mod form;
mod health;
mod ledger;
mod octaves;
mod protobuf;
pub mod settings;
mod sparse;
mod text;

use std::sync::{Arc, Mutex};

pub use families::FAMILIES;
pub use family::{Family, Kind, OVERFLOW};
pub use form::Form;
pub use health::{Governed, Health, Judged, Process};
pub use ledger::Ledger;
pub use settings::Settings;

/// All that one page says.
#[derive(Clone, Debug)]
pub struct Page {
    /// What was counted on the network.
    pub ledger: Arc<Mutex<Ledger>>,
    /// How the agent itself is.
    pub health: Health,
}

/// The page as it is sent.
pub fn to_bytes(page: &Page, form: Form) -> Vec<u8> {
    match form {
        Form::OpenMetrics => text::open_metrics(page).into_bytes(),
        Form::Classic => text::classic(page).into_bytes(),
        Form::Protobuf => protobuf::delimited(page),
    }
}

#[cfg(test)]
mod tests;
