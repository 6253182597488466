//! The agent with the rights of its systemd unit, and what is left of them when it runs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;
use std::thread;

use caps::{CapSet, Capability};
use lab::topology::Line;
use lab::{Hook, Lab, NumberedUdp, Protocol};
use nix::sys::signal::Signal;
use tracer::source::live::rights;

use super::agent::{PORT, left};
use super::running::{Agent, Start, wait_until, write};

/// Linux's overflow user, who may do nothing (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;

const UNIT: &str = include_str!("../../dist/tracer.service");

/// The words of a setting of the unit.
fn of_unit(setting: &str) -> Vec<&'static str> {
    let lines = UNIT
        .lines()
        .filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).collect()
}

/// The agent as systemd would start it with these capabilities: as a user without any other, who
/// can't get more, and who may lock no memory.
fn with(capabilities: &[&str], config: &str) -> Start {
    let mut start = Start::live(&["--max-cpu", "off"]);
    let folder = start.folder.to_path_buf();
    let config = write(&folder, "tracer.toml", config);
    let copy = folder.join("tracer");
    // By a process of its own: a file that this one has open for writing can't be run.
    let copied = Command::new("install")
        .arg(env!("CARGO_BIN_EXE_tracer"))
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let names = capabilities
        .iter()
        .map(|name| name.trim_start_matches("CAP_"));
    let set = ["-all".to_owned()]
        .into_iter()
        .chain(names.map(|name| format!("+{}", name.to_lowercase())));
    let set = set.collect::<Vec<_>>().join(",");
    let user = NOBODY.to_string();
    let mut command = Command::new("prlimit");
    command.args([
        "--memlock=0:0",
        "setpriv",
        "--clear-groups",
        "--no-new-privs",
    ]);
    command.args(["--reuid", &user, "--regid", &user]);
    command.args(["--inh-caps", &set, "--ambient-caps", &set]);
    command.args(["--bounding-set", &set]);
    command
        .arg(&copy)
        .args(start.command.get_args())
        .args(["--config", &config])
        .current_dir("/");
    start.command = command;
    start
}

/// The sets of a process's threads, by name: the first thread's first.
fn sets(agent: &Agent, set: &str) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.id())).unwrap();
    let mut ids: Vec<u32> = tasks
        .map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    ids.sort_unstable();
    let status = |id: &u32| fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(set));
        u64::from_str_radix(line.unwrap().trim_start_matches(':').trim(), 16).unwrap()
    };
    ids.iter().map(|id| value(status(id))).collect()
}

/// The bits of capabilities, by name.
fn bits<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    names.into_iter().fold(0, |bits, name| {
        bits | name.parse::<Capability>().unwrap().bitmask()
    })
}

fn udp(line: &Line) -> NumberedUdp<'_> {
    let from = line.app_at.v4.into();
    NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
}

#[test]
fn the_rights_of_the_unit_trace_and_name_namespaces_and_attach_anew() {
    assert_eq!(of_unit("NoNewPrivileges"), ["yes"]);
    let ambient = of_unit("AmbientCapabilities");
    assert_eq!(ambient, of_unit("CapabilityBoundingSet"));
    let line = Line::new(Lab::new("unit").unwrap()).unwrap();
    let filter = format!("[filter]\nport = {PORT}\n");
    let agent = with(&ambient, &filter).run();
    agent.wait_until_ready();
    let udp = udp(&line);
    assert_eq!(udp.run().unwrap().received, 1000);
    wait_until("all are counted", || left(&agent, &line) >= 1000);
    assert_eq!(left(&agent, &line), 1000);

    let more = format!(
        "{filter}protocol = \"udp\"\nnamespace = \"{}\"\n",
        line.app.name()
    );
    write(&agent.folder, "tracer.toml", &more);
    agent.signal(Signal::SIGHUP);
    wait_until("it attaches anew", || {
        agent.metric("tracer_attachments_total") == Some(2.0)
    });
    assert_eq!(udp.run().unwrap().received, 1000);
    wait_until("all are counted", || left(&agent, &line) >= 2000);
    assert_eq!(left(&agent, &line), 2000);
    assert_eq!(agent.end(Signal::SIGTERM).0, Some(0));
}

#[test]
fn threads_keep_only_the_rights_that_they_need() {
    let check = |agent: &Agent, laid_aside: &[&str]| {
        agent.wait_until_ready();
        let tracing = bits(["CAP_BPF", "CAP_PERFMON"]);
        let permitted = tracing | bits(laid_aside.iter().copied());
        let seen: BTreeSet<_> = sets(agent, "CapEff").into_iter().collect();
        assert_eq!(seen, BTreeSet::from([0, tracing]));
        let seen = sets(agent, "CapPrm");
        assert_eq!(seen[0], 0, "the first thread serves");
        let others: Vec<_> = seen.iter().copied().filter(|&set| set != 0).collect();
        let names = bits(laid_aside.iter().copied());
        assert_eq!(
            others.iter().copied().collect::<BTreeSet<_>>(),
            BTreeSet::from([permitted, names]),
            "one thread reads, one follows the routes of namespaces"
        );
        assert_eq!(others.len(), 2);
        for set in ["CapInh", "CapAmb"] {
            assert!(sets(agent, set).iter().all(|&set| set == 0), "{set}");
        }
        assert!(sets(agent, "NoNewPrivs").iter().all(|&set| set == 1));
    };
    let unit = with(&of_unit("AmbientCapabilities"), "").run();
    check(&unit, &["CAP_SYS_ADMIN"]);
    let root = Start::live(&["--max-cpu", "off"]).run();
    check(
        &root,
        &["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"],
    );
    assert!(sets(&root, "CapBnd").iter().all(|&set| set == 0));
}

#[test]
fn the_reading_threads_rights_change_nothing_on_the_network() {
    let line = Line::new(Lab::new("rights").unwrap()).unwrap();
    let app = line.app.clone();
    let refused = |what: &str, done: anyhow::Result<()>| {
        let text = format!("{:?}", done.expect_err(what));
        println!("{what}: {text}");
        assert!(text.contains("not permitted"), "{what}: {text}");
    };
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            rights::keep_for_tracing().unwrap();
            for capability in [
                Capability::CAP_SYS_ADMIN,
                Capability::CAP_SYS_PTRACE,
                Capability::CAP_DAC_READ_SEARCH,
            ] {
                caps::raise(None, CapSet::Effective, capability).unwrap();
            }
            // It can enter, so that what follows fails there and not at the door.
            assert_eq!(app.run(|| 7), 7);
            let gateway = line.app_at.v4.into();
            refused("a route", app.route("192.0.2.0/24", gateway, "app0"));
            refused("a device", app.dummy("new"));
            refused(
                "a rule of nftables",
                app.drop_port(Hook::Input, Protocol::Udp, 9),
            );
            refused(
                "a queueing discipline",
                app.token_bucket("app0", 1000, 1600, 1600),
            );
        });
        work.join().unwrap();
    });
}

#[test]
fn each_capability_that_is_missing_is_named() {
    let lacking = |missing: &str| -> Vec<_> {
        let all = of_unit("AmbientCapabilities").into_iter();
        all.filter(|name| *name != missing).collect()
    };
    for missing in ["CAP_BPF", "CAP_PERFMON"] {
        let (code, said) = with(&lacking(missing), "").fail();
        assert_eq!(code, Some(1), "{said}");
        let expected = format!("load the kernel half: this process has not got {missing}; try ");
        assert!(said.contains(&expected), "{said}");
    }
    let line = Line::new(Lab::new("lacking").unwrap()).unwrap();
    let name = line.app.name();
    let config = format!("[filter]\nnamespace = \"{name}\"\n");
    let (code, said) = with(&lacking("CAP_SYS_ADMIN"), &config).fail();
    assert_eq!(code, Some(1), "{said}");
    let expected = format!("find the network namespace {name}: Operation not permitted");
    assert!(said.contains(&expected), "{said}");
    assert!(
        said.contains("entering it takes CAP_SYS_ADMIN; try "),
        "{said}"
    );

    // Without that filter it works, and knows namespaces by their inodes.
    let config = format!("[filter]\nport = {PORT}\n");
    let agent = with(&lacking("CAP_SYS_ADMIN"), &config).run();
    agent.wait_until_ready();
    assert_eq!(udp(&line).run().unwrap().received, 1000);
    let inode = format!("namespace=\"net:[{}]\"", line.app.inode());
    wait_until("it counts", || {
        agent.get("/metrics").text().contains(&inode)
    });
    // The namespaces that could not be entered are counted.
    wait_until("closed namespaces are told", || {
        agent.metric("tracer_mirror_failures_total{reason=\"closed\"}") >= Some(3.0)
    });
}
