//! How many packets this host receives, as the kernel counts them for itself.

use std::fs;
use std::thread::available_parallelism;
use std::time::Instant;

/// A row for each processor that is online; all namespaces and devices together.
const SOFTNET: &str = "/proc/net/softnet_stat";

/// The count when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Rush {
    last: Option<(Instant, Vec<u32>)>,
}

impl Rush {
    /// Packets a second since the last look, where they can be counted, and how many processors
    /// this host has.
    pub(super) fn now(&mut self) -> (Option<f64>, usize) {
        let text = fs::read_to_string(SOFTNET).unwrap_or_default();
        let (now, packets) = (Instant::now(), counts(&text));
        if packets.is_empty() {
            return (None, available_parallelism().map_or(1, usize::from));
        }
        let processors = packets.len();
        let last = self.last.replace((now, packets));
        let rush = last
            .zip(self.last.as_ref())
            .map(|((then, before), (now, packets))| {
                let time = now.duration_since(then).as_secs_f64();
                since(&before, packets) as f64 / time.max(1e-3)
            });
        (rush, processors)
    }
}

/// The first column: packets, which wrap.
fn counts(text: &str) -> Vec<u32> {
    let columns = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    columns
        .filter_map(|column| u32::from_str_radix(column, 16).ok())
        .collect()
}

/// A processor that came or went is counted from the next look on.
fn since(before: &[u32], now: &[u32]) -> u64 {
    if before.len() != now.len() {
        return 0;
    }
    let pairs = before.iter().zip(now);
    pairs
        .map(|(before, now)| u64::from(now.wrapping_sub(*before)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fffffff0 00000000 00000001 00000000 0 0 0 0 0 0 0 0 00000000 0 0\n\
                        0000000a 00000000 00000001 00000000 0 0 0 0 0 0 0 0 00000001 0 0\n";

    #[test]
    fn packets_stand_first_and_wrap() {
        let before = counts(TEXT);
        assert_eq!(before, [0xffff_fff0, 10]);
        assert_eq!(since(&before, &[4, 11]), 21);
        assert_eq!(since(&before, &[4]), 0);
    }

    #[test]
    fn a_host_has_processors() {
        let mut rush = Rush::default();
        let (first, processors) = rush.now();
        assert!(first.is_none() && processors >= 1);
        assert!(rush.now().0.is_some());
    }
}
