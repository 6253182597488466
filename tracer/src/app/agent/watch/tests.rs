//! Sources that count what they are told to, exchanged and governed.

use std::sync::Mutex;

use super::*;
use crate::app::agent::journal::Journal;
use crate::model::{ProgramWork, example};
use crate::sink::prometheus::{Form, Settings, to_bytes};
use crate::store::Past;

/// Has counted so many packets at every node of the lab, and as many more each time.
struct Growing {
    packets: u64,
    each: u64,
}

impl Source for Growing {
    fn read(&mut self) -> Result<Arc<Reading>, Error> {
        let mut reading = example::lab();
        for node in &mut reading.nodes {
            node.packets = self.packets;
            node.born = 0;
        }
        self.packets += self.each;
        Ok(Arc::new(reading))
    }

    fn finish(mut self: Box<Self>) -> Result<Reading, Error> {
        self.read().map(Arc::unwrap_or_clone)
    }
}

fn growing(packets: u64, each: u64) -> Open {
    Box::new(move || Ok(Box::new(Growing { packets, each })))
}

fn text(state: &State) -> String {
    String::from_utf8(to_bytes(&state.page(), Form::OpenMetrics)).unwrap()
}

fn packets(state: &State) -> Vec<u64> {
    let text = text(state);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("tracer_packets_total{"));
    lines
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect()
}

fn state() -> State {
    State::new(
        Settings::default(),
        Journal::of(Past::default(), None),
        Arc::default(),
    )
}

#[test]
fn another_source_goes_on_where_the_first_one_ended() {
    let state = state();
    let mut watch = Watch::new(&state);
    watch.open(growing(100, 10)).unwrap();
    watch.look();
    assert!(packets(&state).iter().all(|&n| n == 100));
    // The first one ends at 110; the second has seen 7 of them by then, and sees 1 more.
    watch.open(growing(6, 1)).unwrap();
    assert!(packets(&state).iter().all(|&n| n == 110));
    watch.look();
    assert!(packets(&state).iter().all(|&n| n == 111));
}

#[test]
fn a_source_that_does_not_open_leaves_the_one_before() {
    let state = state();
    let mut watch = Watch::new(&state);
    watch.open(growing(1, 1)).unwrap();
    let refused = || {
        Err(Error::Kernel {
            doing: "attach".to_owned(),
            because: "no".to_owned(),
            advice: "later".to_owned(),
        })
    };
    assert!(watch.open(Box::new(refused)).is_err());
    assert!(watch.look().is_some());
}

/// A host that packets pass, with a program that counts those it follows.
struct Host {
    /// Packets a second.
    rate: u64,
    /// What the program takes for each of them, followed or not, in nanoseconds.
    running_ns: u64,
    /// All that passed.
    sent: u64,
    /// 1 packet in so many is followed.
    each: u64,
    /// How often the program was attached.
    attached: u64,
    /// What it counted since.
    counted: Counted,
}

#[derive(Clone, Default)]
struct Counted {
    seconds: u64,
    packets: u64,
    runs: u64,
    busy_ns: u64,
}

/// What the program takes more for a packet that it follows.
const FOLLOWING_NS: u64 = 100;

impl Host {
    fn second(&mut self) {
        self.sent += self.rate;
        let followed = self.rate / self.each;
        self.counted.seconds += 1;
        self.counted.packets += followed;
        self.counted.runs += self.rate;
        self.counted.busy_ns += self.rate * self.running_ns + followed * FOLLOWING_NS;
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Host>>);

impl Shared {
    fn new(rate: u64, running_ns: u64) -> Self {
        Self(Arc::new(Mutex::new(Host {
            rate,
            running_ns,
            sent: 0,
            each: 1,
            attached: 0,
            counted: Counted::default(),
        })))
    }

    fn open(&self) -> Open {
        let shared = self.clone();
        Box::new(move || {
            let mut host = shared.host();
            host.attached += 1;
            host.each = 1;
            host.counted = Counted::default();
            drop(host);
            Ok(Box::new(shared.clone()))
        })
    }

    fn host(&self) -> std::sync::MutexGuard<'_, Host> {
        self.0.lock().unwrap()
    }

    /// Seconds pass, with a reading each.
    fn pass(&self, watch: &mut Watch<'_>, seconds: usize) {
        for _ in 0..seconds {
            self.host().second();
            watch.next(Duration::from_secs(1));
        }
    }
}

impl Source for Shared {
    fn read(&mut self) -> Result<Arc<Reading>, Error> {
        let mut reading = example::lab();
        let Counted {
            seconds,
            packets,
            runs,
            busy_ns,
        } = self.host().counted.clone();
        for node in &mut reading.nodes {
            node.packets = packets;
            node.born = 0;
        }
        reading.duration_ns = seconds * 1_000_000_000;
        reading.programs = vec![ProgramWork {
            program: "queue".to_owned(),
            runs,
            busy_ns,
        }];
        Ok(Arc::new(reading))
    }

    fn follow(&mut self, share: f64) -> Result<(), Error> {
        self.host().each = (1.0 / share).round() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Reading, Error> {
        self.read().map(Arc::unwrap_or_clone)
    }
}

/// So much of one processor, as a share of all that there are here.
fn budget_of(processors: f64) -> Budget {
    let here = Rush::default().now().1 as f64;
    Budget::share_of(processors / here)
}

fn following(state: &State) -> String {
    let text = text(state);
    let line = text
        .lines()
        .find(|it| it.starts_with("tracer_sampling_ratio "));
    line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn in_a_flood_fewer_packets_are_followed_and_all_are_counted() {
    let state = state();
    let mut watch = Watch::new(&state);
    let host = Shared::new(1_000, 10);
    watch.govern(Some(budget_of(0.01)));
    watch.open(host.open()).unwrap();
    host.pass(&mut watch, 5);
    assert_eq!(following(&state), "1.0");

    host.host().rate = 360_000;
    host.pass(&mut watch, 5);
    let share: f64 = following(&state).parse().unwrap();
    assert!(share < 0.5 && share > 0.1, "{share}");
    host.pass(&mut watch, 5);

    host.host().rate = 1_000;
    host.pass(&mut watch, 10);
    assert_eq!(following(&state), "1.0");
    let sent = host.host().sent;
    for packets in packets(&state) {
        // What is left of a division by the share, a second.
        assert!(
            packets <= sent && packets > sent - 1_000,
            "{packets} {sent}"
        );
    }
    let page = text(&state);
    assert!(page.contains("tracer_governor_steps_total{direction=\"down\"} "));
    assert!(!page.contains("tracer_governor_steps_total{direction=\"down\"} 0"));
    assert!(page.contains("tracer_attached 1"), "{page}");
}

#[test]
fn programs_that_cost_too_much_in_any_case_are_detached_and_their_counts_stay() {
    let state = state();
    let mut watch = Watch::new(&state);
    let host = Shared::new(1_000_000, 100);
    watch.govern(Some(budget_of(0.01)));
    watch.open(host.open()).unwrap();
    let mut before = packets(&state);
    let mut rested = 0;
    while host.host().attached < 3 {
        host.pass(&mut watch, 1);
        let now = packets(&state);
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before));
        before = now;
        if watch.governor.rests() {
            rested += 1;
            assert_eq!(following(&state), "0.0");
            assert!(text(&state).contains("tracer_attached 0"));
            assert!(watch.look().is_none());
            assert!(state.age().unwrap() < Duration::from_secs(20));
        }
    }
    assert!(rested > 0);

    // The real host's packets may end the rest early; without it, it is the back-off's turn.
    host.host().rate = 1_000;
    host.pass(&mut watch, 70);
    assert_eq!(following(&state), "1.0");
    host.pass(&mut watch, 1);
    let last = packets(&state);
    host.pass(&mut watch, 1);
    let rise = packets(&state)
        .iter()
        .zip(&last)
        .all(|(now, last)| now - last == 1_000);
    assert!(rise);
}

#[test]
fn a_reload_while_nothing_is_attached_attaches_for_the_fewest_packets() {
    let state = state();
    let mut watch = Watch::new(&state);
    let host = Shared::new(1_000_000, 100);
    watch.govern(Some(budget_of(0.01)));
    watch.open(host.open()).unwrap();
    while !watch.governor.rests() {
        host.pass(&mut watch, 1);
    }
    watch.govern(None);
    watch.open(host.open()).unwrap();
    assert_eq!(following(&state), "0.015625");
    assert_eq!(host.host().each, 64);
    host.pass(&mut watch, 4);
    assert_eq!(following(&state), "1.0");
}
