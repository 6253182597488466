//! A histogram as one line of blocks.

use crate::model::Histogram;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The eighths of a block.
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A distribution between its smallest and its largest latency, on a logarithmic scale.
///
/// A column is one bucket or, where there are more than columns, several; its height is its share
/// of the highest column. A bucket that counted anything shows at least the lowest block, so that
/// a single outlier is seen.
pub(super) fn distribution(histogram: &Histogram, columns: usize) -> String {
    let buckets: Vec<_> = histogram.counts().buckets().map(|(_, n)| n).collect();
    if buckets.is_empty() {
        return String::new();
    }
    let columns = columns.clamp(1, buckets.len());
    let heights: Vec<u64> = (0..columns)
        .map(|column| {
            let from = column * buckets.len() / columns;
            let to = (column + 1) * buckets.len() / columns;
            let sum = |sum: u64, &count: &u64| sum.saturating_add(count);
            buckets[from..to].iter().fold(0, sum)
        })
        .collect();
    let highest = heights.iter().copied().max().unwrap_or(1).max(1);
    heights
        .into_iter()
        .map(|height| block(height, highest))
        .collect()
}

/// A share as a bar of `columns` blocks, with eighths.
pub(super) fn bar(share: f64, columns: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

fn block(height: u64, highest: u64) -> char {
    if height == 0 {
        return ' ';
    }
    let level = (height as f64 / highest as f64 * BLOCKS.len() as f64).ceil() as usize;
    BLOCKS[level.clamp(1, BLOCKS.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: &[(u64, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(latency, n) in latencies {
            histogram.record_n(latency, n);
        }
        histogram
    }

    #[rstest::rstest]
    #[case(&[], 8, "")]
    #[case(&[(1_000, 5)], 8, "█")]
    #[case(&[(1_000, 4), (1_090, 8), (1_190, 1)], 8, "▄█▁")]
    #[case(&[(1_000, 1_000), (2_000, 1)], 16, "█       ▁")]
    #[case(&[(1_000, 1_000), (1_000_000, 1)], 10, "█        ▁")]
    #[case(&[(u64::MAX, 1), (0, u64::MAX)], 3, "█ ▁")]
    fn the_picture_shows_the_distribution(
        #[case] latencies: &[(u64, u64)],
        #[case] columns: usize,
        #[case] picture: &str,
    ) {
        assert_eq!(distribution(&of(latencies), columns), picture);
    }

    #[rstest::rstest]
    #[case(0.0, "")]
    #[case(0.5, "█████")]
    #[case(0.52, "█████▎")]
    #[case(1.0, "██████████")]
    fn the_bar_is_as_long_as_the_share(#[case] share: f64, #[case] text: &str) {
        assert_eq!(bar(share, 10), text);
    }
}
