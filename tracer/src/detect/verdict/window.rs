//! A while of looking: its two halves, and the whole.

use crate::model::Report;

/// What came in a while, and in each half of it.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The first half.
    pub early: Report,
    /// The second half.
    pub late: Report,
    /// Both.
    pub whole: Report,
}

impl Window {
    /// From what a source had counted at the beginning, in the middle, and at the end.
    pub fn new(begin: &Report, middle: &Report, end: &Report) -> Self {
        Self {
            early: middle.since(begin),
            late: end.since(middle),
            whole: end.since(begin),
        }
    }
}
