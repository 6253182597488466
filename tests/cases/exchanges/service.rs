//! How long the peer took, from both sides, over a path that does its worst.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use lab::topology::Wired;
use lab::{Lab, TcpPairs, WireSpec, now_ns};
use tracer::model::Reading;
use tracer::model::connection::{Phase, Sight};

use super::seen::{port, trace_all};
use super::side::{BUCKET, asking, check_within_a_bucket, median_ms, serving, tell};

const PORT: u16 = 9710;

/// Answers requests of 100 bytes on one connection with 1000 bytes each, and returns how long it
/// really thought about each, in nanoseconds: on a busy machine it wakes late.
fn think(listener: TcpListener, think: Duration) -> JoinHandle<Vec<u64>> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut request, answer) = ([0; 100], [0; 1000]);
        let mut thoughts = Vec::new();
        while stream.read_exact(&mut request).is_ok() {
            let read_ns = now_ns();
            std::thread::sleep(think);
            thoughts.push(now_ns() - read_ns);
            if stream.write_all(&answer).is_err() {
                break;
            }
        }
        thoughts
    })
}

/// One connection to a server that thinks for a while about each request; what was seen, and the
/// median of its thoughts in milliseconds.
fn ask(think_ms: u64, path_ms: u64, loss: f64, count: u64) -> (Reading, f64) {
    println!("thinks {think_ms} ms, path {path_ms} ms, loss {loss}");
    let spec = WireSpec {
        loss,
        seed: 7,
        ..WireSpec::delay(Duration::from_micros(path_ms * 500))
    };
    let wired = Wired::new(Lab::new("exchanges").unwrap(), spec).unwrap();
    let to = SocketAddr::new(wired.db_at.v4.into(), PORT);
    let listener = wired.db.run(|| TcpListener::bind(to)).unwrap();
    let server = think(listener, Duration::from_millis(think_ms));
    let (_, reading, _) = trace_all(&port(PORT), || {
        let pairs = TcpPairs {
            count,
            patience: Duration::from_mins(1),
            ..TcpPairs::new((&wired.app, wired.app_at.v4.into()), to)
        };
        pairs.run().unwrap()
    });
    println!("asking: {}", tell(asking(&reading)));
    println!("serving: {}", tell(serving(&reading)));
    let mut thoughts = server.join().unwrap();
    thoughts.sort_unstable();
    (reading, thoughts[thoughts.len() / 2] as f64 / 1e6)
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
    let (reading, truth) = ask(think_ms, path_ms, 0.0, count);
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

#[test]
fn a_path_that_loses_puts_nothing_on_the_peers_account() {
    for (path_ms, loss, count) in [(0, 0.05, 250), (20, 0.01, 150), (20, 0.10, 120)] {
        let (reading, truth) = ask(1, path_ms, loss, count);
        check_count(&reading, count);
        let (asking, serving) = (asking(&reading), serving(&reading));
        let disturbed = asking.sight(Sight::Disturbed) + asking.sight(Sight::PeerOrWayBack);
        assert!(disturbed > 0, "{}", tell(asking));
        let peer = asking.phase(Phase::PeerAtMost);
        // No undisturbed exchange holds a timeout, which takes 200 ms at least.
        assert!(peer.max_ns().unwrap() < 150_000_000, "{}", tell(asking));
        let thinking = serving.phase(Phase::Thinking);
        assert!(
            thinking.max_ns().unwrap() < 150_000_000,
            "{}",
            tell(serving)
        );
        let median = thinking.quantile_ns(0.5).unwrap() as f64 / 1e6;
        check_within_a_bucket("thinking", median, truth);
    }
}
