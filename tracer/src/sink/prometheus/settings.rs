//! What may be set of the page of metrics.

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sets of labels, all metrics together; what comes later is counted in one series a metric.
    pub max_series: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_series: 50_000 }
    }
}
