//! A wire that gets ten times slower: one incident within seconds, and the same one after a restart.

use std::time::Duration;

use lab::topology::Wired;
use lab::{Lab, TcpServer, Users, WireSpec};
use serde_json::Value;
use tracer::detect::{Budget, Habit, Increase, Stream};
use tracer::judge::Saved;
use tracer::store::Settings;
use tracer::store::incidents::{IncidentNews, Incidents};

use super::agent::PORT;
use super::running::{Agent, Folder, Start, folder, wait_until, write};
use nix::sys::signal::Signal;

/// So long a stream watches until it knows what is normal, and some minutes more.
const LEARNT_S: u64 = 600;

/// What the agent saw in some seconds goes on for ten minutes.
fn make_older(state: &Folder) {
    let settings = Settings {
        directory: state.to_path_buf(),
        ..Settings::default()
    };
    let (mut store, kept, damaged) = Incidents::open(&settings).unwrap();
    assert!(damaged.is_none());
    let (own_ns, at) = kept.clock.unwrap();
    let thresholds = Budget::for_streams(100).thresholds(&Habit::known(3.0));
    let from_s = own_ns / 1_000_000_000;
    let streams = kept.streams.iter().map(|(key, bytes)| {
        let saved = Saved::from_bytes(*key, bytes).unwrap();
        let stream = grown_old(saved.stream, from_s, &thresholds);
        (*key, Some(Saved { stream, ..saved }.to_bytes()))
    });
    let news = IncidentNews {
        streams: streams.collect(),
        // The judge's clock goes on from there.
        clock: (own_ns + (LEARNT_S + 1) * 1_000_000_000, at),
        habit: Habit::known(3.0).to_bytes(),
        next: kept.next,
        ..IncidentNews::default()
    };
    store.write(&news).unwrap();
}

fn grown_old(mut stream: Stream, from_s: u64, thresholds: &tracer::detect::Thresholds) -> Stream {
    let quantiles = (1..20).map(|n| f64::from(n) / 20.0);
    let seen: Vec<u8> = quantiles
        .filter_map(|q| stream.baseline().fresh_quantile(q))
        .map(|edge| edge.ceil().clamp(0.0, 225.0) as u8)
        .collect();
    let mut increase = Increase::default();
    for second in 1..=LEARNT_S {
        increase.clear();
        for &bucket in &seen {
            increase.add(bucket, 2);
        }
        stream.observe(from_s + second, &increase, thresholds);
    }
    stream
}

fn incidents(agent: &Agent) -> Vec<Value> {
    let page: Value = serde_json::from_str(&agent.get("/api/incidents").text()).unwrap();
    page["incidents"].as_array().unwrap().clone()
}

/// The one screen says what was before, and of which incident this is a part.
fn the_screen_knows_it(agent: &Agent) {
    let asked = "/api/verdict?duration=4s&about=INC-1&form=";
    let text = agent.get(&format!("{asked}text")).text();
    println!("{text}");
    assert!(text.starts_with("PATH") && text.contains("INC-1"), "{text}");
    let answer: Value = serde_json::from_str(&agent.get(&format!("{asked}json")).text()).unwrap();
    let case = &answer["cases"][0];
    assert_eq!(
        (&case["word"], &case["incident"]),
        (&"path".into(), &"INC-1".into())
    );
    let grown = case["grown"].as_array().unwrap();
    let path = grown.iter().find(|it| it["part"] == "path").unwrap();
    let [before, now] = ["before", "now"].map(|when| path[when]["p50_ns"].as_u64().unwrap());
    assert!(before < 10_000_000 && now > 2 * before, "{path}");
    let missing = agent.get("/api/verdict?about=INC-9");
    assert_eq!(
        (missing.code, &*missing.text()),
        (404, "there is no INC-9\n")
    );
}

#[test]
fn a_wire_that_gets_slower_is_one_incident_and_stays_one() {
    let spec = WireSpec::delay(Duration::from_millis(2));
    let wired = Wired::new(Lab::new("incident").unwrap(), spec).unwrap();
    let state = folder();
    let config = write(&state, "tracer.toml", &format!("[filter]\nport = {PORT}\n"));
    let places = ["--config", &config, "--max-cpu", "off", "--state-directory"];
    let start = || {
        let agent = Start::live(&[&places[..], &[state.to_str().unwrap()]].concat()).run();
        agent.wait_until_ready();
        agent
    };
    let from = wired.app_at.v4.into();
    let to = wired.db_at.facing(from, PORT);
    let server = TcpServer::start(&wired.db, to).unwrap();
    let agent = start();
    let users = Users::start(
        (&wired.app, from),
        server.address(),
        10,
        Duration::from_millis(200),
    );
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(agent.end(Signal::SIGTERM).0, Some(0));
    make_older(&state);

    let agent = start();
    std::thread::sleep(Duration::from_secs(2));
    assert!(incidents(&agent).is_empty(), "{:#?}", incidents(&agent));
    wired.wire.set_delay(Duration::from_millis(20));
    let begun = std::time::Instant::now();
    wait_until("it is found", || !incidents(&agent).is_empty());
    println!("after {:?}", begun.elapsed());
    std::thread::sleep(Duration::from_secs(2));
    let found = incidents(&agent);
    println!("{found:#?}");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["state"], &found[0]["verdict"]),
        (&"open".into(), &"path".into())
    );
    assert!(agent.metric("tracer_findings_total") >= Some(1.0));
    the_screen_knows_it(&agent);
    // As it is at the end of the power.
    agent.end(Signal::SIGKILL);

    let agent = start();
    wait_until("it judges", || {
        agent.metric("tracer_heartbeat_timestamp_seconds") > Some(1e9)
    });
    std::thread::sleep(Duration::from_secs(2));
    let found = incidents(&agent);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (&found[0]["id"], &found[0]["state"]),
        (&"INC-1".into(), &"open".into())
    );
    users.stop().unwrap();
}
