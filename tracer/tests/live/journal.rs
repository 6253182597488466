//! The journal: what changed, who did it, how old routes are, across the agent's ends.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::topology::Line;
use lab::{Lab, NumberedUdp};
use nix::sys::signal::Signal;
use serde_json::Value;
use tracer::model::journal::known::Row;
use tracer::model::journal::{Kind, Since, Subject, Who};
use tracer::store::{News, Settings, Store};

use super::agent::PORT;
use super::running::{Agent, Folder, Start, folder, wait_until, write};

const DAY: Duration = Duration::from_hours(24);

struct Field {
    line: Line,
    state: Folder,
    config: String,
}

impl Field {
    fn new(name: &str) -> Self {
        let line = Line::new(Lab::new(name).unwrap()).unwrap();
        let state = folder();
        // Of a flood not each packet is timed otherwise.
        let config = format!("[filter]\nport = {PORT}\n[timing]\none_in = 1\n");
        let config = write(&state, "tracer.toml", &config);
        Self {
            line,
            state,
            config,
        }
    }

    fn agent(&self) -> Agent {
        let state = self.state.to_str().unwrap();
        let arguments = [
            "--config",
            &self.config,
            "--max-cpu",
            "off",
            "--state-directory",
            state,
        ];
        let agent = Start::live(&arguments).run();
        agent.wait_until_ready();
        agent
    }

    fn udp(&self) -> NumberedUdp<'_> {
        let from = self.line.app_at.v4.into();
        let to = self.line.db_at.facing(from, PORT);
        NumberedUdp::new((&self.line.app, from), (&self.line.db, to))
    }

    fn ip(&self, words: &str) -> u32 {
        let mut child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.line.app.name()))
            .arg("ip")
            .args(words.split(' '))
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(child.wait().unwrap().success(), "{words}");
        pid
    }

    /// The changes of the app's routes.
    fn changes(&self, agent: &Agent) -> Vec<Value> {
        let page = json(agent, "/api/changes?since=1h");
        let all = page["changes"].as_array().unwrap().iter();
        let is_ours = |it: &&Value| it["netns"] == self.line.app.name() && it["kind"] == "route";
        all.filter(is_ours).cloned().collect()
    }

    /// Where the app's packets go, as one route of the agent has it.
    fn entry(&self, agent: &Agent) -> Option<Value> {
        let page = json(agent, "/api/routes");
        let hops = page["routes"].as_array()?.iter();
        let mut hops = hops.flat_map(|route| route["hops"].as_array().unwrap());
        let found = hops.find(|hop| hop["netns"] == self.line.app.name() && !hop["fib"].is_null());
        found.map(|hop| hop["fib"].clone())
    }
}

/// What `tracer blame` says of the one route of the app's to a prefix.
fn blamed(field: &Field, prefix: &str, socket: &str) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["blame", prefix, "--json", "--netns", field.line.app.name()])
        .args(["--socket", socket, "--state-directory"])
        .arg(field.state.as_os_str())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let problem = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{problem}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["routes"].as_array().unwrap().len(), 1, "{said:#}");
    said["routes"][0].clone()
}

fn json(agent: &Agent, path: &str) -> Value {
    serde_json::from_str(&agent.get(path).text()).unwrap()
}

fn sum(of: &Value, what: &str) -> u64 {
    ["before", "during", "after"]
        .iter()
        .map(|part| of[part][what].as_u64().unwrap())
        .sum()
}

#[test]
fn a_change_has_its_maker_and_all_packets_before_during_and_after() {
    let field = Field::new("journal");
    let agent = field.agent();
    field.udp().run().unwrap();
    wait_until("the route is known", || field.entry(&agent).is_some());
    let entry = field.entry(&agent).unwrap();
    let (prefix, gateway) = (
        entry["prefix"].as_str().unwrap(),
        entry["gateway"].as_str().unwrap(),
    );
    let pid = field.ip(&format!("route replace {prefix} via {gateway} mtu 1400"));
    wait_until("it is in the journal", || !field.changes(&agent).is_empty());
    let told = || field.changes(&agent).last().unwrap().clone();
    let all_are_counted = |all| {
        field.udp().run().unwrap();
        wait_until("all packets are counted", || {
            let told = told();
            let classes = told["classes"].as_array().unwrap();
            classes.iter().any(|class| sum(class, "packets") == all)
        });
        told()["classes"][0].clone()
    };
    // Until the next reading, the change is still going on.
    let soon = all_are_counted(2000);
    let later = all_are_counted(3000);
    let change = told();
    println!("{change:#}");
    for what in ["packets", "count"] {
        assert_eq!(later["before"][what], 1000);
        assert_eq!(later["during"], soon["during"]);
        let after = soon["after"][what].as_u64().unwrap();
        assert_eq!(later["after"][what], after + 1000);
        assert_eq!(sum(&later, what), 3000);
    }
    assert_eq!(change["who"]["ancestry"][0]["command"], "ip");
    assert_eq!(change["who"]["ancestry"][0]["pid"], pid);
    assert!(change["after"].as_str().unwrap().contains("mtu 1400"));
    let text = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .arg("changes")
        .arg("--socket")
        .arg(agent.socket())
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    println!("{text}");
    assert!(text.contains("by ip"), "{text}");
}

#[test]
fn ages_and_epochs_outlive_the_agent() {
    let field = Field::new("ages");
    let name = field.line.app.name().to_owned();
    // Learn what the route is called.
    let agent = field.agent();
    field.udp().run().unwrap();
    wait_until("the route is known", || field.entry(&agent).is_some());
    let entry = field.entry(&agent).unwrap();
    let prefix = entry["prefix"].as_str().unwrap().to_owned();
    assert_eq!(entry["age_exact"], false, "nobody saw how it was made");
    assert_eq!(agent.end(Signal::SIGTERM).0, Some(0));

    // 143 days ago somebody made it.
    let settings = Settings {
        directory: field.state.to_path_buf(),
        ..Settings::default()
    };
    let subject = Subject {
        kind: Kind::Route,
        name: format!("{prefix} table main"),
    };
    {
        let (mut store, past, damaged) = Store::open(&settings).unwrap();
        assert!(damaged.is_none());
        let key = (name, subject);
        let row = past.known.iter().find(|(of, _)| *of == key);
        let row = row.expect("the last known state").1.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let since = Since {
            at: u64::try_from(now.checked_sub(143 * DAY).unwrap().as_nanos()).unwrap(),
            exact: true,
        };
        let row = Row {
            since,
            who: Who::Kernel,
            ..row
        };
        let news = News {
            known: vec![(key, Some(row))],
            next: past.next,
            heard: past.heard.unwrap(),
            boot: past.boot.unwrap(),
            ..News::default()
        };
        store.write(&news).unwrap();
    }
    let agent = field.agent();
    field.udp().run().unwrap();
    wait_until("its age is known", || {
        field
            .entry(&agent)
            .is_some_and(|entry| entry["age_s"].as_u64() >= Some(143 * 86_400))
    });
    let entry = field.entry(&agent).unwrap();
    assert_eq!(entry["age_s"].as_u64().unwrap() / 86_400, 143);
    assert_eq!(entry["age_exact"], true);
    let said = blamed(&field, &prefix, agent.socket().to_str().unwrap());
    assert_eq!(said["age_s"].as_u64().unwrap() / 86_400, 143);
    assert_eq!(
        (&said["age_exact"], &said["set_by"]["kind"]),
        (&Value::from(true), &Value::from("kernel"))
    );
    assert_eq!(said["journal_until"], Value::Null);
    let gateway = entry["gateway"].as_str().unwrap().to_owned();
    let pid = field.ip(&format!("route replace {prefix} via {gateway} mtu 1400"));
    wait_until("it is in the journal", || !field.changes(&agent).is_empty());
    let id = field.changes(&agent)[0]["id"].clone();
    wait_until("it is on disk", || {
        std::thread::sleep(Duration::from_millis(500));
        true
    });
    let said = blamed(&field, &prefix, agent.socket().to_str().unwrap());
    assert_eq!(said["set_by"]["ancestry"][0]["pid"], pid);
    drop(agent);

    // Killed: the journal on disk says it.
    let said = blamed(&field, &prefix, "");
    assert_eq!(said["set_by"]["ancestry"][0]["pid"], pid, "{said:#}");
    assert!(said["journal_until"].is_string(), "{said:#}");

    // Changed while nobody looked: what is on disk is of another state.
    field.ip(&format!("route replace {prefix} via {gateway} mtu 1300"));
    let said = blamed(&field, &prefix, "");
    assert_eq!(
        (&said["age_s"], &said["set_by"]),
        (&Value::Null, &Value::Null)
    );
    let because = said["not_known"].as_str().unwrap();
    assert!(because.contains("otherwise"), "{because}");
    let agent = field.agent();
    wait_until("both are known", || field.changes(&agent).len() == 2);
    let changes = field.changes(&agent);
    println!("{changes:#?}");
    assert_eq!(changes[0]["id"], id);
    assert_eq!(changes[0]["who"]["ancestry"][0]["pid"], pid);
    assert_eq!(changes[1]["who"]["kind"], "unknown");
    assert!(changes[1]["since"].is_string());
    assert!(changes[1]["after"].as_str().unwrap().contains("mtu 1300"));
    field.udp().run().unwrap();
    wait_until("it is young", || {
        let young = |entry: Value| entry["age_s"].as_u64().is_some_and(|age| age < 600);
        field.entry(&agent).is_some_and(young)
    });
    assert_eq!(field.entry(&agent).unwrap()["age_exact"], false);
}

#[test]
fn on_a_full_disk_journal_and_incidents_go_on_in_memory_and_come_back() {
    const DIR: &str = "full";
    let field = Field::new("full");
    let state = field.state.join(DIR);
    std::fs::create_dir_all(&state).unwrap();
    let state = state.to_str().unwrap();
    let arguments = [
        "--config",
        &field.config,
        "--max-cpu",
        "off",
        "--state-directory",
        state,
    ];
    let mut start = Start::live(&arguments);
    // A disk of its own, which nobody else sees.
    let script = "mount -t tmpfs -o size=32k tmpfs \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, state]);
    command
        .arg(start.command.get_program())
        .args(start.command.get_args());
    start.command = command;
    let agent = start.run();
    agent.wait_until_ready();
    field.udp().run().unwrap();
    wait_until("the route is known", || field.entry(&agent).is_some());
    let entry = field.entry(&agent).unwrap();
    let (prefix, gateway) = (
        entry["prefix"].as_str().unwrap(),
        entry["gateway"].as_str().unwrap(),
    );
    field.ip(&format!("route replace {prefix} via {gateway} mtu 1400"));
    wait_until("it is in the journal", || !field.changes(&agent).is_empty());
    assert_eq!(agent.metric("tracer_journal_on_disk"), Some(0.0));
    let because = json(&agent, "/api/changes")["not_on_disk"].clone();
    println!("{because}");
    assert!(
        because
            .as_str()
            .unwrap()
            .contains("No space left on device"),
        "{because}"
    );
    assert!(agent.metric("tracer_journal_write_failures_total") >= Some(1.0));
    // So do incidents, and a full disk is none.
    wait_until("incidents are in memory alone", || {
        agent.metric("tracer_incidents_on_disk") == Some(0.0)
    });
    let incidents = json(&agent, "/api/incidents");
    assert!(incidents["not_on_disk"].is_string(), "{incidents}");
    assert_eq!(incidents["incidents"], Value::from(Vec::<Value>::new()));
    // There is room again.
    let pid = agent.id().to_string();
    let grown = Command::new("nsenter")
        .args([
            "--target",
            &pid,
            "--mount",
            "mount",
            "-o",
            "remount,size=64m",
            state,
        ])
        .status();
    assert!(grown.unwrap().success());
    wait_until("it is on disk", || {
        agent.metric("tracer_journal_on_disk") == Some(1.0)
    });
    wait_until("incidents are too", || {
        agent.metric("tracer_incidents_on_disk") == Some(1.0)
    });
    assert_eq!(field.changes(&agent).len(), 1);
}
