//! Counters that only grow, from cells whose words wrap.

use std::collections::HashMap;

use tracer_common::bucket::BUCKETS;
use tracer_common::layout::{Cell, ENDS};

use super::load::Memory;
use crate::model::{Counts, Histogram};

/// What was counted at one node, on all CPUs, since the start.
#[derive(Clone)]
pub(super) struct Tally {
    /// Packets that came.
    pub packets: u64,
    /// Their payload in bytes.
    pub bytes: u64,
    /// Packets that were born there.
    pub born: u64,
    /// Packets that ended there, by [`tracer_common::layout::End`].
    pub ends: [i64; ENDS],
    counts: Counts,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            born: 0,
            ends: [0; ENDS],
            counts: Counts::default(),
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
        }
    }
}

impl Tally {
    /// The latencies.
    pub(super) fn histogram(&self) -> Histogram {
        Histogram::from_counts(self.counts.clone(), self.sum_ns, self.min_ns, self.max_ns)
    }

    /// Adds what a cell counted since it was read last.
    fn add(&mut self, now: &Cell, before: Option<&Cell>) {
        let wide = |pick: fn(&Cell) -> u64| pick(now).wrapping_sub(before.map_or(0, pick));
        self.packets += wide(|cell| cell.packets);
        self.bytes += wide(|cell| cell.bytes);
        self.sum_ns += wide(|cell| cell.sum_ns);
        self.born += u64::from(now.born.wrapping_sub(before.map_or(0, |cell| cell.born)));
        self.min_ns = self.min_ns.min(u64::MAX - now.min_inverted_ns);
        self.max_ns = self.max_ns.max(now.max_ns);
        for (index, end) in self.ends.iter_mut().enumerate() {
            let since = now.ends[index].wrapping_sub(before.map_or(0, |cell| cell.ends[index]));
            // An end may be taken back: the difference is a small number of either sign.
            *end += i64::from(since.cast_signed());
        }
        for (bucket, &count) in now.buckets.iter().enumerate().take(BUCKETS) {
            let since = count.wrapping_sub(before.map_or(0, |cell| cell.buckets[bucket]));
            self.counts.add(bucket, since.into());
        }
    }
}

/// All tallies, by node.
#[derive(Default)]
pub(super) struct Tallies {
    by_node: HashMap<u32, Tally>,
    last: Vec<Cell>,
}

impl Tallies {
    /// Adds what was counted since the last time.
    pub(super) fn update(&mut self, memory: &Memory) {
        let given_out = memory
            .control
            .get(0)
            .map_or(0, |control| control.cells as usize);
        for index in 0..given_out.min(memory.cells.len()) {
            let Some(cell) = memory.cells.get(index) else {
                continue;
            };
            if cell.owner != 0 {
                let tally = self.by_node.entry(cell.owner - 1).or_default();
                tally.add(&cell, self.last.get(index));
            }
            match self.last.get_mut(index) {
                Some(last) => *last = cell,
                None => self.last.push(cell),
            }
        }
    }

    /// What was counted at a node.
    pub(super) fn of(&self, node: u32) -> Option<&Tally> {
        self.by_node.get(&node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(packets: u64, bucket: u32, end: u32) -> Cell {
        let mut cell = Cell {
            packets,
            bytes: 0,
            sum_ns: 0,
            min_inverted_ns: u64::MAX - 1_000,
            max_ns: 1_000,
            owner: 1,
            born: 0,
            ends: [end; ENDS],
            buckets: [0; tracer_common::layout::CELL_BUCKETS],
        };
        cell.buckets[tracer_common::bucket::index(1_000)] = bucket;
        cell
    }

    #[test]
    fn a_bucket_that_wraps_loses_nothing() {
        let mut tally = Tally::default();
        tally.add(&cell(10, u32::MAX - 1, 0), None);
        tally.add(&cell(13, 1, 0), Some(&cell(10, u32::MAX - 1, 0)));
        assert_eq!(tally.packets, 13);
        assert_eq!(tally.histogram().count(), u64::from(u32::MAX) + 2);
    }

    #[test]
    fn an_end_can_be_taken_back() {
        let mut tally = Tally::default();
        tally.add(&cell(1, 0, 1), None);
        tally.add(&cell(1, 0, 0), Some(&cell(1, 0, 1)));
        assert_eq!(tally.ends, [0; ENDS]);
    }
}
