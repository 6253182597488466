//! What users feel: how long they wait for their answers.

use std::ops::Range;

use lab::Pair;
use tracer::sink::units;

/// One line on both halves, each with the requests that were due in it.
pub(crate) fn to_text(pairs: &[Pair], before: &Range<u64>, after: &Range<u64>) -> String {
    let [before, after] = [before, after].map(|span| waits(pairs, span));
    let at = |waits: &[u64], q| quantile(waits, q).map_or_else(|| "–".to_owned(), units::latency);
    format!(
        "web's users waited {} before and {} after (p50); p99 {} and {}\n",
        at(&before, 0.5),
        at(&after, 0.5),
        at(&before, 0.99),
        at(&after, 0.99),
    )
}

/// In nanoseconds, the shortest first.
fn waits(pairs: &[Pair], span: &Range<u64>) -> Vec<u64> {
    let in_it = pairs.iter().filter(|pair| span.contains(&pair.due_ns));
    let mut waits: Vec<_> = in_it.map(|pair| pair.latency().as_nanos() as u64).collect();
    waits.sort_unstable();
    waits
}

/// The value that a share of all does not exceed.
fn quantile(sorted: &[u64], q: f64) -> Option<u64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
