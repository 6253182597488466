//! How long the peer took, from both sides, over a path that does its worst.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use lab::topology::Wired;
use lab::{Direction, Lab, TcpPairs, WireSpec, now_ns};
use tracer::model::Reading;
use tracer::model::connection::{Phase, Sight};

use super::seen::{port, trace_all};
use super::side::{BUCKET, asking, check_within_a_bucket, median_ms, serving, tell};

const PORT: u16 = 9710;

/// Answers requests of 100 bytes on one connection with 1000 bytes each, and returns when it had read
/// each and when it answered: on a busy machine it wakes late.
fn think(listener: TcpListener, think: Duration) -> JoinHandle<Vec<[u64; 2]>> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut request, answer) = ([0; 100], [0; 1000]);
        let mut thoughts = Vec::new();
        while stream.read_exact(&mut request).is_ok() {
            let read_ns = now_ns();
            std::thread::sleep(think);
            thoughts.push([read_ns, now_ns()]);
            if stream.write_all(&answer).is_err() {
                break;
            }
        }
        thoughts
    })
}

/// What was seen of one connection, and the truth.
struct Asked {
    reading: Reading,
    /// The median of the server's thoughts, in milliseconds.
    thought_ms: f64,
    /// The median of the time from the request's arrival to the answer, waking up included, in
    /// milliseconds; the request took no less than the wire's delay.
    served_ms: f64,
    /// Answers that took so long that something was sent again, whatever it was.
    late: u64,
}

/// An answer that took so much longer than path and thought waited for a timeout: that is 200 ms at
/// least.
const LATE: Duration = Duration::from_millis(200);

/// The shares of packets that the path loses.
#[derive(Clone, Copy, Debug)]
struct Loss {
    there: f64,
    back: f64,
}

impl Loss {
    const NONE: Self = Self::both(0.0);

    const fn both(share: f64) -> Self {
        Self {
            there: share,
            back: share,
        }
    }

    const fn there(share: f64) -> Self {
        Self {
            there: share,
            back: 0.0,
        }
    }

    const fn back(share: f64) -> Self {
        Self {
            there: 0.0,
            back: share,
        }
    }
}

/// One connection to a server that thinks for a while about each request.
fn ask(think_ms: u64, path_ms: u64, loss: Loss, count: u64) -> Asked {
    println!("thinks {think_ms} ms, path {path_ms} ms, loss {loss:?}");
    let spec = WireSpec {
        seed: 7,
        ..WireSpec::delay(Duration::from_micros(path_ms * 500))
    };
    let wired = Wired::new(Lab::new("exchanges").unwrap(), spec).unwrap();
    wired.wire.set_loss_of(Direction::Forth, loss.there);
    wired.wire.set_loss_of(Direction::Back, loss.back);
    let to = SocketAddr::new(wired.db_at.v4.into(), PORT);
    let listener = wired.db.run(|| TcpListener::bind(to)).unwrap();
    let server = think(listener, Duration::from_millis(think_ms));
    let (pairs, reading, _) = trace_all(&port(PORT), || {
        let pairs = TcpPairs {
            count,
            patience: Duration::from_mins(1),
            ..TcpPairs::new((&wired.app, wired.app_at.v4.into()), to)
        };
        pairs.run().unwrap()
    });
    println!("asking: {}", tell(asking(&reading)));
    println!("serving: {}", tell(serving(&reading)));
    let moments = server.join().unwrap();
    let thoughts = || {
        moments
            .iter()
            .map(|[read_ns, answered_ns]| answered_ns - read_ns)
    };
    let late = pairs.iter().zip(thoughts()).filter(|(pair, thought)| {
        let expected = Duration::from_nanos(*thought) + Duration::from_millis(path_ms);
        pair.latency() > expected + LATE
    });
    let there_ns = path_ms * 500_000;
    let took = pairs.iter().zip(&moments);
    let took = took.map(|(pair, [_, answered_ns])| answered_ns - pair.sent_ns - there_ns);
    Asked {
        late: late.count() as u64,
        thought_ms: median(thoughts().collect()),
        served_ms: median(took.collect()),
        reading,
    }
}

fn median(mut all: Vec<u64>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2] as f64 / 1e6
}

/// All exchanges are counted, each in one state.
fn check_count(reading: &Reading, count: u64) {
    for side in [asking(reading), serving(reading)] {
        let all = [
            Sight::Undisturbed,
            Sight::Disturbed,
            Sight::PeerOrWayBack,
            Sight::Overlapping,
        ];
        let sum: u64 = all.iter().map(|&state| side.sight(state)).sum();
        // A program that is skipped where it would nest in itself sees no segment.
        assert!(
            sum <= count && sum + 3 >= count,
            "{sum} of {count}: {}",
            tell(side)
        );
    }
}

fn check(think_ms: u64, path_ms: u64, count: u64) {
    let asked = ask(think_ms, path_ms, Loss::NONE, count);
    let (reading, truth) = (asked.reading, asked.thought_ms);
    check_count(&reading, count);
    let (asking, serving) = (asking(&reading), serving(&reading));
    assert!(asking.sight(Sight::Undisturbed) + 3 >= count);
    assert!(serving.sight(Sight::Undisturbed) + 3 >= count);
    if think_ms == 0 {
        return;
    }
    let thinking = median_ms(serving, Phase::Thinking, count / 2);
    check_within_a_bucket("thinking", thinking, truth);
    let peer = median_ms(asking, Phase::PeerAtMost, count / 2);
    println!("peer at most {peer:.3} ms");
    // It is a bound: the peer took no longer, but for the width of a bucket.
    assert!(peer >= truth / BUCKET, "{}", tell(asking));
    let least = asking.phase(Phase::PeerAtLeast);
    assert_eq!(least.count(), asking.sight(Sight::Undisturbed));
    let least = least.quantile_ns(0.5).unwrap() as f64 / 1e6;
    assert!(least <= truth * BUCKET, "{}", tell(asking));
}

#[test]
fn a_peer_that_thinks_is_told_from_its_path() {
    check(0, 0, 100);
    check(1, 0, 100);
    check(30, 0, 60);
    check(1, 20, 60);
    check(30, 20, 40);
    check(30, 100, 25);
}

/// Thoughts and path in milliseconds, and loss.
type Cell = (u64, u64, Loss);

/// All that a peer and a path are asked for, where `LAB_WHOLE` is set; else some of it.
fn cells() -> Vec<(Cell, u64)> {
    if std::env::var_os("LAB_WHOLE").is_none() {
        return vec![
            ((1, 0, Loss::both(0.05)), 250),
            ((1, 20, Loss::both(0.01)), 150),
            ((1, 20, Loss::there(0.10)), 120),
            ((1, 20, Loss::back(0.10)), 120),
            ((0, 20, Loss::both(0.05)), 100),
            ((30, 100, Loss::both(0.05)), 30),
        ];
    }
    let mut all = Vec::new();
    for think_ms in [0, 1, 30] {
        for share in [0.01, 0.05, 0.10] {
            for loss in [Loss::both(share), Loss::there(share), Loss::back(share)] {
                all.extend([(0, 200), (20, 100), (100, 40)].map(|(path_ms, count)| {
                    let cell: Cell = (think_ms, path_ms, loss);
                    (cell, count)
                }));
            }
        }
    }
    all
}

#[test]
fn a_path_that_loses_puts_nothing_on_the_peers_account() {
    for ((think_ms, path_ms, loss), count) in cells() {
        let asked = ask(think_ms, path_ms, loss, count);
        let (reading, truth) = (&asked.reading, asked.thought_ms);
        check_count(reading, count);
        let (asking, serving) = (asking(reading), serving(reading));
        let disturbed = asking.sight(Sight::Disturbed) + asking.sight(Sight::PeerOrWayBack);
        println!("{disturbed} disturbed, {} late", asked.late);
        // Whatever waited for a timeout is among them.
        assert!(disturbed >= asked.late, "{}", tell(asking));
        if (loss.there + loss.back) * count as f64 > 10.0 {
            assert!(disturbed > 0, "{}", tell(asking));
        }
        let peer = asking.phase(Phase::PeerAtMost);
        // No undisturbed exchange holds a timeout, which takes 200 ms at least.
        assert!(peer.max_ns().unwrap() < 150_000_000, "{}", tell(asking));
        let thinking = serving.phase(Phase::Thinking);
        assert!(
            thinking.max_ns().unwrap() < 150_000_000,
            "{}",
            tell(serving)
        );
        if think_ms > 0 {
            let median = thinking.quantile_ns(0.5).unwrap() as f64 / 1e6;
            check_within_a_bucket("thinking", median, truth);
            // From the asking side it lies between both bounds.
            let bound = |phase| asking.phase(phase).quantile_ns(0.5).unwrap() as f64 / 1e6;
            let [least, most] = [Phase::PeerAtLeast, Phase::PeerAtMost].map(bound);
            println!("peer {least:.3} to {most:.3} ms, in truth {truth:.3} ms");
            assert!(
                least <= truth * BUCKET && most >= truth / BUCKET,
                "{}",
                tell(asking)
            );
        }
        // An innocent peer is not accused: losses add nothing to what it really took.
        let most = peer.quantile_ns(0.5).unwrap() as f64 / 1e6;
        println!(
            "peer at most {most:.3} ms, served in {:.3} ms",
            asked.served_ms
        );
        assert!(most <= (asked.served_ms + 1.0) * BUCKET, "{}", tell(asking));
    }
}

/// What was seen of a server that reads late, or thinks long, and the truth at the median.
struct Served {
    reading: Reading,
    /// For how long requests waited to be read, in milliseconds: at least and at most, since nobody
    /// but the kernel knows when they came.
    waited_ms: [f64; 2],
    thought_ms: f64,
}

/// Requests over a path of 2 ms each way to a server that reads so late and thinks so long.
fn wait_and_think(late: Duration, long: Duration) -> Served {
    let path = Duration::from_millis(2);
    let wired = Wired::new(Lab::new("exchanges").unwrap(), WireSpec::delay(path)).unwrap();
    let to = SocketAddr::new(wired.db_at.v4.into(), PORT);
    let listener = wired.db.run(|| TcpListener::bind(to)).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut request, answer) = ([0; 100], [0; 1000]);
        let mut moments = Vec::new();
        while stream.peek(&mut request[..1]).is_ok_and(|came| came > 0) {
            let woken_ns = now_ns();
            std::thread::sleep(late);
            stream.read_exact(&mut request).unwrap();
            let read_ns = now_ns();
            std::thread::sleep(long);
            moments.push([woken_ns, read_ns, now_ns()]);
            stream.write_all(&answer).unwrap();
        }
        moments
    });
    let (pairs, reading, _) = trace_all(&port(PORT), || {
        let pairs = TcpPairs {
            count: 30,
            ..TcpPairs::new((&wired.app, wired.app_at.v4.into()), to)
        };
        pairs.run().unwrap()
    });
    let moments = server.join().unwrap();
    let all = || pairs.iter().zip(&moments);
    let path_ns = path.as_nanos() as u64;
    let at_least = all().map(|(_, [woken_ns, read_ns, _])| read_ns - woken_ns);
    let at_most = all().map(|(pair, [_, read_ns, _])| read_ns - pair.sent_ns - path_ns);
    let thought = all().map(|(_, [_, read_ns, answered_ns])| answered_ns - read_ns);
    Served {
        reading,
        waited_ms: [median(at_least.collect()), median(at_most.collect())],
        thought_ms: median(thought.collect()),
    }
}

#[test]
fn reading_late_is_told_from_thinking_long() {
    let [short, long] = [Duration::ZERO, Duration::from_millis(30)];
    for (late, thinks) in [(long, short), (short, long)] {
        let served = wait_and_think(late, thinks);
        let serving = serving(&served.reading);
        println!("{}", tell(serving));
        let waiting = median_ms(serving, Phase::Waiting, 25);
        let [least, most] = served.waited_ms;
        println!("waiting {waiting:.3} ms, in truth {least:.3} to {most:.3} ms");
        assert!(waiting >= least / BUCKET && waiting <= most * BUCKET);
        let thinking = median_ms(serving, Phase::Thinking, 25);
        if thinks == long {
            check_within_a_bucket("thinking", thinking, served.thought_ms);
        } else {
            assert!(thinking < 5.0 && waiting > 25.0, "{}", tell(serving));
        }
    }
}
