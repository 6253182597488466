//! Makes room where a table of the kernel half is almost full: what was used least lately is
//! forgotten, and its numbers are given out again.
//!
//! In two steps, so that no number ever means two things at once. First the kernel half can't find
//! what is to go any more, and what still means it is cleared. When nothing was found to clear for
//! some looks, nothing in the kernel half means it, and its numbers are free.

mod pool;
mod references;
mod rests;
mod tables;
mod trees;

use std::collections::HashSet;

use aya::Ebpf;
use tracer_common::layout::{ClassInfo, NodeInfo, Numbers, ROOT};
use tracer_common::settings::Settings as KernelSettings;

use self::pool::Pool;
use self::references::{Marked, Open};
use self::rests::Rests;
use self::tables::Tables;
use self::trees::Trees;
use super::assemble::Assembly;
use super::connections;
use super::maps::Memory;
use super::places::Places;
use super::tally::EMPTY;
use crate::model::Reading;
use crate::source::Error;

/// What was used in this time stays.
const IDLE_NS: u64 = 5_000_000_000;

/// A number that was given out so long ago and means nothing yet never will: another CPU was faster.
const UNUSED_NS: u64 = 60_000_000_000;

/// Between two looks, so that what ran at the one is over at the next.
const APART_NS: u64 = 900_000_000;

/// How many looks in a row must find nothing.
const CLEAN: u32 = 2;

/// Gives out numbers again.
pub(super) struct Room {
    nodes: Pool,
    classes: Pool,
    cells: Pool,
    peers: Pool,
    marked: Marked,
    /// How many of the last looks found nothing that means what is marked; none while nothing is.
    clean: Option<u32>,
    looked_ns: u64,
    /// Before this there is nothing to choose.
    fruitless_until_ns: u64,
    rests: Rests,
}

impl Room {
    /// With all numbers free, before any program runs.
    pub(super) fn new(memory: &Memory, settings: &KernelSettings, peers: u32) -> Self {
        let (nodes, classes, cells) = (settings.nodes, settings.classes, settings.cells);
        let mut first = 0;
        let mut pool = |what, count| {
            let pool = Pool::new(what, first, count, memory);
            first += count as usize;
            pool
        };
        Self {
            nodes: pool(Numbers::Nodes, nodes),
            classes: pool(Numbers::Classes, classes),
            cells: pool(Numbers::Cells, cells),
            peers: pool(Numbers::Peers, peers),
            marked: Marked::default(),
            clean: None,
            looked_ns: 0,
            fruitless_until_ns: 0,
            rests: Rests::default(),
        }
    }

    /// Tells a reading what is forgotten.
    pub(super) fn tell(&self, reading: &mut Reading, places: &Places) {
        self.rests.tell(reading, places);
    }

    /// Looks after the tables, right after a reading was made.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn look(
        &mut self,
        memory: &Memory,
        ebpf: &mut Ebpf,
        assembly: &mut Assembly,
        reading: &Reading,
        now_ns: u64,
    ) -> Result<(), Error> {
        if now_ns.saturating_sub(self.looked_ns) < APART_NS {
            return Ok(());
        }
        self.looked_ns = now_ns;
        let mut tables = Tables(ebpf);
        for pool in self.pools() {
            pool.look(memory, now_ns);
            tables.forget_claims(pool.stale_claims())?;
        }
        let Some(clean) = self.clean else {
            return self.begin(memory, &mut tables, assembly, now_ns);
        };
        let came = self.adopt(memory, &mut tables)?;
        let found = references::clear(memory, &self.marked, &mut assembly.tallies, now_ns);
        let clean = if came || found { 0 } else { clean + 1 };
        self.clean = Some(clean);
        if clean >= CLEAN {
            self.finish(memory, &mut tables, assembly, reading)?;
        }
        Ok(())
    }

    fn pools(&mut self) -> [&mut Pool; 4] {
        let Self {
            nodes,
            classes,
            cells,
            peers,
            ..
        } = self;
        [nodes, classes, cells, peers]
    }

    /// Marks what is to go, and hides it, if room is scarce.
    fn begin(
        &mut self,
        memory: &Memory,
        tables: &mut Tables<'_>,
        assembly: &mut Assembly,
        now_ns: u64,
    ) -> Result<(), Error> {
        let is_scarce = self.pools().into_iter().any(|pool| pool.is_scarce());
        if !is_scarce || now_ns < self.fruitless_until_ns {
            return Ok(());
        }
        self.give_back_unused(memory, now_ns);
        self.choose(memory, assembly, now_ns);
        self.hide(memory, tables)?;
        if self.clean.is_some() {
            references::clear(memory, &self.marked, &mut assembly.tallies, now_ns);
        }
        Ok(())
    }

    /// Numbers that were given out for nothing.
    fn give_back_unused(&mut self, memory: &Memory, now_ns: u64) {
        let is_old = |pool: &Pool, number| {
            let since = pool.since(number);
            since.is_some_and(|since| now_ns.saturating_sub(since) > UNUSED_NS)
        };
        let unused = |pool: &Pool, is_used: &dyn Fn(usize) -> bool| -> Vec<u32> {
            let given = pool.given().filter(|&number| is_old(pool, number));
            given.filter(|&number| !is_used(number as usize)).collect()
        };
        let node = |number| memory.nodes.get(number).is_some_and(|it| it.ready == 1);
        for number in unused(&self.nodes, &node) {
            self.empty_node(memory, number);
        }
        let class = |number| memory.classes.get(number).is_some_and(|it| it.ready == 1);
        for number in unused(&self.classes, &class) {
            self.classes.give_back(memory, number);
        }
        let cell = |number| memory.cells.get(number).is_some_and(|it| it.owner != 0);
        for number in unused(&self.cells, &cell) {
            self.cells.give_back(memory, number);
        }
        let counts = &memory.connections.counts;
        let peer = |number| counts.get(number).is_some_and(|it| it.ready == 1);
        for number in unused(&self.peers, &peer) {
            self.peers.give_back(memory, number);
        }
    }

    /// Marks the nodes that were used least lately with all that is below them, classes that have
    /// none left, and counters of connections, until there is room enough.
    fn choose(&mut self, memory: &Memory, assembly: &Assembly, now_ns: u64) {
        let infos = memory.nodes_in_order();
        let idle = |at_ns: u64| now_ns.saturating_sub(at_ns) > IDLE_NS;
        let missing = [&self.nodes, &self.classes, &self.cells].map(Pool::missing);
        let tallies = &assembly.tallies;
        let used = |number| {
            let counted_ns = tallies.of(number).map_or(0, |tally| tally.used_ns);
            // One that was not seen yet is as new as can be.
            counted_ns.max(self.nodes.since(number).unwrap_or(u64::MAX))
        };
        let trees = Trees::new(&infos, used, tallies.cells().map(|(_, node, _)| node));
        let nodes = trees.choose(missing, idle);
        let without = nodes.iter().copied().collect();
        let open = Open::now(memory, now_ns);
        let is_over = |class: u32| {
            let is_ready = memory.classes.get(class as usize);
            is_ready.is_some_and(|it| it.ready == 1)
                && self.classes.since(class).is_some_and(idle)
                && trees.is_empty_without(class, &without)
                && !open.classes.contains(&class)
        };
        let classes: HashSet<u32> = self.classes.given().filter(|&it| is_over(it)).collect();
        let mut peers: Vec<(u64, u32, u32)> = assembly
            .connections
            .used()
            .filter(|(number, ..)| !open.peers.contains(number))
            .map(|(number, class, used_ns)| (used_ns, number, class))
            .collect();
        peers.sort_unstable();
        let mut missing = self.peers.missing();
        peers.retain(|(used_ns, _, class)| {
            let goes = classes.contains(class) || missing > 0 && idle(*used_ns);
            missing = missing.saturating_sub(usize::from(goes));
            goes
        });
        let is_any = !nodes.is_empty() || !classes.is_empty() || !peers.is_empty();
        self.clean = is_any.then_some(0);
        // On a host whose tables are full of what is in use no node is idle before the one is that was
        // used least lately. Classes and counters wait for connections that end too.
        let by_nodes_alone = self.classes.missing() == 0 && self.peers.missing() == 0;
        self.fruitless_until_ns = match trees.least_used_ns() {
            Some(used_ns) if !is_any && by_nodes_alone => used_ns.saturating_add(IDLE_NS),
            _ => 0,
        };
        self.marked = Marked {
            nodes: marks(nodes, &self.nodes),
            classes: marks(classes, &self.classes),
            peers: marks(peers.into_iter().map(|(_, number, _)| number), &self.peers),
        };
    }

    /// From now on no program finds what is marked.
    fn hide(&self, memory: &Memory, tables: &mut Tables<'_>) -> Result<(), Error> {
        for (number, info) in memory.nodes_in_order() {
            if self.marked.node(number) {
                tables.forget_node(info.key)?;
            }
        }
        for class in self.classes.given().filter(|&it| self.marked.class(it)) {
            if let Some(info) = memory.classes.get(class as usize) {
                tables.forget_class(info.key)?;
            }
        }
        for peer in self.peers.given().filter(|&it| self.marked.peer(it)) {
            if let Some(counts) = memory.connections.counts.get(peer as usize) {
                tables.forget_peer(counts.key)?;
            }
        }
        Ok(())
    }

    /// What was made below something that is marked goes with it; true where there was such a node.
    fn adopt(&mut self, memory: &Memory, tables: &mut Tables<'_>) -> Result<bool, Error> {
        let mut came = false;
        for (number, info) in memory.nodes_in_order() {
            let parent = info.key.parent;
            let goes = if parent & ROOT != 0 {
                self.marked.class(parent & !ROOT)
            } else {
                self.marked.node(parent)
            };
            if goes && !self.marked.node(number) {
                self.marked.nodes[number as usize] = true;
                tables.forget_node(info.key)?;
                came = true;
            }
        }
        Ok(came)
    }

    /// Nothing means what is marked any more: its counts are kept as a rest, its numbers are free.
    fn finish(
        &mut self,
        memory: &Memory,
        tables: &mut Tables<'_>,
        assembly: &mut Assembly,
        reading: &Reading,
    ) -> Result<(), Error> {
        let cells: Vec<_> = assembly.tallies.cells().collect();
        for (cell, node, cpu) in cells {
            if self
                .marked
                .nodes
                .get(node as usize)
                .copied()
                .unwrap_or(false)
            {
                tables.forget_cell(node, cpu)?;
                memory.cells.set(cell as usize, EMPTY);
                assembly.tallies.forget_cell(cell);
                self.cells.give_back(memory, cell);
            }
        }
        tables.forget_drops(&self.marked.nodes)?;
        for (number, info) in memory.nodes_in_order().into_iter().rev() {
            if !self.marked.node(number) {
                continue;
            }
            if let Some(place) = assembly.places.node(number) {
                self.rests.keep(number, &info, reading, place);
            }
            assembly.tallies.forget(number);
            self.rests.all.nodes += 1;
            memory.forget_child(&info);
            self.empty_node(memory, number);
        }
        let classes: Vec<u32> = self.classes.given().collect();
        for class in classes {
            if self.marked.class(class) {
                memory.classes.set(class as usize, ClassInfo::default());
                self.classes.give_back(memory, class);
                self.rests.all.classes += 1;
            }
        }
        let peers: Vec<u32> = self
            .peers
            .given()
            .filter(|&it| self.marked.peer(it))
            .collect();
        for peer in peers {
            assembly.connections.forget(peer);
            let counts = &memory.connections.counts;
            counts.set(peer as usize, connections::EMPTY);
            self.peers.give_back(memory, peer);
        }
        self.clean = None;
        Ok(())
    }

    fn empty_node(&mut self, memory: &Memory, number: u32) {
        memory.nodes.set(number as usize, NodeInfo::default());
        self.nodes.give_back(memory, number);
    }
}

/// Some of the numbers of a pool, as marks.
fn marks(numbers: impl IntoIterator<Item = u32>, of: &Pool) -> Vec<bool> {
    let mut marks = vec![false; of.limit() as usize];
    for number in numbers {
        marks[number as usize] = true;
    }
    marks
}
