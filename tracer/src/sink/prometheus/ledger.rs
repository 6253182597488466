//! What was counted since the agent started, by series: it only grows, whatever readings do.

mod host;
mod infos;
mod names;
mod passing;
mod past;
mod sockets;

use std::collections::BTreeMap;

use indexmap::IndexMap;

use self::host::Host;
use self::infos::Infos;
use self::names::{Interned, Names};
use self::past::{Past, Place};
use super::Settings;
use super::sparse::Sparse;
use crate::model::coverage::Coverage;
use crate::model::identity::PerNode;
use crate::model::journal::Age;
use crate::model::{Histogram, Losses, Mirrored, Node, Parent, ProgramWork, Reading};

/// A series' label values, in the order of its family's labels; none for the series of those that
/// found no room.
pub(super) type Labels = Box<[Interned]>;

/// A metric's series.
pub(super) type Series<V> = IndexMap<Labels, V>;

/// The counts of all series.
///
/// A reading says what a source counted since it began. The ledger adds what came since the last
/// reading, node by node: a node that vanishes leaves what it counted, one that began anew adds to
/// it, and two whose labels are the same add to one series. Series are never forgotten.
#[derive(Debug, Default)]
pub struct Ledger {
    pub(super) series: AllSeries,
    pub(super) infos: Infos,
    pub(super) lost: Losses,
    pub(super) work: BTreeMap<String, Work>,
    pub(super) coverage: Vec<Coverage>,
    pub(super) host: Host,
    /// Hops and classes of the route trees that made room for others.
    pub(super) forgotten: [u64; 2],
    last_forgotten: [u64; 2],
    /// What all mirrors of the networks did.
    pub(super) mirrored: Mirrored,
    last_mirrored: Mirrored,
    last_losses: LossesBefore,
    last_work: BTreeMap<String, Work>,
    sockets: sockets::Pasts,
    passing: passing::Pasts,
    pasts: PerNode<Past>,
    names: Names,
    readings: u64,
}

/// The series of the metrics that have one for each hop or route.
#[derive(Debug, Default)]
pub(super) struct AllSeries {
    pub(super) packets: Series<u64>,
    pub(super) drops: Series<u64>,
    pub(super) segments: Series<Sparse>,
    pub(super) routes: Series<Sparse>,
    pub(super) round_trips: Series<Sparse>,
    pub(super) exchange_times: Series<Sparse>,
    pub(super) exchanges: Series<u64>,
    pub(super) tcp_events: Series<u64>,
    pub(super) passing_round_trips: Series<Sparse>,
    pub(super) passing_events: Series<u64>,
    pub(super) max: usize,
    /// How many more there may be.
    left: usize,
    /// A packet that was followed stands for so many now.
    each: u64,
    /// Label sets that found no room, each time that one came.
    pub(super) overflows: u64,
}

/// What a program in the kernel did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) runs: u64,
    pub(super) busy_ns: u64,
}

/// Losses of the reading before.
#[derive(Debug, Default)]
struct LossesBefore {
    /// Of packets that were followed, by the tracer's reason.
    at_nodes: Losses,
    /// All others.
    elsewhere: Losses,
}

/// After how many readings without it a node is forgotten; should it come back, all that it counts
/// is new.
const ABSENT: u64 = 60;

impl Ledger {
    /// A ledger with nothing in it.
    pub fn new(settings: Settings) -> Self {
        let mut ledger = Self::default();
        ledger.series.max = settings.max_series;
        ledger
    }

    /// Makes room for more series, or for no more than there are.
    pub fn set(&mut self, settings: Settings) {
        self.series.max = settings.max_series;
        // Those that found no room before look for it again.
        for past in self.pasts.values_mut() {
            past.forget_places();
        }
    }

    /// How many sets of labels there are, all metrics together.
    pub fn series(&self) -> usize {
        self.series.len() + self.infos.series()
    }

    /// Adds what came since the last reading.
    pub fn add(&mut self, reading: &Reading) {
        self.add_sampled(reading, 1, &BTreeMap::new());
    }

    /// Adds what came since the last reading, while 1 packet in so many was followed: it stands for
    /// all of them. With it come the ages of its FIB entries, by index of the node.
    pub fn add_sampled(&mut self, reading: &Reading, each: u64, ages: &BTreeMap<usize, Age>) {
        self.readings += 1;
        self.series.begin(each);
        let now = self.readings;
        self.pasts.follow(reading);
        for (index, node) in reading.nodes.iter().enumerate() {
            let (identity, past) = self.pasts.get(index);
            past.seen = now;
            if past.names == identity.names && past.is_as_before(node) {
                continue;
            }
            past.begin(node);
            if past.names != identity.names {
                past.forget_places();
                past.names = identity.names;
            }
            self.series
                .add(reading, index, past, &mut self.names, identity.class);
        }
        let (at_nodes, elsewhere) = losses(reading);
        let before = &mut self.last_losses;
        for (before, now, each) in [
            (&mut before.at_nodes, &at_nodes, each),
            (&mut before.elsewhere, &elsewhere, 1),
        ] {
            for (reason, n) in rise_all(before, now) {
                *self.lost.entry(reason).or_default() += n * each;
            }
        }
        self.add_work(reading);
        self.coverage.clone_from(&reading.coverage);
        self.host.add(&reading.host);
        self.sockets
            .add(reading, &mut self.series, &mut self.names, now);
        self.passing
            .add(reading, &mut self.series, &mut self.names, now);
        let identities = self.pasts.identities();
        let classes = |index: usize| identities.get(index)?.class;
        let left = self.series.left;
        self.series.overflows += self
            .infos
            .take(reading, classes, ages, left, &mut self.names);
        self.add_forgotten(reading);
        let risen = reading.mirrored.since(&self.last_mirrored);
        self.mirrored = self.mirrored.and(&risen);
        self.last_mirrored = reading.mirrored;
        if now.is_multiple_of(ABSENT) {
            self.pasts.retain(|past| now - past.seen < ABSENT);
            self.sockets.forget_absent(now);
            self.passing.forget_absent(now);
            self.names.forget_unused();
        }
    }

    /// Goes on with another source, of which this much was counted elsewhere already.
    pub fn go_on_from(&mut self, reading: &Reading) {
        self.readings += 1;
        self.pasts.clear();
        self.pasts.follow(reading);
        for (index, node) in reading.nodes.iter().enumerate() {
            let (_, past) = self.pasts.get(index);
            past.seen = self.readings;
            past.take(node);
        }
        let (at_nodes, elsewhere) = losses(reading);
        self.last_losses = LossesBefore {
            at_nodes,
            elsewhere,
        };
        self.last_work = work(reading).collect();
        self.sockets.go_on_from(reading, self.readings);
        self.host.go_on_from(&reading.host);
        self.passing.go_on_from(reading, self.readings);
        self.last_forgotten = forgotten(reading);
        self.last_mirrored = reading.mirrored;
    }

    fn add_forgotten(&mut self, reading: &Reading) {
        let now = forgotten(reading);
        let risen = self.forgotten.iter_mut().zip(now).zip(self.last_forgotten);
        for ((all, now), before) in risen {
            *all += now.saturating_sub(before);
        }
        self.last_forgotten = now;
    }

    fn add_work(&mut self, reading: &Reading) {
        for (program, now) in work(reading) {
            let before = self.last_work.entry(program.clone()).or_default();
            let all = self.work.entry(program).or_default();
            all.runs += now.runs.saturating_sub(before.runs);
            all.busy_ns += now.busy_ns.saturating_sub(before.busy_ns);
            // The time is an estimate, which may fall a little.
            before.runs = before.runs.max(now.runs);
            before.busy_ns = before.busy_ns.max(now.busy_ns);
        }
    }
}

impl AllSeries {
    /// What follows is of a reading of which a packet stands for so many.
    fn begin(&mut self, each: u64) {
        self.each = each;
        self.left = self.max.saturating_sub(self.len());
    }

    /// How many sets of labels there are; the series for those that found no room is none.
    pub(super) fn len(&self) -> usize {
        fn len<V>(series: &Series<V>) -> usize {
            series.len() - usize::from(series.contains_key(&[] as &[Interned]))
        }
        let times = [
            &self.segments,
            &self.routes,
            &self.round_trips,
            &self.exchange_times,
            &self.passing_round_trips,
        ];
        let counts = [
            &self.packets,
            &self.drops,
            &self.exchanges,
            &self.tcp_events,
            &self.passing_events,
        ];
        let times = times.into_iter().map(len).sum::<usize>();
        times + counts.into_iter().map(len).sum::<usize>()
    }

    /// Adds what one node counted since.
    fn add(
        &mut self,
        reading: &Reading,
        index: usize,
        past: &mut Past,
        names: &mut Names,
        class: Option<usize>,
    ) {
        let node = &reading.nodes[index];
        let each = self.each;
        let mut at = names::At {
            reading,
            index,
            class,
            names,
        };
        let room = Room {
            left: &mut self.left,
            overflows: &mut self.overflows,
        };
        let mut books = Books { room, at: &mut at };
        let packets = (node.packets.saturating_add(node.born)).saturating_sub(past.packets);
        past.packets += packets;
        *books.value(&mut self.packets, &mut past.places.packets, names::At::hop) += packets * each;
        if matches!(node.parent, Parent::Node(_)) {
            let value = books.value(
                &mut self.segments,
                &mut past.places.segment,
                names::At::segment,
            );
            raise(value, &mut past.latency, &node.latency, each);
        }
        if node.total.count() > 0 {
            let value = books.value(&mut self.routes, &mut past.places.route, names::At::route);
            raise(value, past.total.get_or_insert_default(), &node.total, each);
        }
        for (reason, n) in rise_all(&mut past.dropped, &node.ends.dropped) {
            let place = past.places.drops.entry(reason.clone()).or_default();
            *books.value(&mut self.drops, place, |at| at.drop(&reason)) += n * each;
        }
    }
}

/// Room for new series.
struct Room<'a> {
    left: &'a mut usize,
    overflows: &'a mut u64,
}

impl Room<'_> {
    /// Takes the room of one series; where there is none, that is counted.
    fn take(&mut self) -> Option<()> {
        if *self.left == 0 {
            *self.overflows += 1;
            return None;
        }
        *self.left -= 1;
        Some(())
    }
}

/// Finds a node's series.
struct Books<'a, 'b> {
    room: Room<'a>,
    at: &'a mut names::At<'b>,
}

impl<'b> Books<'_, 'b> {
    /// The value of the series that the node's place names; where it has no place, of the series of
    /// its labels, or of the one for all that found no room.
    fn value<'s, V: Default>(
        &mut self,
        series: &'s mut Series<V>,
        place: &mut Place,
        labels: impl FnOnce(&mut names::At<'b>) -> Labels,
    ) -> &'s mut V {
        let index = place.get_or_insert_with(|| {
            let labels = labels(self.at);
            if let Some(index) = series.get_index_of(&labels) {
                return index;
            }
            let labels = self.room.take().map_or_else(Labels::default, |()| labels);
            let entry = series.entry(labels);
            let index = entry.index();
            entry.or_default();
            index
        });
        &mut series[index]
    }
}

fn raise(value: &mut Sparse, past: &mut Sparse, now: &Histogram, each: u64) {
    value.rise(past.rise_to(now), each);
}

fn forgotten(reading: &Reading) -> [u64; 2] {
    [reading.forgotten.nodes, reading.forgotten.classes]
}

fn work(reading: &Reading) -> impl Iterator<Item = (String, Work)> {
    reading.programs.iter().map(|program| {
        let &ProgramWork { runs, busy_ns, .. } = program;
        (program.program.clone(), Work { runs, busy_ns })
    })
}

/// Raises counts to what they are now; returns what rose, and by how much.
fn rise_all(past: &mut BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut risen = Vec::new();
    for (reason, &count) in now {
        let before = past.get(reason).copied();
        if before.is_none_or(|before| count > before) {
            risen.push((reason.clone(), count - before.unwrap_or(0)));
            past.insert(reason.clone(), count);
        }
    }
    risen
}

/// Losses by reason: those that are known to belong to a node, and the others.
fn losses(reading: &Reading) -> (Losses, Losses) {
    let mut at_nodes = reading.forgotten.lost();
    for (reason, n) in reading.nodes.iter().flat_map(|node: &Node| &node.ends.lost) {
        *at_nodes.entry(reason.clone()).or_default() += n;
    }
    let elsewhere = reading.losses.iter().map(|(reason, &n)| {
        let here = at_nodes.get(reason).copied().unwrap_or(0);
        (reason.clone(), n.saturating_sub(here))
    });
    let elsewhere = elsewhere.collect();
    (at_nodes, elsewhere)
}
