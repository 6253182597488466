//! Counters that only grow, from cells whose words wrap.

use std::mem::offset_of;
use std::ops::Range;

use tracer_common::bucket::{self, BUCKETS};
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
    /// Whether it is to be told that something was counted.
    is_changed: bool,
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
            is_changed: false,
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

    /// Something was counted at this node.
    fn change(&mut self, node: u32, changed: &mut Vec<u32>) {
        if !std::mem::replace(&mut self.is_changed, true) {
            changed.push(node);
        }
    }

    /// Adds what a cell counted since it was read last, by its buckets from a pair on.
    fn add(
        &mut self,
        head: Head,
        (from, pairs): (usize, &[u64]),
        before: &mut Before,
        risen: &mut Vec<(usize, u64)>,
    ) {
        let last = before.head;
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
        risen.clear();
        let mut halves = [0; 2 * PAIRS];
        let halves = &mut halves[..2 * pairs.len()];
        before.counts.lower_halves(2 * from, halves);
        for ((pair, &both), last) in (from..).zip(pairs).zip(halves.chunks_exact(2)) {
            let now = halves_of(both);
            if now == last {
                continue;
            }
            for (bucket, (now, last)) in (2 * pair..BUCKETS).zip(now.into_iter().zip(last)) {
                let since = now.wrapping_sub(*last);
                if since > 0 {
                    risen.push((bucket, since.into()));
                }
            }
        }
        self.counts.add_all(risen);
        before.counts.add_all(risen);
        before.head = head;
    }
}

/// The buckets of a cell, two in a word: most are empty, and half as many words are looked at then.
const PAIRS: usize = BUCKETS.div_ceil(2);

const _: () = assert!(offset_of!(Cell, buckets) % 8 == 0 && BUCKETS < CELL_BUCKETS);

/// Both buckets of a word, the lower first.
fn halves_of(both: u64) -> [u32; 2] {
    let bytes = both.to_ne_bytes();
    let half =
        |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [half(0), half(4)]
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
    /// The pairs of buckets between the smallest and the largest latency.
    fn pairs(&self) -> Range<usize> {
        let (min_ns, max_ns) = (u64::MAX - self.min_inverted_ns, self.max_ns);
        if min_ns > max_ns {
            return 0..0;
        }
        let pair = |latency_ns| bucket::index(latency_ns).min(BUCKETS - 1) / 2;
        pair(min_ns)..pair(max_ns) + 1
    }

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
    /// By its number; none of one at which nothing was counted.
    by_node: Vec<Option<Tally>>,
    last: Vec<Before>,
    /// Nodes at which something was counted since that was asked.
    changed: Vec<u32>,
    /// How often the cells were read.
    readings: usize,
    /// Whether all that is read is read whole.
    is_last: bool,
}

/// Of the cells at which something is counted all the time one in so many is read whole.
const WHOLE: usize = 16;

impl Tallies {
    /// Adds what was counted since the last time.
    ///
    /// Of a cell at which nothing was counted the head is read alone: a tenth of it. Else the buckets
    /// between its extremes are as a rule; all of them when it counts no more, and now and then: where
    /// one program interrupted another, an extreme may not have been written.
    pub(super) fn update(&mut self, memory: &Memory, now_ns: u64) {
        self.take(&memory.cells, memory.given_out(Numbers::Cells), now_ns);
    }

    /// Nothing is counted any more: the next time is the last one.
    pub(super) fn finish(&mut self) {
        self.is_last = true;
    }

    fn take(&mut self, cells: &impl Cells, count: usize, now_ns: u64) {
        self.readings += 1;
        if self.last.len() < count {
            self.last.resize_with(count, Before::default);
        }
        let (mut risen, mut room) = (Vec::new(), [0; PAIRS]);
        for (index, before) in self.last.iter_mut().enumerate().take(count) {
            let Some(head) = cells.head(index) else {
                continue;
            };
            let is_same = head == before.head;
            if is_same && before.settled {
                continue;
            }
            let Some(node) = head.owner.checked_sub(1) else {
                continue;
            };
            let is_turn = (index + self.readings).is_multiple_of(WHOLE);
            let pairs = if is_same || is_turn || self.is_last {
                0..PAIRS
            } else {
                head.pairs()
            };
            let from = pairs.start;
            let pairs = &mut room[pairs];
            cells.buckets(index, from, pairs);
            if self.by_node.len() <= node as usize {
                self.by_node.resize_with(node as usize + 1, || None);
            }
            let tally = self.by_node[node as usize].get_or_insert_default();
            if !is_same {
                tally.used_ns = now_ns;
            }
            tally.add(head, (from, pairs), before, &mut risen);
            before.settled = is_same;
            tally.change(node, &mut self.changed);
        }
    }

    /// What was counted at a node.
    pub(super) fn of(&self, node: u32) -> Option<&Tally> {
        self.by_node.get(node as usize)?.as_ref()
    }

    /// The nodes at which something was counted since this was asked last.
    pub(super) fn take_changed(&mut self, mut each: impl FnMut(u32, &Tally)) {
        for node in self.changed.drain(..) {
            if let Some(Some(tally)) = self.by_node.get_mut(node as usize) {
                tally.is_changed = false;
                each(node, tally);
            }
        }
    }

    /// What was counted at a node is to be asked for again.
    pub(super) fn write_again(&mut self, node: u32) {
        if let Some(Some(tally)) = self.by_node.get_mut(node as usize) {
            tally.change(node, &mut self.changed);
        }
    }

    /// Counts an end that the kernel half does not see.
    pub(super) fn end(&mut self, node: u32, how: End) {
        if let Some(Some(tally)) = self.by_node.get_mut(node as usize) {
            tally.ends[how as usize] += 1;
            tally.change(node, &mut self.changed);
        }
    }

    /// The cells in use: number, node and CPU.
    pub(super) fn cells(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let heads = (0..).zip(self.last.iter().map(|before| &before.head));
        heads.filter_map(|(number, head)| Some((number, head.owner.checked_sub(1)?, head.cpu)))
    }

    /// Forgets a node.
    pub(super) fn forget(&mut self, node: u32) {
        if let Some(tally) = self.by_node.get_mut(node as usize) {
            *tally = None;
        }
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
    /// A copy of some pairs of buckets, from one on.
    fn buckets(&self, index: usize, from: usize, into: &mut [u64]);
}

impl Cells for Array<Cell> {
    fn head(&self, index: usize) -> Option<Head> {
        self.begin(index)
    }

    fn buckets(&self, index: usize, from: usize, into: &mut [u64]) {
        let offset = offset_of!(Cell, buckets) + from * size_of::<u64>();
        self.copy_double_words(index, offset, into);
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

    /// Cells, of how many of them buckets were read, and how many pairs.
    #[derive(Default)]
    struct Counted {
        cells: Vec<Cell>,
        read: std::cell::Cell<usize>,
        pairs: std::cell::Cell<usize>,
    }

    impl Cells for Counted {
        fn head(&self, index: usize) -> Option<Head> {
            self.cells.get(index).map(Head::of)
        }

        fn buckets(&self, index: usize, from: usize, into: &mut [u64]) {
            self.read.set(self.read.get() + 1);
            self.pairs.set(self.pairs.get() + into.len());
            into.copy_from_slice(&pairs(&self.cells[index])[from..][..into.len()]);
        }
    }

    fn pairs(cell: &Cell) -> [u64; PAIRS] {
        let pair = |at: usize| {
            let [low, high] = [at * 2, at * 2 + 1].map(|bucket| cell.buckets[bucket].to_ne_bytes());
            u64::from_ne_bytes([low, high].concat().try_into().expect("eight bytes"))
        };
        std::array::from_fn(pair)
    }

    /// A tally of one cell that was read once for each of these.
    fn tally(cells: &[Cell]) -> Tally {
        let (mut tally, mut before) = (Tally::default(), Before::default());
        for cell in cells {
            let pairs = (0, &pairs(cell)[..]);
            tally.add(Head::of(cell), pairs, &mut before, &mut Vec::new());
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
            cells.read.set(0);
            tallies.take(cells, cells.cells.len(), 7);
            cells.read.get()
        };
        // After a change once more: its buckets may have been written a moment later.
        assert_eq!([(); 3].map(|()| read(&cells)), [2, 2, 0]);
        cells.cells[1] = cell(2, 2, 0);
        assert_eq!([(); 3].map(|()| read(&cells)), [1, 1, 0]);
        assert_eq!(tallies.of(0).map(|it| it.histogram().count()), Some(3));
    }

    #[test]
    fn buckets_between_the_extremes_are_read_and_none_beyond_them() {
        let mut cells = Counted::default();
        cells.cells.resize(1, cell(0, 0, 0));
        let mut tallies = Tallies::default();
        for packets in 1..=100 {
            cells.cells[0] = cell(packets, packets as u32, 0);
            tallies.take(&cells, 1, packets);
        }
        let tally = tallies.of(0).expect("what was counted");
        assert_eq!(tally.histogram().count(), 100);
        let whole = 100 / WHOLE;
        assert_eq!(cells.pairs.get(), whole * PAIRS + (100 - whole));
    }

    #[test]
    fn a_latency_beyond_the_extremes_is_counted_when_the_cell_is_read_whole() {
        let beyond = |packets| {
            let mut cell = cell(packets, 1, 0);
            cell.buckets[BUCKETS - 1] = 3;
            cell
        };
        let counted = |tallies: &Tallies| tallies.of(0).map(|it| it.histogram().count());
        // It counts no more; it counts on; it is the last reading.
        for (times, grows, is_last) in [(2, 0, false), (WHOLE, 1, false), (1, 1, true)] {
            let mut tallies = Tallies::default();
            if is_last {
                tallies.finish();
            }
            for time in 0..times as u64 {
                let cells = Counted {
                    cells: vec![beyond(1 + time * grows)],
                    ..Counted::default()
                };
                tallies.take(&cells, 1, time);
            }
            assert_eq!(counted(&tallies), Some(4), "{times} {grows} {is_last}");
        }
    }

    #[test]
    fn a_cell_of_untimed_packets_has_no_buckets_between_its_extremes() {
        assert_eq!(Head::of(&EMPTY).pairs(), 0..0);
        let top = Head {
            max_ns: u64::MAX,
            ..Head::of(&cell(1, 1, 0))
        };
        assert_eq!(top.pairs().end, PAIRS);
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
