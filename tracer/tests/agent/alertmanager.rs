//! Debian's Alertmanager gets an incident from the agent, and notifies once of it and once of its end.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::alerts::{agent, free, receive};
use super::asked::ask;
use super::incidents::{post, written};
use super::running::{Folder, folder, wait_until, write};
use super::scraped::program;

/// An Alertmanager that tells one receiver of everything; it is ended when this is dropped.
struct Alertmanager {
    child: Child,
    at: SocketAddr,
    _folder: Folder,
}

impl Alertmanager {
    fn start(hook: SocketAddr) -> Self {
        let folder = folder();
        let config = format!(
            "route: {{receiver: hook, group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers:\n\
             - name: hook\n  webhook_configs: [{{url: \"http://{hook}/\", send_resolved: true}}]\n"
        );
        let config = write(&folder, "alertmanager.yml", &config);
        // Free a moment ago; it does not say which one it would have taken.
        let at = free();
        let data = folder.join("data");
        let program = program("prometheus-alertmanager", "prometheus-alertmanager");
        let shared = program.ancestors().nth(2).unwrap().join("share");
        // It reads its templates by their absolute path: in a mount namespace of its own they are
        // there.
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg("mount --bind \"$0\" /usr/share && exec \"$@\"")
            .args([shared, program])
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.path={}", data.display()))
            .arg(format!("--web.listen-address={at}"))
            // It has no peers.
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let started = Self {
            child,
            at,
            _folder: folder,
        };
        wait_until("Alertmanager listens", || TcpStream::connect(at).is_ok());
        started
    }

    /// The alerts that fire.
    fn alerts(&self) -> Vec<Value> {
        let answer = ask(self.at, "GET /api/v2/alerts HTTP/1.0\r\n\r\n");
        serde_json::from_str(&answer.text()).unwrap()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_notifies_once_though_the_agent_is_killed_and_once_of_the_end() {
    let state = folder();
    written(&state);
    let hook = free();
    // The first request of its gets nonsense for an answer.
    let hooked = receive(hook);
    let manager = Alertmanager::start(hook);
    let config = format!("[alerts]\nalertmanagers = [\"http://{}\"]\n", manager.at);
    let first = agent(&state, &config, &[]);
    let told = || -> Vec<String> {
        let got = hooked.lock().unwrap();
        let status = |(_, body): &(String, Value)| body["status"].as_str().unwrap().to_owned();
        got.iter().map(status).collect()
    };
    wait_until("it notifies", || !told().is_empty());
    let alerts = manager.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["labels"]["incident"], "INC-7");
    first.end(Signal::SIGKILL);

    let second = agent(&state, &config, &[]);
    wait_until("it is told again", || {
        manager.alerts()[0]["updatedAt"] != alerts[0]["updatedAt"]
    });
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(told(), ["firing"], "once");
    assert_eq!(manager.alerts().len(), 1);

    assert_eq!(post(&second.socket(), "/api/incidents/7/accept").code, 200);
    wait_until("it notifies of the end", || told().len() == 2);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(told(), ["firing", "resolved"], "each once");
    assert!(manager.alerts().is_empty());
}
