//! Counters that only grow, from cells whose words wrap.

use std::collections::HashMap;
use std::mem::offset_of;

use tracer_common::bucket::BUCKETS;
use tracer_common::layout::{CELL_BUCKETS, Cell, ENDS, End, Numbers};

use super::maps::Memory;
use super::memory::Array;
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
    fn add(&mut self, now: &Cell, before: &mut Before) {
        let (head, last) = (Head::of(now), before.head);
        self.packets += head.packets.wrapping_sub(last.packets);
        self.bytes += head.bytes.wrapping_sub(last.bytes);
        self.sum_ns += head.sum_ns.wrapping_sub(last.sum_ns);
        self.born += u64::from(head.born.wrapping_sub(last.born));
        self.min_ns = self.min_ns.min(u64::MAX - head.min_inverted_ns);
        self.max_ns = self.max_ns.max(head.max_ns);
        for (end, (now, last)) in self
            .ends
            .iter_mut()
            .zip(head.ends.into_iter().zip(last.ends))
        {
            // An end may be taken back: the difference is a small number of either sign.
            *end += i64::from(now.wrapping_sub(last).cast_signed());
        }
        let filled = before.counts.span();
        for (bucket, &count) in now.buckets.iter().enumerate().take(BUCKETS) {
            if count == 0 && !filled.contains(&bucket) {
                continue;
            }
            let since = count.wrapping_sub(before.counts.get(bucket) as u32).into();
            self.counts.add(bucket, since);
            before.counts.add(bucket, since);
        }
        before.head = head;
    }
}

/// What stands before the buckets of a cell: as long as it stays the same, they do.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    packets: u64,
    bytes: u64,
    sum_ns: u64,
    min_inverted_ns: u64,
    max_ns: u64,
    owner: u32,
    born: u32,
    ends: [u32; ENDS],
    cpu: u32,
}

const _: () = assert!(
    size_of::<Head>() == offset_of!(Cell, buckets)
        && offset_of!(Head, max_ns) == offset_of!(Cell, max_ns)
        && offset_of!(Head, owner) == offset_of!(Cell, owner)
        && offset_of!(Head, born) == offset_of!(Cell, born)
        && offset_of!(Head, ends) == offset_of!(Cell, ends)
        && offset_of!(Head, cpu) == offset_of!(Cell, cpu)
);

impl Head {
    const fn of(cell: &Cell) -> Self {
        Self {
            packets: cell.packets,
            bytes: cell.bytes,
            sum_ns: cell.sum_ns,
            min_inverted_ns: cell.min_inverted_ns,
            max_ns: cell.max_ns,
            owner: cell.owner,
            born: cell.born,
            ends: cell.ends,
            cpu: cell.cpu,
        }
    }
}

/// A cell as it was read last.
struct Before {
    head: Head,
    /// All that its buckets ever counted, whose lower words are what they hold.
    counts: Counts,
    /// Whether it was the same at the last two readings. A program writes the buckets a moment
    /// before or after the head, and a reading may come between.
    settled: bool,
}

impl Default for Before {
    fn default() -> Self {
        Self {
            head: Head::of(&EMPTY),
            counts: Counts::default(),
            settled: true,
        }
    }
}

/// All tallies, by node.
#[derive(Default)]
pub(super) struct Tallies {
    by_node: HashMap<u32, Tally>,
    last: Vec<Before>,
}

impl Tallies {
    /// Adds what was counted since the last time.
    ///
    /// Of a cell at which nothing was counted the head is read alone: a tenth of it.
    pub(super) fn update(&mut self, memory: &Memory, now_ns: u64) {
        self.take(&memory.cells, memory.given_out(Numbers::Cells), now_ns);
    }

    fn take(&mut self, cells: &impl Cells, count: usize, now_ns: u64) {
        if self.last.len() < count {
            self.last.resize_with(count, Before::default);
        }
        for (index, before) in self.last.iter_mut().enumerate().take(count) {
            let Some(head) = cells.head(index) else {
                continue;
            };
            let is_same = head == before.head;
            if is_same && before.settled {
                continue;
            }
            let Some(cell) = cells.cell(index).filter(|cell| cell.owner != 0) else {
                continue;
            };
            let tally = self.by_node.entry(cell.owner - 1).or_default();
            if !is_same {
                tally.used_ns = now_ns;
            }
            tally.add(&cell, before);
            before.settled = is_same;
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
        let heads = (0..).zip(self.last.iter().map(|before| &before.head));
        heads.filter_map(|(number, head)| Some((number, head.owner.checked_sub(1)?, head.cpu)))
    }

    /// Forgets a node.
    pub(super) fn forget(&mut self, node: u32) {
        self.by_node.remove(&node);
    }

    /// A cell is empty from now on.
    pub(super) fn forget_cell(&mut self, cell: u32) {
        if let Some(last) = self.last.get_mut(cell as usize) {
            *last = Before::default();
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

/// Where cells are read.
trait Cells {
    /// A copy of what stands before the buckets.
    fn head(&self, index: usize) -> Option<Head>;
    /// A copy of all of it.
    fn cell(&self, index: usize) -> Option<Cell>;
}

impl Cells for Array<Cell> {
    fn head(&self, index: usize) -> Option<Head> {
        self.begin(index)
    }

    fn cell(&self, index: usize) -> Option<Cell> {
        self.get(index)
    }
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

    /// Cells, and how many of them were read as a whole.
    #[derive(Default)]
    struct Counted {
        cells: Vec<Cell>,
        whole: std::cell::Cell<usize>,
    }

    impl Cells for Counted {
        fn head(&self, index: usize) -> Option<Head> {
            self.cells.get(index).map(Head::of)
        }

        fn cell(&self, index: usize) -> Option<Cell> {
            self.whole.set(self.whole.get() + 1);
            self.cells.get(index).copied()
        }
    }

    /// A tally of one cell that was read once for each of these.
    fn tally(cells: &[Cell]) -> Tally {
        let (mut tally, mut before) = (Tally::default(), Before::default());
        for cell in cells {
            tally.add(cell, &mut before);
        }
        tally
    }

    #[test]
    fn a_bucket_that_wraps_loses_nothing() {
        let tally = tally(&[cell(10, u32::MAX - 1, 0), cell(13, 1, 0)]);
        assert_eq!(tally.packets, 13);
        assert_eq!(tally.histogram().count(), u64::from(u32::MAX) + 2);
    }

    #[test]
    fn a_bucket_that_is_back_at_zero_wrapped() {
        let tally = tally(&[cell(10, u32::MAX - 1, 0), cell(12, 0, 0), cell(13, 1, 0)]);
        assert_eq!(tally.histogram().count(), u64::from(u32::MAX) + 2);
    }

    #[test]
    fn an_end_can_be_taken_back() {
        let tally = tally(&[cell(1, 0, 1), cell(1, 0, 0)]);
        assert_eq!(tally.ends, [0; ENDS]);
    }

    #[test]
    fn a_cell_at_which_nothing_is_counted_is_not_read_again() {
        let mut cells = Counted {
            cells: vec![cell(1, 1, 0), cell(1, 1, 0), EMPTY],
            ..Counted::default()
        };
        let mut tallies = Tallies::default();
        let mut read = |cells: &Counted| {
            cells.whole.set(0);
            tallies.take(cells, cells.cells.len(), 7);
            cells.whole.get()
        };
        // After a change once more: its buckets may have been written a moment later.
        assert_eq!([(); 3].map(|()| read(&cells)), [2, 2, 0]);
        cells.cells[1] = cell(2, 2, 0);
        assert_eq!([(); 3].map(|()| read(&cells)), [1, 1, 0]);
        assert_eq!(tallies.of(0).map(|it| it.histogram().count()), Some(3));
    }

    #[test]
    fn buckets_that_are_written_after_the_head_are_read_with_the_next_reading() {
        let mut cells = Counted {
            cells: vec![cell(1, 0, 0)],
            ..Counted::default()
        };
        let mut tallies = Tallies::default();
        tallies.take(&cells, 1, 1);
        cells.cells[0] = cell(1, 1, 0);
        tallies.take(&cells, 1, 2);
        let tally = tallies.of(0).expect("what was counted");
        assert_eq!((tally.packets, tally.histogram().count()), (1, 1));
        assert_eq!(tally.used_ns, 1);
    }
}
