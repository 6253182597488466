//! Debian's Prometheus scrapes the agent, and its quantiles are those of `tracer routes`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tracer::model::bucket;

use super::asked::ask;
use super::running::{Agent, Folder, folder, recording, wait_until, write};

/// A program of a Debian package, which `cargo xtask setup` unpacks into the target folder.
pub(crate) fn program(package: &str, name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_tracer")).ancestors().nth(2);
    let tools = target.unwrap().join("tools");
    let program = tools.join(package).join("usr/bin").join(name);
    assert!(
        program.exists(),
        "{} is missing: run cargo xtask setup",
        program.display()
    );
    program
}

/// A Prometheus with nothing but our agent to scrape; it is ended when this is dropped.
struct Prometheus {
    child: Child,
    port: u16,
    folder: Folder,
}

impl Prometheus {
    fn start(agent: &Agent, arguments: &[&str]) -> Self {
        let folder = folder();
        let config = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs:\n\
             - job_name: tracer\n  static_configs: [{{targets: [\"{}\"]}}]\n",
            agent.address
        );
        let config = write(&folder, "prometheus.yml", &config);
        // Free a moment ago; Prometheus does not say which one it would have taken.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(program("prometheus", "prometheus"))
            .arg(format!("--config.file={config}"))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self {
            child,
            port,
            folder,
        };
        wait_until("Prometheus listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        started
    }

    /// What an expression gives now, by labels.
    fn query(&self, expression: &str) -> BTreeMap<Labels, f64> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            let _ = write!(encoded, "%{byte:02X}");
        }
        let head = format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nhost: a\r\n\r\n");
        let answer = ask(([127, 0, 0, 1], self.port).into(), &head);
        let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else {
            return BTreeMap::new();
        };
        let rows = answer["data"]["result"].as_array();
        let rows = rows.unwrap_or_else(|| panic!("{expression}: {answer}; {}", self.log()));
        rows.iter()
            .map(|row| {
                let value = row["value"][1].as_str().unwrap().parse().unwrap();
                (labels(&row["metric"]), value)
            })
            .collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What tells a segment: the class, the hop, and the segment's name.
type Labels = [String; 8];

const LABELS: [&str; 8] = [
    "source",
    "destination",
    "protocol",
    "port",
    "namespace",
    "device",
    "segment",
    "next_hop",
];

fn labels(metric: &Value) -> Labels {
    LABELS.map(|name| metric[name].as_str().unwrap_or("").to_owned())
}

/// Packets and quantiles of each segment, as the command tells them. Hops that several routes share
/// are the same hop; two hops that are not, and have the same labels, are left out.
fn segments() -> BTreeMap<Labels, (u64, [u64; 3])> {
    let command = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["routes", "--json", "--replay", &recording()])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&command.stdout).unwrap();
    let mut found = BTreeMap::new();
    for route in report["routes"].as_array().unwrap() {
        let text = |key: &str| match &route[key] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        for hop in route["hops"].as_array().unwrap() {
            let segment = &hop["segment"];
            let Some(count) = segment["count"].as_u64().filter(|&count| count > 0) else {
                continue;
            };
            let own = |value: &Value| value.as_str().unwrap_or("").to_owned();
            let labels = [
                text("source"),
                text("destination"),
                text("protocol"),
                text("port"),
                own(&hop["netns"]),
                own(&hop["device"]),
                own(&segment["name"]),
                own(&hop["next_hop_mac"]),
            ];
            let quantiles =
                ["p50_ns", "p90_ns", "p99_ns"].map(|key| segment[key].as_u64().unwrap());
            let seen = found.insert(labels.clone(), Some((count, quantiles)));
            if seen.is_some_and(|seen| seen != Some((count, quantiles))) {
                found.insert(labels, None);
            }
        }
    }
    let found = found.into_iter();
    found
        .filter_map(|(labels, it)| Some((labels, it?)))
        .collect()
}

/// The bucket of a latency in seconds, of so many an octave as the histogram has.
fn bucket_of(seconds: f64, an_octave: usize) -> i64 {
    let bucket = bucket::index((seconds * 1e9) as u64);
    i64::try_from(bucket.div_ceil(8 / an_octave)).unwrap()
}

/// All quantiles of all segments lie in the same bucket as the command's, or in one beside it.
fn check(prometheus: &Prometheus, series: &str, an_octave: usize) {
    let segments = segments();
    assert!(segments.len() > 10, "{}", segments.len());
    wait_until("it has scraped", || {
        prometheus.query("tracer_readings_total > 1").len() == 1
    });
    let quantiles =
        [0.5, 0.9, 0.99].map(|q| prometheus.query(&format!("histogram_quantile({q}, {series})")));
    for (labels, (count, expected)) in &segments {
        for (found, expected) in quantiles.iter().zip(expected) {
            let found = found.get(labels);
            let found =
                found.unwrap_or_else(|| panic!("{labels:?} is not there: {}", prometheus.log()));
            let (there, here) = (
                bucket_of(*found, an_octave),
                bucket_of(*expected as f64 / 1e9, an_octave),
            );
            assert!(
                there.abs_diff(here) <= 1,
                "{labels:?}, {count}: {found} s and {expected} ns"
            );
        }
    }
    println!("{} segments, {series}", segments.len());
}

#[test]
fn its_quantiles_of_classic_histograms_are_the_commands() {
    let agent = Agent::start(&[]);
    let prometheus = Prometheus::start(&agent, &[]);
    let series = "sum by (le, source, destination, protocol, port, namespace, device, segment, \
                  next_hop) (tracer_segment_latency_seconds_bucket)";
    check(&prometheus, series, 1);
}

#[test]
fn its_quantiles_of_native_histograms_are_the_commands() {
    let agent = Agent::start(&[]);
    let prometheus = Prometheus::start(&agent, &["--enable-feature=native-histograms"]);
    let series = "tracer_segment_latency_seconds";
    wait_until("it has scraped native histograms", || {
        !prometheus
            .query(&format!("histogram_count({series})"))
            .is_empty()
    });
    check(&prometheus, series, 8);
    assert!(prometheus.query(&format!("{series}_bucket")).is_empty());
}

#[test]
fn promtool_is_content() {
    let agent = Agent::start(&[]);
    let page = agent.get_as("/metrics", "text/plain;version=0.0.4");
    let mut promtool = Command::new(program("prometheus", "promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(&page.body)
        .unwrap();
    let said = promtool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && text.trim().is_empty(), "{text}");
}
