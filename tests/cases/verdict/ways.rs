//! Three ways beyond the next hop, of which one is bad: told by the connections that take it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Direction;
use lab::Lab;
use lab::topology::Chain;
use tracer::model::verdict::{Claim, Fact, SomeConnections, Word};
use tracer::source::Settings;

use super::{PORT, component, first, look};

const CONNECTIONS: usize = 100;
const BETWEEN: Duration = Duration::from_millis(100);

/// Long-lived connections of app, on which it asks in turns.
struct Pool {
    streams: Vec<TcpStream>,
    ending: Arc<AtomicBool>,
    asking: Vec<JoinHandle<()>>,
}

impl Pool {
    fn open(chain: &Chain) -> Self {
        let to = SocketAddr::from((chain.db_at.v4, PORT));
        let listener = chain.db.run(|| TcpListener::bind(to)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer(stream));
            }
        });
        let connect = |_| {
            let stream = TcpStream::connect(to).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        };
        Self {
            streams: chain.app.run(|| (0..CONNECTIONS).map(connect).collect()),
            ending: Arc::default(),
            asking: Vec::new(),
        }
    }

    /// The ports whose answers take so long, by our own watch.
    fn slow_ports(&self, from: Duration) -> Vec<u16> {
        let is_slow = |stream: &&TcpStream| {
            let start = Instant::now();
            ask(stream);
            start.elapsed() >= from
        };
        let slow = self.streams.iter().filter(is_slow);
        let mut ports: Vec<u16> = slow.map(|it| it.local_addr().unwrap().port()).collect();
        ports.sort_unstable();
        ports
    }

    fn ask_from_now_on(&mut self) {
        for (at, stream) in self.streams.iter().enumerate() {
            let (stream, ending) = (stream.try_clone().unwrap(), Arc::clone(&self.ending));
            self.asking.push(std::thread::spawn(move || {
                std::thread::sleep(BETWEEN * at as u32 / CONNECTIONS as u32);
                while !ending.load(Ordering::Relaxed) {
                    ask(&stream);
                    std::thread::sleep(BETWEEN);
                }
            }));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for asking in self.asking.drain(..) {
            let _ = asking.join();
        }
    }
}

fn ask(mut stream: &TcpStream) {
    stream.write_all(&[0; 100]).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
}

fn answer(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    while stream.read_exact(&mut [0; 100]).is_ok() && stream.write_all(&[0; 1000]).is_ok() {}
}

fn settings(chain: &Chain) -> Settings {
    let mut settings = Settings {
        components: vec![component("app", chain.app_at), component("db", chain.db_at)],
        ..Settings::default()
    };
    settings.filter.port = Some(PORT);
    settings
}

/// What is said, and the ports that go by the second of the three.
fn one_of_three_is(bad: impl Fn(&Chain), word: Word, claim: Claim) -> (SomeConnections, Vec<u16>) {
    let chain = Chain::new(Lab::new("ways").unwrap()).unwrap();
    // The socket's hash goes along over a veth, routers take it for the ports', and each timeout has
    // another one: what no wire carries, and no connection there changes its way.
    chain.app.sysctl("core/txrehash", "0").unwrap();
    let mut pool = Pool::open(&chain);
    // Which ports go that way is measured by our own watch, by a delay that nobody else has.
    chain.wires[1].set_delay_of(Direction::Forth, Duration::from_millis(40));
    let ports = pool.slow_ports(Duration::from_millis(30));
    chain.wires[1].set_delay_of(Direction::Forth, Duration::ZERO);
    bad(&chain);
    pool.ask_from_now_on();
    std::thread::sleep(Duration::from_secs(1));

    let answer = look(&settings(&chain));
    let case = first(&answer, word);
    assert_eq!(case.judgement.claim, claim);
    let some = case.judgement.evidence.iter().find_map(|fact| match fact {
        Fact::SomeConnections(some) => Some(some.clone()),
        _ => None,
    });
    (some.unwrap(), ports)
}

/// The share is within 5 points of the truth, and of those that were judged none is on the wrong side.
#[track_caller]
fn is_told(some: &SomeConnections, truth: &[u16]) {
    let share = some.bad as f64 / some.of as f64;
    let expected = truth.len() as f64 / CONNECTIONS as f64;
    println!("{share} of {expected}: {some:?}");
    assert!((share - expected).abs() <= 0.05, "{share} of {expected}");
    assert!(some.bad_ports.iter().all(|port| truth.contains(port)));
    assert!(!some.good_ports.iter().any(|port| truth.contains(port)));
    assert!(some.of as usize >= CONNECTIONS / 2, "{some:?}");
}

#[test]
fn connections_by_the_slow_one_of_three_ways_are_told_by_their_ports() {
    let slow = |chain: &Chain| {
        chain.wires[1].set_delay_of(Direction::Forth, Duration::from_millis(40));
    };
    let (some, truth) = one_of_three_is(slow, Word::CantTell, Claim::SomeConnections);
    is_told(&some, &truth);
    assert!((38_000_000..60_000_000).contains(&some.worse.p50_ns));
    assert!(some.rest.p50_ns < 10_000_000);
}

#[test]
fn connections_by_the_one_of_three_ways_that_loses_are_told_by_their_ports() {
    let lossy = |chain: &Chain| chain.wires[1].set_loss(0.15);
    let (some, truth) = one_of_three_is(lossy, Word::Path, Claim::SomeWaysLose);
    is_told(&some, &truth);
}
