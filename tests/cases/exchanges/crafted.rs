//! Connections as no sane host has them, at a router: bounded, counted, and no wrong number.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread::sleep;
use std::time::Duration;

use lab::topology::Line;
use lab::{Lab, Segment, Segments, now_ns};
use tracer::model::connection::{Phase, Sight};
use tracer::model::passing::Passing;
use tracer::model::{Histogram, Reading};
use tracer::source::Settings;

use super::passing::came;
use super::seen::{port, trace_all};
use super::side::BUCKET;

const PORT: u16 = 9780;

/// Hosts that are only known as neighbours: what comes to them is dropped without an answer.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 2, 0, 77), PORT);

/// How long an answer takes.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// What a busy machine may put between the lab's clock and the router's: far less than a number that is made
/// of the wrong segments would be off.
const ON_THE_WAY_NS: f64 = 5e6;

/// Both sides of a router, by which segments are sent as they are.
struct Sides {
    line: Line,
    client: Segments,
    server: Segments,
}

impl Sides {
    fn new() -> Self {
        let line = Line::new(Lab::new("crafted").unwrap()).unwrap();
        let router = |dev| line.router.mac(dev).unwrap();
        let client = Segments::by(&line.app, "app0", router("r-app")).unwrap();
        let server = Segments::by(&line.db, "db0", router("r-db")).unwrap();
        let neighbour = |dev, ip: Ipv4Addr, host: &lab::Ns, own| {
            let mac = host.mac(own).unwrap();
            line.router.neighbour(dev, ip.into(), mac).unwrap();
        };
        neighbour("r-app", CLIENT, &line.app, "app0");
        neighbour("r-db", *SERVER.ip(), &line.db, "db0");
        Self {
            line,
            client,
            server,
        }
    }

    /// What the router is to look at.
    fn at_router(&self) -> Settings {
        let mut settings = port(PORT);
        settings.filter.namespace = Some(self.line.router.name().to_owned());
        settings
    }

    fn ask(&self, flow: &Flow) {
        self.client.send(&flow.request()).unwrap();
    }

    fn answer(&self, flow: &Flow) {
        self.server.send(&flow.answer()).unwrap();
    }
}

/// A connection without a beginning, as it is when it is asked and answered once more.
#[derive(Clone, Copy)]
struct Flow {
    client: SocketAddrV4,
    /// What comes next.
    sequence: u32,
    /// The timestamps of requests and of answers, where they have them.
    stamps: [Option<u32>; 2],
    asked_ns: u64,
}

impl Flow {
    const PAYLOAD: u32 = 500;

    fn new(client: SocketAddrV4) -> Self {
        Self {
            client,
            sequence: 1000,
            stamps: [None; 2],
            asked_ns: 0,
        }
    }

    fn request(&self) -> Segment {
        Segment {
            from: self.client,
            to: SERVER,
            sequence: self.sequence,
            acknowledges: Some(7000),
            syn: false,
            stamps: self.stamps[0].map(|own| (own, self.stamps[1].unwrap_or(0))),
            payload: Self::PAYLOAD as usize,
        }
    }

    /// The acknowledgement, and nothing else.
    fn answer(&self) -> Segment {
        Segment {
            from: SERVER,
            to: self.client,
            sequence: 7000,
            acknowledges: Some(self.sequence.wrapping_add(Self::PAYLOAD)),
            syn: false,
            stamps: self.stamps[1].map(|own| (own, self.stamps[0].unwrap_or(0))),
            payload: 0,
        }
    }

    fn go_on(&mut self) {
        self.sequence = self.sequence.wrapping_add(Self::PAYLOAD);
        self.stamps = self.stamps.map(|stamp| Some(stamp?.wrapping_add(1)));
    }
}

/// The round trips that were seen to the server.
fn round_trips(reading: &Reading) -> Histogram {
    let answers = came(reading, true);
    let mut all = answers.phase(Phase::Rtt).clone();
    all.merge(&answers.phase(Phase::RttWithData));
    all
}

/// Nothing below or above what the lab did.
fn check_within(times: &Histogram, truth_ns: &[u64]) {
    let (least, most) = (
        truth_ns.iter().min().unwrap(),
        truth_ns.iter().max().unwrap(),
    );
    println!(
        "{} of {} round trips, {:?} to {:?} ns; in truth {least} to {most}",
        times.count(),
        truth_ns.len(),
        times.min_ns(),
        times.max_ns()
    );
    assert!(times.count() <= truth_ns.len() as u64);
    let (shortest, longest) = (times.min_ns().unwrap(), times.max_ns().unwrap());
    assert!(
        shortest as f64 * BUCKET >= *least as f64 - ON_THE_WAY_NS,
        "{shortest} ns"
    );
    assert!(
        longest as f64 <= (*most as f64 + ON_THE_WAY_NS) * BUCKET,
        "{longest} ns"
    );
}

#[test]
fn wrapped_stripped_and_ancient_connections_have_their_round_trips_and_no_others() {
    const STEPS: u64 = 20;
    let sides = Sides::new();
    let client = |port| SocketAddrV4::new(CLIENT, port);
    let mut flows = [
        // Sequence numbers and timestamps begin again in the middle.
        Flow {
            sequence: u32::MAX - 4999,
            stamps: [Some(u32::MAX - 9), Some(u32::MAX - 5)],
            ..Flow::new(client(20_001))
        },
        // A middlebox takes the timestamps of answers, ...
        Flow {
            stamps: [Some(100), None],
            ..Flow::new(client(20_002))
        },
        // ... or all of them, later on.
        Flow {
            stamps: [Some(100), Some(200)],
            ..Flow::new(client(20_003))
        },
        // Never any, and open for ever.
        Flow::new(client(20_004)),
    ];
    let (truth_ns, reading, _) = trace_all(&sides.at_router(), || {
        // The first packet shows that they are forwarded.
        sides.ask(&Flow::new(client(20_000)));
        let mut truth_ns = Vec::new();
        for step in 0..STEPS {
            for flow in &mut flows {
                flow.asked_ns = now_ns();
                sides.ask(flow);
            }
            sleep(ROUND_TRIP);
            for flow in &mut flows {
                sides.answer(flow);
                truth_ns.push(now_ns() - flow.asked_ns);
                flow.go_on();
            }
            if step == STEPS / 2 {
                flows[2].stamps = [None; 2];
            }
            // Half open: nobody answers. And answers to what never came by here.
            let port = 30_000 + step as u16;
            let opening = Segment {
                syn: true,
                acknowledges: None,
                payload: 0,
                ..Flow::new(client(port)).request()
            };
            sides.client.send(&opening).unwrap();
            sides.answer(&Flow::new(client(port + 1000)));
        }
        truth_ns
    });
    let times = round_trips(&reading);
    check_within(&times, &truth_ns);
    // The first of a connection's tells where it stands.
    let all = flows.len() as u64;
    assert!(times.count() >= (STEPS - 2) * all, "{}", times.count());
    let requests = came(&reading, false);
    assert!(requests.phases.is_empty(), "{:?}", requests.phases);
    let none = |passing: &Passing| {
        [Sight::Duplicates, Sight::Gaps, Sight::Reordered].map(|sight| passing.sight(sight))
    };
    assert_eq!(none(requests), [0; 3], "{:?}", requests.sights);
    assert_eq!(none(came(&reading, true)), [0; 3]);
}

#[test]
fn a_hundred_thousand_connections_of_a_class_are_bounded_and_what_has_no_room_is_counted() {
    const ALL: u32 = 100_000;
    const AT_ONCE: u32 = 1000;
    let sides = Sides::new();
    let flow = |number: u32| {
        // A client's port each; 50,000 of each of two addresses.
        let [a, b, c, d] = CLIENT.octets();
        let ip = Ipv4Addr::new(a, b, c, d + (number / 50_000) as u8);
        Flow::new(SocketAddrV4::new(ip, 10_000 + (number % 50_000) as u16))
    };
    let mac = sides.line.app.mac("app0").unwrap();
    let other = *flow(ALL - 1).client.ip();
    sides
        .line
        .router
        .neighbour("r-app", other.into(), mac)
        .unwrap();
    let (truth_ns, reading, report) = trace_all(&sides.at_router(), || {
        sides.ask(&flow(0));
        let mut truth_ns = Vec::new();
        for first in (0..ALL).step_by(AT_ONCE as usize) {
            let mut flows: Vec<_> = (first..first + AT_ONCE).map(flow).collect();
            // The first of a connection's tells where it stands, and only then the next one's time counts.
            for is_first in [true, false] {
                for flow in &mut flows {
                    flow.asked_ns = now_ns();
                    sides.ask(flow);
                }
                for flow in &mut flows {
                    sides.answer(flow);
                    if !is_first {
                        truth_ns.push(now_ns() - flow.asked_ns);
                    }
                    flow.go_on();
                }
            }
        }
        truth_ns
    });
    let (requests, answers) = (came(&reading, false), came(&reading, true));
    let untracked = requests.sight(Sight::Untracked) + answers.sight(Sight::Untracked);
    println!(
        "{:?}\n{:?}\n{:?}",
        requests.sights, answers.sights, report.losses
    );
    let times = round_trips(&reading);
    check_within(&times, &truth_ns);
    // Some thousands had room both ways, and of each of the others a packet was counted.
    let count = times.count();
    assert!(count > 1000, "{count}");
    assert!(count + untracked >= u64::from(ALL), "{count}, {untracked}");
    assert!(requests.sample.len() <= 128 && answers.sample.len() <= 128);
    assert!(requests.phases.is_empty(), "{:?}", requests.phases);
}
