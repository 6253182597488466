//! What a judge needs to go on after a restart, and what is to be written for it.

use crate::detect::{Habit, Stream};
use crate::model::incident::Incident;
use crate::model::journal::Moment;

/// What was saved.
#[derive(Debug, Default)]
pub struct Past {
    /// Incidents, oldest first.
    pub incidents: Vec<Incident>,
    /// Streams.
    pub streams: Vec<Saved>,
    /// The judge's own nanoseconds, and what the host's clock said then.
    pub clock: Option<(u64, Moment)>,
    /// What is known of bursts.
    pub habit: Option<Habit>,
    /// The number of the next incident.
    pub next: u64,
}

/// A stream, and the incident that it has a part in.
#[derive(Clone, Debug)]
pub struct Saved {
    /// What tells it from all others.
    pub key: u64,
    /// The incident.
    pub case: Option<u64>,
    /// Its state.
    pub stream: Stream,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct News {
    /// Incidents that changed; none for those that are forgotten.
    pub incidents: Vec<(u64, Option<Incident>)>,
    /// Streams; none for those that are forgotten.
    pub streams: Vec<(u64, Option<Saved>)>,
    /// The judge's own nanoseconds, and what the host's clock says.
    pub clock: (u64, Moment),
    /// What is known of bursts.
    pub habit: Habit,
    /// The number of the next incident.
    pub next: u64,
}

impl Saved {
    /// It as bytes: the incident's number (0 for none) and the stream's state.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.case.unwrap_or(0).to_le_bytes().to_vec();
        bytes.extend(self.stream.to_bytes());
        bytes
    }

    /// What [`Self::to_bytes`] wrote; none for what makes no sense.
    pub fn from_bytes(key: u64, bytes: &[u8]) -> Option<Self> {
        let (case, bytes) = bytes.split_first_chunk()?;
        let case = u64::from_le_bytes(*case);
        Some(Self {
            key,
            case: (case > 0).then_some(case),
            stream: Stream::from_bytes(bytes)?,
        })
    }
}
