//! However it ends, nothing of it stays in the kernel.

use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::topology::Line;
use lab::{Lab, NumberedUdp, Pace};
use nix::sys::signal::Signal;

use super::command::{Program, Running, TRACING, still_loaded};

const PORT: u16 = 9360;

/// The longest that attaching and detaching may take.
const LONGEST: Duration = Duration::from_secs(1);

/// How long until the kernel has freed all of these programs.
fn freed_in(programs: &[Program]) -> Duration {
    let start = Instant::now();
    while !still_loaded(programs).is_empty() {
        assert!(
            start.elapsed() < 10 * LONGEST,
            "still loaded: {:?}",
            still_loaded(programs)
        );
        sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

/// Runs some work beside a flood through a router.
fn beside_a_flood(work: impl FnOnce()) {
    let line = Line::new(Lab::new("ended").unwrap()).unwrap();
    let from = line.app_at.v4.into();
    let udp = NumberedUdp {
        count: 60_000,
        pace: Pace::Constant {
            per_second: 15_000.0,
        },
        ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
    };
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| udp.run().unwrap());
        work();
        flood.join().unwrap();
    });
}

#[test]
fn all_programs_only_watch() {
    let running = Running::start(&[]);
    println!("{:?}", running.programs);
    assert!(
        running
            .programs
            .iter()
            .all(|program| program.kind == TRACING)
    );
    assert_eq!(
        still_loaded(&running.programs).len(),
        running.programs.len()
    );
}

#[test]
fn it_attaches_and_detaches_within_a_second() {
    beside_a_flood(|| {
        sleep(Duration::from_millis(200));
        let running = Running::start(&["--port", &PORT.to_string()]);
        let (loaded, attached) = (running.loaded_in, running.attached_in);
        let programs = running.programs.clone();
        sleep(Duration::from_millis(500));
        let start = Instant::now();
        let said = running.interrupt();
        let ended = start.elapsed();
        let freed = freed_in(&programs);
        println!(
            "loaded in {loaded:.1?}, attached in {attached:.0?}, ended in {ended:.0?}, freed after {freed:.0?}"
        );
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(attached < LONGEST, "attached in {attached:?}");
        assert!(ended < LONGEST, "detached in {ended:?}");
    });
}

#[test]
fn a_killed_one_leaves_nothing_attached() {
    beside_a_flood(|| {
        let running = Running::start(&[]);
        let programs = running.programs.clone();
        sleep(Duration::from_millis(500));
        running.signal(Signal::SIGKILL);
        let said = running.wait();
        assert_eq!(said.code, None);
        let freed = freed_in(&programs);
        println!("freed after {freed:.0?}");
        assert!(freed < LONGEST, "{freed:?}");
    });
}

#[test]
fn ctrl_c_shows_what_was_seen_so_far_and_the_next_run_works() {
    let line = Line::new(Lab::new("interrupted").unwrap()).unwrap();
    let from = line.app_at.v4.into();
    let udp = NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        let running = Running::start(&["--port", &PORT.to_string()]);
        assert_eq!(udp.run().unwrap().received, 1000);
        running.signal(signal);
        let said = running.wait();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(
            said.out.contains("in 1,000 = 1,000 delivered"),
            "{}",
            said.out
        );
        assert!(said.out.contains(line.db.name()), "{}", said.out);
    }
}
