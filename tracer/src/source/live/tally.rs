//! Counters that only grow, from cells whose words wrap.

use std::collections::HashMap;

use tracer_common::bucket::BUCKETS;
use tracer_common::layout::{CELL_BUCKETS, Cell, ENDS, End, Numbers};

use super::maps::Memory;
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
    /// When something was counted last.
    pub used_ns: u64,
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
            used_ns: 0,
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
    pub(super) fn update(&mut self, memory: &Memory, now_ns: u64) {
        for index in 0..memory.given_out(Numbers::Cells) {
            let Some(cell) = memory.cells.get(index) else {
                continue;
            };
            let last = self.last.get(index);
            if cell.owner != 0 {
                let tally = self.by_node.entry(cell.owner - 1).or_default();
                if last.is_none_or(|last| is_new(last, &cell)) {
                    tally.used_ns = now_ns;
                }
                tally.add(&cell, last);
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

    /// Counts an end that the kernel half does not see.
    pub(super) fn end(&mut self, node: u32, how: End) {
        if let Some(tally) = self.by_node.get_mut(&node) {
            tally.ends[how as usize] += 1;
        }
    }

    /// The cells in use: number, node and CPU.
    pub(super) fn cells(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let cells = (0..).zip(&self.last);
        cells.filter_map(|(number, cell)| Some((number, cell.owner.checked_sub(1)?, cell.cpu)))
    }

    /// Forgets a node.
    pub(super) fn forget(&mut self, node: u32) {
        self.by_node.remove(&node);
    }

    /// A cell is empty from now on.
    pub(super) fn forget_cell(&mut self, cell: u32) {
        if let Some(last) = self.last.get_mut(cell as usize) {
            *last = EMPTY;
        }
    }
}

/// A cell in which nothing was counted, and that is nobody's.
pub(super) const EMPTY: Cell = Cell {
    packets: 0,
    bytes: 0,
    sum_ns: 0,
    min_inverted_ns: 0,
    max_ns: 0,
    owner: 0,
    born: 0,
    ends: [0; ENDS],
    cpu: 0,
    buckets: [0; CELL_BUCKETS],
};

/// Whether anything was counted since.
fn is_new(last: &Cell, now: &Cell) -> bool {
    now.owner != last.owner
        || now.packets != last.packets
        || now.born != last.born
        || now.ends != last.ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(packets: u64, bucket: u32, end: u32) -> Cell {
        let mut cell = Cell {
            packets,
            min_inverted_ns: u64::MAX - 1_000,
            max_ns: 1_000,
            owner: 1,
            ends: [end; ENDS],
            ..EMPTY
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
