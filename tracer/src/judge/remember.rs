//! What the judge knows of the time before a window, for who looks at one.

use super::Judge;
use super::counters::Measured;
use crate::detect::verdict::{KnownBy, Part, Past, Slower, Watched, What};
use crate::model::connection::{Connections, Phase};
use crate::model::identity::{identities, of_sockets};
use crate::model::report::{class_key, segment_name};
use crate::model::verdict::Began;
use crate::model::{Parent, Reading};

/// A way on which round trips were measured for so long has a before of its own, in seconds.
const NEW_S: u64 = 600;

/// The way that it replaced was measured for so much longer.
const LONGER_S: u64 = 60;

impl Judge {
    /// What is watched of a reading's sockets, and what takes longer than it did. Whoever asks adds
    /// when the window ended, and which ways changed.
    pub fn remember(&self, reading: &Reading) -> Past {
        let mut past = Past::default();
        self.sockets_before(reading, &mut past);
        if self
            .cases
            .all()
            .any(crate::model::incident::Incident::is_active)
        {
            self.segments_before(reading, &mut past);
        }
        past
    }

    fn sockets_before(&self, reading: &Reading, past: &mut Past) {
        let at_s = self.clock.at_s();
        for connections in &reading.connections {
            let Some(class) = reading.classes.get(connections.class) else {
                continue;
            };
            let birth = reading.births.classes.get(connections.class);
            let identity = of_sockets(class, birth, connections);
            let Some(streams) = self.counters.sockets_streams(identity) else {
                continue;
            };
            let (key, next_hop) = (class_key(class), connections.next_hop);
            let watched = streams.iter().flatten();
            let watched = watched.map(|&it| self.streams.watched_s(it, at_s)).max();
            for measured in Measured::ALL {
                let what = What::Sockets(measured.phase(class), next_hop);
                let stream = streams[measured as usize];
                let found = stream.and_then(|it| self.slower(it, &key, what.clone()));
                // Of whole answers nobody knows whose time they are.
                let usual = stream.filter(|_| measured != Measured::Exchange);
                let slower = found.or_else(|| self.middle(usual?, &key, what));
                past.slower.extend(slower);
                let incident = stream.and_then(|it| self.streams.case(it));
                past.parts.extend(incident.map(|incident| Part {
                    class: key.clone(),
                    next_hop: Some(next_hop),
                    incident,
                }));
            }
            past.slower.extend(self.replaced(reading, connections));
            past.watched.push(Watched {
                class: key,
                next_hop,
                seconds: watched.unwrap_or(0),
            });
        }
    }

    /// What round trips took by the way that a new one replaced: the same sockets' by another gateway,
    /// the one that was watched for longest.
    fn replaced(&self, reading: &Reading, new: &Connections) -> Option<Slower> {
        let at_s = self.clock.at_s();
        let age_s = self
            .streams
            .age_s(self.round_trips(reading, new)?, at_s)
            .filter(|&age_s| age_s < NEW_S)?;
        let is_other = |it: &&Connections| {
            it.class == new.class
                && it.namespace.cookie == new.namespace.cookie
                && it.next_hop != new.next_hop
        };
        let others = reading.connections.iter().filter(is_other);
        let middles = others.filter_map(|it| {
            let stream = self.round_trips(reading, it)?;
            self.streams.middle(stream, at_s)
        });
        let (usual, watched_s) = middles.max_by_key(|(_, watched_s)| *watched_s)?;
        (watched_s >= age_s + LONGER_S).then(|| Slower {
            class: class_key(&reading.classes[new.class]),
            what: What::Sockets(Phase::Rtt, new.next_hop),
            usual,
            known_by: KnownBy::OtherWay(Began {
                at: self.clock.moment(at_s.saturating_sub(age_s)),
                error_s: 1.0,
            }),
        })
    }

    /// The stream of sockets' round trips.
    fn round_trips(&self, reading: &Reading, of: &Connections) -> Option<u64> {
        let class = reading.classes.get(of.class)?;
        let birth = reading.births.classes.get(of.class);
        let streams = self
            .counters
            .sockets_streams(of_sockets(class, birth, of))?;
        streams[Measured::RoundTrip as usize]
    }

    fn segments_before(&self, reading: &Reading, past: &mut Past) {
        for (node, identity) in reading.nodes.iter().zip(identities(reading)) {
            let class = identity.class.and_then(|it| reading.classes.get(it));
            let stream = self.counters.node_stream(identity.node);
            let (Some(class), Some(stream)) = (class.map(class_key), stream) else {
                continue;
            };
            let incident = self.streams.case(stream);
            past.parts.extend(incident.map(|incident| Part {
                class: class.clone(),
                next_hop: None,
                incident,
            }));
            let Parent::Node(parent) = node.parent else {
                continue;
            };
            let Some(parent) = reading.nodes.get(parent) else {
                continue;
            };
            let hop = &node.hop;
            let what = What::Segment {
                name: segment_name(parent.hop.stage, hop.stage),
                at: (hop.namespace.cookie, hop.ifindex),
            };
            past.slower.extend(self.slower(stream, &class, what));
        }
    }

    /// What a time used to be of which nothing was found.
    fn middle(&self, stream: u64, class: &str, what: What) -> Option<Slower> {
        let (usual, _) = self.streams.middle(stream, self.clock.at_s())?;
        let is_found = self.streams.open(stream).is_some();
        (!is_found).then(|| Slower {
            class: class.to_owned(),
            what,
            usual,
            known_by: KnownBy::Window,
        })
    }

    fn slower(&self, stream: u64, class: &str, what: What) -> Option<Slower> {
        let (usual, finding) = self.streams.slower(stream)?;
        Some(Slower {
            class: class.to_owned(),
            what,
            usual,
            known_by: KnownBy::Finding(Began {
                at: self.clock.moment(finding.change_s),
                error_s: finding.change_error_s,
            }),
        })
    }
}
