//! Which nodes were used least lately, each with all that is below it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use tracer_common::layout::{NodeInfo, ROOT};

/// The route trees, by when they were used.
pub(super) struct Trees {
    /// Parents stand before their children.
    nodes: Vec<Node>,
    /// First hops, by class.
    roots: HashMap<u32, Vec<u32>>,
}

struct Node {
    number: u32,
    class: u32,
    /// When it or one below it counted something last.
    used_ns: u64,
    cells: usize,
}

impl Trees {
    /// Of nodes, each behind its parent, with when each was used itself and the owner of each cell.
    pub(super) fn new(
        infos: &[(u32, NodeInfo)],
        used_ns: impl Fn(u32) -> u64,
        owners: impl Iterator<Item = u32>,
    ) -> Self {
        let mut cells = HashMap::<u32, usize>::new();
        for owner in owners {
            *cells.entry(owner).or_default() += 1;
        }
        let mut classes = HashMap::with_capacity(infos.len());
        let mut roots = HashMap::<u32, Vec<u32>>::new();
        let mut nodes: Vec<Node> = Vec::with_capacity(infos.len());
        for (number, info) in infos {
            let parent = info.key.parent;
            let class = if parent & ROOT != 0 {
                roots.entry(parent & !ROOT).or_default().push(*number);
                parent & !ROOT
            } else {
                classes.get(&parent).copied().unwrap_or(ROOT)
            };
            classes.insert(*number, class);
            nodes.push(Node {
                number: *number,
                class,
                used_ns: used_ns(*number),
                cells: cells.get(number).copied().unwrap_or(0),
            });
        }
        let mut below = HashMap::<u32, u64>::new();
        for (node, (_, info)) in nodes.iter_mut().zip(infos).rev() {
            node.used_ns = node
                .used_ns
                .max(below.get(&node.number).copied().unwrap_or(0));
            let parent = below.entry(info.key.parent).or_default();
            *parent = node.used_ns.max(*parent);
        }
        Self { nodes, roots }
    }

    /// When the node was used that was used least lately.
    pub(super) fn least_used_ns(&self) -> Option<u64> {
        self.nodes.iter().map(|node| node.used_ns).min()
    }

    /// Nodes that are idle, those that were used least lately first, until so many nodes, classes
    /// and cells have room again. A way that is over goes as a whole.
    pub(super) fn choose(&self, missing: [usize; 3], is_idle: impl Fn(u64) -> bool) -> Vec<u32> {
        let [mut nodes, mut classes, mut cells] = missing;
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        // Of those that were used at the same time children come first: they stand behind.
        order.sort_by_key(|&place| {
            let node = &self.nodes[place];
            (node.used_ns, node.class, Reverse(place))
        });
        let mut left: HashMap<u32, usize> = self
            .roots
            .iter()
            .map(|(&class, roots)| (class, roots.len()))
            .collect();
        let mut chosen = Vec::new();
        let mut last = None;
        for node in order.into_iter().map(|place| &self.nodes[place]) {
            let way = Some((node.used_ns, node.class));
            let is_enough = nodes == 0 && classes == 0 && cells == 0;
            if is_enough && last != way || !is_idle(node.used_ns) {
                break;
            }
            last = way;
            chosen.push(node.number);
            nodes = nodes.saturating_sub(1);
            cells = cells.saturating_sub(node.cells);
            let is_root = |roots: &Vec<u32>| roots.contains(&node.number);
            if self.roots.get(&node.class).is_some_and(is_root)
                && let Some(left) = left.get_mut(&node.class)
            {
                *left -= 1;
                classes = classes.saturating_sub(usize::from(*left == 0));
            }
        }
        chosen
    }

    /// Whether a class has no node but these.
    pub(super) fn is_empty_without(&self, class: u32, chosen: &HashSet<u32>) -> bool {
        let roots = self.roots.get(&class);
        roots.is_none_or(|roots| roots.iter().all(|root| chosen.contains(root)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_common::layout::NodeKey;

    /// Two classes: 0 with the way 5 - 1 and a branch 5 - 2, and 1 with the node 7.
    fn trees(used_ns: [(u32, u64); 4]) -> Trees {
        let node = |number, parent| {
            let key = NodeKey {
                parent,
                ..NodeKey::default()
            };
            let info = NodeInfo {
                key,
                ..NodeInfo::default()
            };
            (number, info)
        };
        let infos = [node(5, ROOT), node(1, 5), node(2, 5), node(7, ROOT | 1)];
        let used: HashMap<u32, u64> = used_ns.into();
        Trees::new(&infos, |number| used[&number], [5, 5, 1, 2, 7].into_iter())
    }

    const ALL: [(u32, u64); 4] = [(5, 10), (1, 10), (2, 30), (7, 20)];

    #[test]
    fn what_was_used_least_lately_goes_first_and_with_all_below_it() {
        let is_idle = |_| true;
        let trees = trees(ALL);
        assert_eq!(trees.choose([1, 0, 0], is_idle), [1]);
        assert_eq!(trees.choose([2, 0, 0], is_idle), [1, 7]);
        // The first hop was used when the one below it was.
        assert_eq!(trees.choose([3, 0, 0], is_idle), [1, 7, 2, 5]);
        assert_eq!(trees.choose([0, 1, 0], is_idle), [1, 7]);
        assert_eq!(trees.choose([0, 0, 2], is_idle), [1, 7]);
        assert!(trees.choose([0; 3], is_idle).is_empty());
        assert_eq!(trees.least_used_ns(), Some(10));
    }

    #[test]
    fn what_was_used_lately_stays_however_little_room_there_is() {
        let chosen = trees(ALL).choose([9, 9, 9], |used_ns| used_ns < 20);
        assert_eq!(chosen, [1]);
    }

    #[test]
    fn a_class_is_over_with_its_last_first_hop() {
        let trees = trees(ALL);
        assert!(!trees.is_empty_without(0, &[1, 2].into()));
        assert!(trees.is_empty_without(0, &[1, 2, 5].into()));
        assert!(trees.is_empty_without(3, &HashSet::new()));
    }
}
