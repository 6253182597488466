//! Where the kernel half's nodes and classes are in a reading, and which ones they are.

use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::atomic::Ordering::Acquire;

use tracer_common::layout::{ClassInfo, NodeInfo, Numbers};

use super::maps::Memory;

/// By the kernel half's numbers.
#[derive(Default)]
pub(super) struct Places {
    by_number: Vec<Option<Place>>,
    /// How many nodes the reading has.
    pub(super) nodes: usize,
    /// Classes.
    pub(super) classes: HashMap<u32, usize>,
}

/// Where a node is in a reading.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// It is this one.
    Node(usize),
    /// It counts the whole way of what ends at this one.
    Total(usize),
}

impl Places {
    pub(super) fn clear(&mut self) {
        self.by_number.clear();
        self.nodes = 0;
        self.classes.clear();
    }

    pub(super) fn insert(&mut self, number: u32, place: Place) {
        let number = number as usize;
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, None);
        }
        self.by_number[number] = Some(place);
    }

    pub(super) fn of(&self, number: u32) -> Option<Place> {
        self.by_number.get(number as usize).copied().flatten()
    }

    /// The place of a node that is a hop.
    pub(super) fn node(&self, number: u32) -> Option<usize> {
        match self.of(number)? {
            Place::Node(place) => Some(place),
            Place::Total(_) => None,
        }
    }
}

/// The numbers of nodes and classes that are ready, with the tickets that they were given out by:
/// as long as these are the same, so is all that the kernel half says of what they are.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Born {
    nodes: Vec<(u32, u32)>,
    classes: Vec<(u32, u32)>,
}

impl Born {
    /// As it is now.
    pub(super) fn now(memory: &Memory) -> Self {
        let of = |what, born: &dyn Fn(usize) -> Option<u32>| {
            let numbers = 0..memory.given_out(what);
            let ready = numbers.filter_map(|number| Some((number as u32, born(number)?)));
            ready.collect()
        };
        // The ticket stands there before it is ready.
        let node = |number| {
            let word = |offset| memory.nodes.word(number, offset).load(Acquire);
            (word(offset_of!(NodeInfo, ready)) == 1).then(|| word(offset_of!(NodeInfo, ticket)))
        };
        let class = |number| {
            let word = |offset| memory.classes.word(number, offset).load(Acquire);
            (word(offset_of!(ClassInfo, ready)) == 1).then(|| word(offset_of!(ClassInfo, ticket)))
        };
        Self {
            nodes: of(Numbers::Nodes, &node),
            classes: of(Numbers::Classes, &class),
        }
    }
}
