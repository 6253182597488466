//! A lab leaves nothing behind, however it ends, and the host's own network is not touched.

use std::fs;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::topology::Line;
use lab::{Lab, Recorder};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::net::if_::if_nameindex;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// In a child process: the test that only waits to be ended. See [`ended_by`].
const CHILD: &str = "LAB_CHILD";

fn leftovers(of: &str) -> Vec<String> {
    let places = ["/run/netns", "/run/tracer-lab", "/run/tracer-lab.tracing"];
    let entries = places.iter().filter_map(|place| fs::read_dir(place).ok());
    let names = entries.flatten().flatten().map(|entry| entry.path());
    let names = names.map(|path| path.display().to_string());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mounts = mounts.lines().map(str::to_owned);
    names
        .chain(mounts)
        .chain(instances())
        .filter(|name| name.contains(of))
        .collect()
}

/// The instances of tracefs, seen through a mount of our own.
fn instances() -> Vec<String> {
    let id = (std::process::id(), std::thread::current().id());
    let point = std::env::temp_dir().join(format!("seen-by-{id:?}"));
    fs::create_dir_all(&point).unwrap();
    let none = None::<&str>;
    mount(none, &point, Some("tracefs"), MsFlags::empty(), none).unwrap();
    let names = fs::read_dir(point.join("instances")).unwrap().flatten();
    let names = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    umount2(&point, MntFlags::MNT_DETACH).unwrap();
    fs::remove_dir(&point).unwrap();
    names
}

fn names() -> Vec<String> {
    let links = if_nameindex().unwrap();
    links.iter().map(|link| format!("{link:?}")).collect()
}

#[test]
fn the_hosts_links_are_as_they_were() {
    let before = names();
    let line = Line::new(Lab::new("host").unwrap()).unwrap();
    assert_eq!(names(), before);
    drop(line);
    assert_eq!(names(), before);
}

#[test]
fn a_namespace_has_a_name_while_it_lives() {
    let line = Line::new(Lab::new("named").unwrap()).unwrap();
    let app = fs::metadata(format!("/run/netns/{}", line.app.name())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&app), line.app.inode());
    assert_ne!(line.app.cookie(), line.db.cookie());
    let name = line.lab.name().to_owned();
    assert_ne!(leftovers(&name), Vec::<String>::new());
    drop(line);
    assert_eq!(leftovers(&name), Vec::<String>::new());
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let mut name = String::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let line = Line::new(Lab::new("panics").unwrap()).unwrap();
        name = line.lab.name().to_owned();
        let _recorder = Recorder::start(&line.lab).unwrap();
        panic!("on purpose");
    }));
    assert!(panic.is_err());
    assert_eq!(leftovers(&name), Vec::<String>::new());
}

#[test]
fn signals_leave_nothing_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let name = ended_by(signal);
        assert_eq!(leftovers(&name), Vec::<String>::new(), "{signal}");
    }
}

#[test]
fn the_next_lab_removes_what_a_killed_process_left() {
    let name = ended_by(Signal::SIGKILL);
    drop(Lab::new("next").unwrap());
    // Another test's lab may have been the next, and still be at it.
    let patience = Instant::now() + Duration::from_secs(5);
    while !leftovers(&name).is_empty() && Instant::now() < patience {
        sleep(Duration::from_millis(10));
    }
    assert_eq!(leftovers(&name), Vec::<String>::new());
}

#[test]
fn a_fixed_name_is_taken_once() {
    let name = format!("fixed-{}", std::process::id());
    let first = Lab::fixed(&name).unwrap();
    let app = first.namespace("app").unwrap();
    assert_eq!(app.name(), format!("{name}-app"));
    assert!(Lab::fixed(&name).is_err());
    drop(first);
    Lab::fixed(&name).unwrap().namespace("app").unwrap();
}

/// Runs a lab in a process of its own, ends that by a signal, and returns the lab's name.
fn ended_by(signal: Signal) -> String {
    let mut child = start_child();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let name = lines
        .map_while(Result::ok)
        .find_map(|line| {
            line.split_once(CHILD)?
                .1
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
        .expect("the child names its lab");
    assert_ne!(leftovers(&name), Vec::<String>::new());
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(signal as i32)
    );
    name
}

fn start_child() -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--ignored"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the child process of the tests about signals"]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        let line = Line::new(Lab::new("child").unwrap()).unwrap();
        let _recorder = Recorder::start(&line.lab).unwrap();
        println!("{CHILD} {}", line.lab.name());
        sleep(Duration::from_mins(1));
    }
}
