//! The numbers of nodes, classes or cells: which are given out, and how one is given back.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use tracer_common::layout::{NUMBERS, Numbers};

use super::super::maps::Memory;

/// For how many looks a claim stays: whoever was held up for that long while giving out a number
/// has read which ticket is the next one before.
const LOOKS: usize = 10;

/// All numbers of a kind.
pub(super) struct Pool {
    what: Numbers,
    /// Where the numbers of this kind begin in the kernel half's pool.
    base: usize,
    limit: u32,
    /// Tickets before this one were looked at.
    seen: u32,
    /// The first ticket that there is not yet.
    end: u32,
    /// The next ticket at the last looks, the latest one last.
    looks: VecDeque<u32>,
    /// Claims of tickets before this one are taken away.
    swept: u32,
    /// When a number was seen to be given out, in nanoseconds; none while it is free.
    since: Vec<Option<u64>>,
}

impl Pool {
    /// Fills the kernel half's pool, before any program runs.
    pub(super) fn new(what: Numbers, base: usize, limit: u32, memory: &Memory) -> Self {
        for number in 0..limit {
            memory.pool.set(base + number as usize, number);
        }
        let pool = Self {
            what,
            base,
            limit,
            seen: 0,
            end: limit,
            looks: VecDeque::new(),
            swept: 0,
            since: vec![None; limit as usize],
        };
        pool.tell_end(memory);
        pool
    }

    /// Looks which numbers were given out since.
    pub(super) fn look(&mut self, memory: &Memory, now_ns: u64) {
        let Some(control) = memory.control.get(0) else {
            return;
        };
        let next = control.next[self.what as usize];
        // The kernel half's word may go back by a few.
        while next.wrapping_sub(self.seen).cast_signed() > 0 {
            let number = memory.pool.get(self.place(self.seen)).unwrap_or_default();
            if let Some(since) = self.since.get_mut(number as usize) {
                *since = Some(now_ns);
            }
            self.seen = self.seen.wrapping_add(1);
        }
    }

    /// Since when a number is given out; none where it is free.
    pub(super) fn since(&self, number: u32) -> Option<u64> {
        self.since.get(number as usize).copied().flatten()
    }

    /// The numbers that are given out.
    pub(super) fn given(&self) -> impl Iterator<Item = u32> {
        let given = (0..).zip(&self.since);
        given.filter_map(|(number, since)| since.map(|_| number))
    }

    /// How many numbers are given out.
    pub(super) fn used(&self) -> u32 {
        self.limit - self.end.wrapping_sub(self.seen)
    }

    /// Whether so few are free that some should be given back.
    pub(super) fn is_scarce(&self) -> bool {
        u64::from(self.used()) * 4 > u64::from(self.limit) * 3
    }

    /// How many should be given back, where they are scarce.
    pub(super) fn missing(&self) -> usize {
        let enough = self.limit / 2;
        let missing = self.used().saturating_sub(enough) as usize;
        if self.is_scarce() { missing } else { 0 }
    }

    /// How many there are.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Lets the kernel half give out a number again.
    pub(super) fn give_back(&mut self, memory: &Memory, number: u32) {
        self.since[number as usize] = None;
        memory.pool.set(self.place(self.end), number);
        self.end = self.end.wrapping_add(1);
        self.tell_end(memory);
    }

    /// The keys of claims that nobody can be after any more.
    pub(super) fn stale_claims(&mut self) -> impl Iterator<Item = u64> + use<> {
        self.looks.push_back(self.seen);
        let mut stale = self.swept..self.swept;
        if self.looks.len() > LOOKS
            && let Some(before) = self.looks.pop_front()
        {
            stale.end = before;
            self.swept = before;
        }
        let (what, first) = (self.what, stale.start);
        let count = stale.end.wrapping_sub(first);
        (0..count).map(move |step| what.claim(first.wrapping_add(step)))
    }

    fn place(&self, ticket: u32) -> usize {
        self.base + (ticket % self.limit) as usize
    }

    fn tell_end(&self, memory: &Memory) {
        const ENDS: usize = NUMBERS * size_of::<u32>();
        let offset = ENDS + self.what as usize * size_of::<u32>();
        // What stands in the pool is written before.
        let end = memory.control.word(0, offset);
        end.store(self.end, Ordering::Release);
    }
}
