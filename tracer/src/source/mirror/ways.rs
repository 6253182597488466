//! How the packets of a reading were handed on: next hops by name, and the FIB entries behind them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::look_up::{self, Question};
use super::socket::Asker;
use super::{Followed, Mirror};
use crate::model::forwarding::{FibEntry, Forwarding, Peer};
use crate::model::hop::Stage;
use crate::model::network::{Action, Family, Leg, Network, Overlay, Route, Rule};
use crate::model::{Class, Hop, Namespace, Node, Parent, Protocol, Reading, Tuple};

/// For how long an answer holds however much changes …
const FRESH: Duration = Duration::from_secs(2);

/// … and where nothing changed in the namespace that may concern it: mirrored is not all that a route depends on.
const KNOWN: Duration = Duration::from_secs(30);

/// Says how packets were handed on.
///
/// What is asked of the kernel is asked once for all nodes that it would answer alike, and which node
/// is answered by what stays known for as long as the node is there.
pub struct Ways {
    mirror: Mirror,
    answers: IndexMap<Sent, Answer>,
    /// The nodes of the last reading, and by which answer each was told.
    places: Vec<Place>,
    /// The births of its classes.
    classes: Vec<u32>,
    /// What devices were called in the last reading, by their namespaces' cookies and their numbers.
    names: HashMap<(u64, u32), Device>,
}

/// What an answer depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Sent {
    hop: Arc<Hop>,
    packet: Option<Question>,
    /// Who sent it here, where it may have been handed in at one of several devices.
    previous_hop_mac: Option<[u8; 6]>,
}

struct Answer {
    /// When it was given; none where it has to be asked for.
    at: Option<Instant>,
    generation: u64,
    forwarding: Arc<Forwarding>,
    /// Whether rules asked for ports …
    by_ports: bool,
    /// … when they were looked at last. That is not when it was given: they may change in between.
    rules_at: u64,
    /// Whether a node of the last reading was told by it.
    used: bool,
}

/// A node of the last reading.
struct Place {
    hop: Arc<Hop>,
    /// Which one it was; none where the source forgets nothing.
    birth: Option<u32>,
    answer: Option<usize>,
    /// Whether its packets are those of a tunnel, whose ends may become others.
    is_wrapped: bool,
}

struct Device {
    namespace: Namespace,
    name: Option<String>,
}

impl Ways {
    /// Looks things up in a mirror.
    pub fn new(mirror: Mirror) -> Self {
        Self {
            mirror,
            answers: IndexMap::new(),
            places: Vec::new(),
            classes: Vec::new(),
            names: HashMap::new(),
        }
    }

    /// The mirror.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Says of each hop of a reading how packets were handed on there, where that is known.
    pub fn tell(&mut self, reading: &mut Reading) {
        self.name_devices(reading);
        reading.mirrored = self.mirror.seen().counts;
        self.place(reading);
        if self.rules_ask_for_other_things() {
            self.answers.clear();
            self.places.clear();
            self.place(reading);
        }
        self.ask();
        let told = self.places.iter().enumerate().filter_map(|(index, place)| {
            let forwarding = &self.answers[place.answer?].forwarding;
            let is_known = **forwarding != Forwarding::default();
            is_known.then(|| (index, Arc::clone(forwarding)))
        });
        reading.forwarding = told.collect();
        self.forget_unused();
    }

    /// Finds which answer tells each node; nodes that were there before keep theirs.
    fn place(&mut self, reading: &Reading) {
        for answer in self.answers.values_mut() {
            answer.used = false;
        }
        let births = &reading.births;
        let same_classes = self.classes == births.classes;
        let mut same = vec![false; reading.nodes.len()];
        for (index, node) in reading.nodes.iter().enumerate() {
            let birth = births.nodes.get(index).copied();
            let is_same_above = match node.parent {
                Parent::Class(_) => same_classes,
                Parent::Node(parent) => same[parent],
            };
            let before = self.places.get(index).filter(|it| {
                is_same_above
                    && it.birth.is_some()
                    && it.birth == birth
                    && Arc::ptr_eq(&it.hop, &node.hop)
            });
            same[index] = before.is_some();
            let mut answer = before.and_then(|it| it.answer);
            let mut is_wrapped = before.is_some_and(|it| it.is_wrapped);
            if (answer.is_none() || is_wrapped) && matches!(node.hop.stage, Stage::Xmit | Stage::Rx)
            {
                is_wrapped = tunnel(&reading.nodes, index).is_some();
                answer = self.find(reading, index);
            }
            if let Some(answer) = answer {
                self.answers[answer].used = true;
            }
            let place = Place {
                hop: Arc::clone(&node.hop),
                birth,
                answer,
                is_wrapped,
            };
            match self.places.get_mut(index) {
                Some(before) => *before = place,
                None => self.places.push(place),
            }
        }
        self.places.truncate(reading.nodes.len());
        self.classes.clone_from(&births.classes);
    }

    /// The answer for a node, which may have to be asked for; none where its namespace is not followed.
    fn find(&mut self, reading: &Reading, index: usize) -> Option<usize> {
        let hop = &reading.nodes[index].hop;
        let mut packet = self.packet(reading, index);
        let seen = self.mirror.seen();
        let Followed {
            network, recent, ..
        } = seen.at(&hop.namespace)?;
        let by_ports = packet.is_some_and(|it| ask_for_ports(network, it.destination));
        if let Some(packet) = packet.as_mut().filter(|_| !by_ports) {
            packet.transport = None;
        }
        let input = packet.and_then(|it| it.input);
        let is_one_of_several = input.is_some_and(|input| inputs(network, input).nth(1).is_some());
        let sent = Sent {
            hop: Arc::clone(hop),
            packet,
            previous_hop_mac: is_one_of_several
                .then(|| previous_hop_mac(&reading.nodes, index))
                .flatten(),
        };
        let entry = self.answers.entry(sent);
        let index = entry.index();
        entry.or_insert(Answer {
            at: None,
            generation: 0,
            forwarding: Arc::default(),
            by_ports,
            rules_at: recent.generation(),
            used: true,
        });
        Some(index)
    }

    /// Whether packets have to be told apart by ports now that were not, or the other way round.
    fn rules_ask_for_other_things(&mut self) -> bool {
        let seen = self.mirror.seen();
        self.answers.iter_mut().any(|(sent, answer)| {
            let (Some(followed), Some(packet)) = (seen.at(&sent.hop.namespace), sent.packet) else {
                return false;
            };
            let looked_at = std::mem::replace(&mut answer.rules_at, followed.recent.generation());
            looked_at != answer.rules_at
                && answer.by_ports != ask_for_ports(&followed.network, packet.destination)
        })
    }

    /// Asks for the answers that do not hold any more.
    fn ask(&mut self) {
        // For this reading alone: until the next one they would keep namespaces that are gone.
        let mut askers = BTreeMap::new();
        let now = Instant::now();
        for (sent, answer) in self.answers.iter_mut().filter(|(_, answer)| answer.used) {
            let namespace = &sent.hop.namespace;
            let mut seen = self.mirror.seen();
            let Some(followed) = seen.at(namespace) else {
                answer.at = None;
                answer.forwarding = Arc::default();
                continue;
            };
            let (recent, destination) = (&followed.recent, sent.packet.map(|it| it.destination));
            let holds = if recent.concerns(answer.generation, destination) {
                FRESH
            } else {
                answer.generation = recent.generation();
                KNOWN
            };
            if answer.at.is_some_and(|at| now.duration_since(at) < holds) {
                continue;
            }
            if !askers.contains_key(&namespace.cookie)
                && let Ok(asker) = asker(followed)
            {
                askers.insert(namespace.cookie, asker);
            }
            let asker = askers.get_mut(&namespace.cookie);
            let forwarding = forwarding(&followed.network, sent, asker);
            (answer.at, answer.generation) = (Some(now), recent.generation());
            if *answer.forwarding != forwarding {
                answer.forwarding = Arc::new(forwarding);
            }
            // What is learnt beside a table that packets use is read from now on.
            if let Some(entry) = &answer.forwarding.entry
                && let Some(followed) = seen.namespaces.get_mut(&namespace.inode)
            {
                let table = (Family::of(entry.prefix.addr()), entry.table);
                followed.used.insert(table);
            }
        }
    }

    /// Forgets answers that tell no node, once they are the most.
    fn forget_unused(&mut self) {
        let used = self.answers.values().filter(|it| it.used).count();
        if self.answers.len() <= 2 * used + 64 {
            return;
        }
        let mut next = 0;
        let moved = self.answers.values().map(|answer| {
            let place = answer.used.then_some(next);
            next += usize::from(answer.used);
            place
        });
        let moved: Vec<Option<usize>> = moved.collect();
        self.answers.retain(|_, answer| answer.used);
        for place in &mut self.places {
            place.answer = place.answer.and_then(|answer| moved[answer]);
        }
    }

    /// Calls each device what it is called now: the kernel half knows what it was called when the
    /// first packet came to it. What is gone keeps its last name.
    fn name_devices(&mut self, reading: &mut Reading) {
        let mut names = std::mem::take(&mut self.names);
        let mut is_same = true;
        for (&(_, ifindex), device) in &mut names {
            let now = self.name_now(&device.namespace, ifindex);
            if now.is_some() && now != device.name {
                (device.name, is_same) = (now, false);
            }
        }
        let mut renamed: HashMap<Arc<Hop>, Arc<Hop>> = HashMap::new();
        let mut are_same = self.places.len() == reading.nodes.len();
        for (index, node) in reading.nodes.iter_mut().enumerate() {
            let hop = &mut node.hop;
            let before = self.places.get(index).map(|it| &it.hop);
            if is_same && before.is_some_and(|before| Arc::ptr_eq(before, hop)) {
                continue;
            }
            are_same = false;
            if let Some(renamed) = renamed.get(hop) {
                *hop = Arc::clone(renamed);
                continue;
            }
            let device = names.entry(device(hop)).or_insert_with(|| Device {
                namespace: hop.namespace.clone(),
                name: self.name_now(&hop.namespace, hop.ifindex),
            });
            let before = Arc::clone(hop);
            if let Some(name) = &device.name
                && *name != hop.device
            {
                Arc::make_mut(hop).device.clone_from(name);
            }
            renamed.insert(before, Arc::clone(hop));
        }
        if !are_same {
            let there: HashSet<_> = reading.nodes.iter().map(|node| device(&node.hop)).collect();
            names.retain(|device, _| there.contains(device));
        }
        self.names = names;
    }

    fn name_now(&self, namespace: &Namespace, ifindex: u32) -> Option<String> {
        let seen = self.mirror.seen();
        let link = seen.at(namespace)?.network.link(ifindex)?;
        Some(link.name.clone())
    }

    /// The packet that a look-up is made for at a node.
    fn packet(&self, reading: &Reading, index: usize) -> Option<Question> {
        let inner = packet(reading, index)?;
        let Some(tunnel) = tunnel(&reading.nodes, index) else {
            return Some(inner);
        };
        let outer = self.outer(&reading.nodes[tunnel].hop)?;
        Some(Question {
            input: inner.input,
            ..outer
        })
    }

    /// The packets that a VXLAN device wraps others in, where all go to one remote end. Their source
    /// port is a hash of the packet inside.
    fn outer(&self, hop: &Hop) -> Option<Question> {
        let seen = self.mirror.seen();
        let link = seen.at(&hop.namespace)?.network.link(hop.ifindex)?;
        match link.overlay {
            Some(Overlay::Vxlan {
                local: Some(source),
                remote: Some(destination),
                port,
                ..
            }) if !destination.is_multicast() => Some(Question {
                source,
                destination,
                transport: Some((17, 0, port)),
                input: None,
                output: None,
                mark: 0,
            }),
            _ => None,
        }
    }
}

fn device(hop: &Hop) -> (u64, u32) {
    (hop.namespace.cookie, hop.ifindex)
}

/// Whether there is a rule that asks for more of a packet than its addresses.
fn ask_for_ports(network: &Network, destination: IpAddr) -> bool {
    let mut rules = network.rules(Family::of(destination)).iter();
    rules.any(|it| {
        it.ip_protocol.is_some() || it.source_port.is_some() || it.destination_port.is_some()
    })
}

pub(super) fn asker(followed: &Followed) -> io::Result<Asker> {
    let asker = Asker::of_routes(&followed.open()?)?;
    // A path may lead elsewhere by now.
    if asker
        .cookie()
        .is_some_and(|cookie| cookie != followed.namespace.cookie)
    {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(asker)
}

/// The packet that a look-up is made for at a node: as it came into the namespace, since that is
/// what the route was looked up with; but addressed as it goes on, since addresses are translated
/// before.
fn packet(reading: &Reading, index: usize) -> Option<Question> {
    let nodes = &reading.nodes;
    let here = &nodes[index].hop.namespace;
    let mut input: Option<usize> = None;
    let mut at = index;
    let class = loop {
        match nodes[at].parent {
            Parent::Class(class) => break class,
            Parent::Node(parent) => at = parent,
        }
        let hop = &nodes[at].hop;
        if hop.namespace != *here {
            break class_of(nodes, at);
        }
        if hop.stage == Stage::Receive {
            input = input.or(Some(at));
        }
    };
    let class = reading.classes.get(class)?;
    let now = tuple(class, &nodes[index])?;
    let before = match input {
        Some(input) => tuple(class, &nodes[input])?,
        None => now,
    };
    Some(Question {
        source: before.source,
        destination: now.destination,
        transport: transport(class, now),
        input: input.map(|at| nodes[at].hop.ifindex),
        output: None,
        mark: 0,
    })
}

/// The devices at which packets may have been handed in that were received at one.
fn inputs(network: &Network, received: u32) -> impl Iterator<Item = u32> {
    let upon = network.links().map(|link| link.index);
    let upon = upon.filter(move |&it| it != received && network.is_handed_in_at(received, it));
    std::iter::once(received).chain(upon)
}

/// Who sent the packets of a node into its namespace.
fn previous_hop_mac(nodes: &[Node], index: usize) -> Option<[u8; 6]> {
    let above = |&at: &usize| match nodes[at].parent {
        Parent::Class(_) => None,
        Parent::Node(parent) => Some(parent),
    };
    std::iter::successors(Some(index), above)
        .take_while(|&at| nodes[at].hop.namespace == nodes[index].hop.namespace)
        .find_map(|at| nodes[at].hop.previous_hop_mac)
}

/// The VXLAN device by which packets were wrapped that are still so at a node.
fn tunnel(nodes: &[Node], index: usize) -> Option<usize> {
    let is_end = |at: usize, stage| nodes[at].hop.stage == stage && nodes[at].hop.kind == "vxlan";
    let mut unwrapped = u32::from(is_end(index, Stage::Rx));
    let mut at = index;
    while let Parent::Node(parent) = nodes[at].parent {
        at = parent;
        if is_end(at, Stage::Rx) {
            unwrapped += 1;
        } else if is_end(at, Stage::Xmit) {
            match unwrapped.checked_sub(1) {
                Some(left) => unwrapped = left,
                None => return Some(at),
            }
        }
    }
    None
}

fn class_of(nodes: &[Node], mut at: usize) -> usize {
    loop {
        match nodes[at].parent {
            Parent::Class(class) => return class,
            Parent::Node(parent) => at = parent,
        }
    }
}

fn tuple(class: &Class, node: &Node) -> Option<Tuple> {
    node.translated.or(class.first)
}

fn transport(class: &Class, tuple: Tuple) -> Option<(u8, u16, u16)> {
    let number = match (class.protocol, tuple.destination) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Icmp, IpAddr::V4(_)) => 1,
        (Protocol::Icmp, IpAddr::V6(_)) => 58,
        (Protocol::Other, _) => return None,
    };
    Some((number, tuple.source_port, tuple.destination_port))
}

/// How packets were handed on at a hop.
fn forwarding(network: &Network, sent: &Sent, asker: Option<&mut Asker>) -> Forwarding {
    let (hop, packet) = (&sent.hop, sent.packet);
    let family = packet.map(|packet| Family::of(packet.destination));
    let peer = |mac: Option<[u8; 6]>, asked: Option<IpAddr>| {
        let mut peer = Peer::at(network, hop.ifindex, mac?, asked);
        // What it is called by in the packet's own family.
        peer.addresses.sort_by_key(|&address| {
            let is_asked = Some(address) == asked;
            (!is_asked, Some(Family::of(address)) != family)
        });
        Some(peer)
    };
    let previous_hop = peer(hop.previous_hop_mac, None);
    if hop.stage != Stage::Xmit {
        return Forwarding {
            previous_hop,
            ..Forwarding::default()
        };
    }
    let entry = packet
        .zip(asker)
        .and_then(|(packet, asker)| entry(network, sent, packet, asker));
    let address = match &entry {
        Some(entry) => entry
            .redirect
            .or(entry.gateway)
            .or(packet.map(|packet| packet.destination)),
        None => packet.map(|packet| packet.destination),
    };
    Forwarding {
        next_hop: peer(hop.next_hop_mac, address),
        previous_hop,
        entry,
    }
}

/// The entry by which packets went as they did: of the look-ups with each mark that rules ask for, and
/// each device that the packets may have been handed in at, the one that gives the device and the next
/// hop that were taken. Where several do, by different entries, it is not known.
fn entry(network: &Network, sent: &Sent, packet: Question, asker: &mut Asker) -> Option<FibEntry> {
    let hop = &sent.hop;
    let family = Family::of(packet.destination);
    let mut marks = vec![0];
    for (mark, _) in network.rules(family).iter().filter_map(|rule| rule.mark) {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    // Packets of our own in a VRF are looked up by its device.
    let master = network.link(hop.ifindex).and_then(|link| link.master);
    let vrf = master.filter(|&index| network.link(index).is_some_and(|it| it.vrf_table.is_some()));
    let inputs = handed_in_at(network, packet.input, sent.previous_hop_mac);
    let questions = inputs
        .iter()
        .flat_map(|&input| marks.iter().map(move |&mark| (input, mark)));
    let mut entries = questions.filter_map(|(input, mark)| {
        let question = Question {
            input,
            mark,
            output: vrf.filter(|_| packet.input.is_none()),
            ..packet
        };
        let route = look_up::ask(asker, &question).ok()?;
        let legs = network.legs(&route.path);
        let learnt = Learnt::of(network, hop, &packet, &route);
        let of_leg = |leg: &Leg| was_taken(network, hop, leg, packet.destination);
        let leg = match learnt.redirect {
            // Of several by one device it is not known which one it stands for.
            Some(_) => only(&legs, |leg| leg.device == hop.ifindex),
            None => legs.iter().position(of_leg),
        }?;
        Some(FibEntry {
            table: route.table,
            rule: rule(network, &question, &route).map(|rule| rule.priority),
            mark,
            prefix: route.slot.prefix,
            kind: route.path.kind,
            protocol: route.path.protocol,
            scope: route.path.scope,
            metric: route.slot.metric,
            mtu: route.path.mtu(),
            path_mtu: learnt.path_mtu,
            redirect: learnt.redirect,
            gateway: legs[leg].gateway,
            leg: leg + 1,
            legs: legs.len(),
            age: None,
            set_by: None,
        })
    });
    let first = entries.next()?;
    let is_it = |other: FibEntry| {
        let (mark, rule) = (first.mark, first.rule);
        FibEntry {
            rule,
            mark,
            ..other
        } == first
    };
    entries.all(is_it).then_some(first)
}

/// Where packets were handed in, as far as can be said: at one of the devices that know who sent them,
/// where some do.
fn handed_in_at(
    network: &Network,
    received: Option<u32>,
    previous_hop_mac: Option<[u8; 6]>,
) -> Vec<Option<u32>> {
    let Some(received) = received else {
        return vec![None];
    };
    let all: Vec<u32> = inputs(network, received).collect();
    let knows = |input: u32, mac| {
        let mut neighbours = network.neighbours();
        neighbours.any(|it| it.index == input && it.mac == Some(mac))
    };
    let knowing: Vec<u32> = previous_hop_mac.map_or_else(Vec::new, |mac| {
        let knowing = all.iter().filter(|&&input| knows(input, mac));
        knowing.copied().collect()
    });
    let inputs = if knowing.is_empty() { all } else { knowing };
    inputs.into_iter().map(Some).collect()
}

/// The only leg of its kind.
fn only(legs: &[Leg], is_it: impl Fn(&Leg) -> bool) -> Option<usize> {
    let mut found = legs.iter().enumerate().filter(|(_, leg)| is_it(leg));
    let (at, _) = found.next()?;
    found.next().is_none().then_some(at)
}

/// What the kernel learnt of a destination beside its route, as far as packets heed it.
#[derive(Default)]
struct Learnt {
    path_mtu: Option<u32>,
    redirect: Option<IpAddr>,
}

impl Learnt {
    fn of(network: &Network, hop: &Hop, packet: &Question, route: &Route) -> Self {
        let legs = network.legs(&route.path);
        let is_leg = |gateway| legs.iter().any(|leg| leg.gateway == gateway);
        let mut learnt = Self::default();
        let exceptions = network.exceptions(route.table, packet.destination);
        for exception in exceptions.filter(|it| it.device == hop.ifindex) {
            let taken = exception.gateway.unwrap_or(packet.destination);
            let mac = mac_of(network, hop.ifindex, taken);
            let was_taken = mac.is_some() && mac == hop.next_hop_mac;
            if !is_leg(exception.gateway) {
                if !was_taken {
                    continue;
                }
                learnt.redirect = exception.gateway;
            } else if !was_taken && mac.is_some() && hop.next_hop_mac.is_some() {
                continue;
            }
            // What is forwarded is as large as the device takes (`ip_dst_mtu_maybe_forward`).
            if packet.input.is_none() && exception.mtu != route.path.mtu() {
                learnt.path_mtu = exception.mtu;
            }
        }
        learnt
    }
}

/// Whether packets that left a hop took a leg: its device, and its gateway's Ethernet address where
/// both are known.
fn was_taken(network: &Network, hop: &Hop, leg: &Leg, destination: IpAddr) -> bool {
    let gateway = leg.gateway.unwrap_or(destination);
    let agree = match (mac_of(network, leg.device, gateway), hop.next_hop_mac) {
        (Some(known), Some(taken)) => known == taken,
        _ => true,
    };
    leg.device == hop.ifindex && agree
}

/// The Ethernet address that a neighbour answers with.
fn mac_of(network: &Network, device: u32, address: IpAddr) -> Option<[u8; 6]> {
    let mut neighbours = network.neighbours();
    let found = neighbours.find(|it| it.index == device && it.address == address);
    found.and_then(|neighbour| neighbour.mac)
}

/// The first rule that fits the packet and asks the table that answered.
fn rule<'a>(network: &'a Network, packet: &Question, route: &Route) -> Option<&'a Rule> {
    let family = Family::of(packet.destination);
    let input = match packet.input {
        Some(input) => network.link(input).map(|link| link.name.as_str()),
        None => Some("lo"),
    };
    let fits = |rule: &&Rule| {
        let within = |range: Option<(u16, u16)>, port| {
            range.is_none_or(|(first, last)| (first..=last).contains(&port))
        };
        let (protocol, source_port, destination_port) = packet.transport.unwrap_or_default();
        let fits = rule.from.is_none_or(|it| it.contains(&packet.source))
            && rule.to.is_none_or(|it| it.contains(&packet.destination))
            && (rule.input.is_none() || rule.input.as_deref() == input)
            && rule.output.is_none()
            && rule.tos == 0
            && rule
                .mark
                .is_none_or(|(mark, mask)| packet.mark & mask == mark)
            && rule.ip_protocol.is_none_or(|it| it == protocol)
            && within(rule.source_port, source_port)
            && within(rule.destination_port, destination_port);
        let is_its_table = rule.l3mdev || rule.action == Action::Table(route.table);
        fits != rule.inverted && is_its_table
    };
    network.rules(family).iter().find(fits)
}
