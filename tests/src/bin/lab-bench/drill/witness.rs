//! The agent, and what it says: its incidents as they come, and the screen when somebody asks.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer::model::verdict::Word;

use super::scene::Scene;
use super::view::View;
use crate::running::{Agent, Answer};

/// The look of whoever asks for the screen.
const LOOK: &str = "/api/verdict?duration=8s&form=json";

pub(super) struct Witness {
    pub(super) view: View,
    agent: Agent,
    /// Whether what is found of an incident that had begun before is a sign of a new fault. Where
    /// nobody waits for the end of the one before it is not.
    is_quiet_before: bool,
    /// Incidents of earlier faults, and what had happened to each by then.
    old: BTreeMap<String, Signs>,
}

/// What was said of a fault.
pub(super) struct Seen {
    /// From the moment it was set to the first incident; where the agent came later, from its start to
    /// its answer.
    pub(super) detected: Option<Duration>,
    pub(super) incidents: Vec<Incident>,
    pub(super) screen: Screen,
}

/// How often an incident had come, how many findings it had, and how often these had come.
type Signs = [u64; 3];

pub(super) struct Incident {
    id: String,
    signs: Signs,
    is_open: bool,
    /// Whether somebody is woken.
    pub(super) is_page: bool,
    pub(super) word: String,
    pub(super) place: String,
}

impl Incident {
    fn of(json: &Value) -> Option<Self> {
        let text = |key: &str| Some(json.get(key)?.as_str()?.to_owned());
        let findings = json.get("findings")?.as_array()?;
        let about = findings
            .iter()
            .flat_map(|it| [it.get("place"), it.get("class")]);
        let evidence = json.get("evidence")?.as_array()?;
        let about = about.flatten().chain(evidence);
        let about: Vec<_> = about.filter_map(Value::as_str).collect();
        let number = |of: &Value, key: &str| of.get(key).and_then(Value::as_u64);
        let came = findings.iter().filter_map(|it| number(it, "episodes"));
        Some(Self {
            id: text("id")?,
            signs: [
                number(json, "episodes")?,
                number(json, "found")?,
                came.sum(),
            ],
            is_open: text("state")? == "open",
            is_page: text("severity")? == "critical",
            word: text("first_word")?,
            place: format!("{} [{}]", text("place")?, about.join("; ")),
        })
    }

    pub(super) fn text(&self) -> String {
        format!("{} {}: {}", self.id, self.word, self.place)
    }
}

/// What `tracer` would show.
pub(super) struct Screen {
    pub(super) word: String,
    pub(super) claim: String,
    pub(super) place: String,
    /// What is said of each dependency of which something is, and where that is.
    pub(super) said: Vec<(String, String)>,
    /// What the first of them can't know.
    unknown: Vec<String>,
}

impl Screen {
    fn of(answer: &Answer) -> Result<Self> {
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.code == 200, "ask for the screen: {text}");
        let json: Value = serde_json::from_str(&text).context("read the screen")?;
        let text = |of: &Value, key: &str| of[key].as_str().unwrap_or("–").to_owned();
        let cases = json["cases"].as_array().cloned().unwrap_or_default();
        let place = |case: &Value| {
            let keys = ["name", "netns", "device", "next_hop", "next_hop_mac"];
            format!(
                "{}: {}",
                keys.map(|key| text(case, key)).join(" "),
                case["evidence"]
            )
        };
        let first = cases.first().cloned().unwrap_or_default();
        // Who waits for another dependency is not accused: that one is.
        let said = cases.iter().filter(|case| case["waits_for"].is_null());
        let said = said.map(|case| (text(case, "word"), place(case)));
        let unknown = first["unknown"].as_array().into_iter().flatten();
        let unknown = unknown.filter_map(|it| Some(it.as_str()?.to_owned()));
        Ok(Self {
            unknown: unknown.collect(),
            word: spelled(&text(&json, "word")),
            claim: text(&first, "claim"),
            place: place(&first),
            said: said
                .map(|(word, place)| (spelled(&word), place))
                .filter(|(word, _)| word != "HEALTHY")
                .collect(),
        })
    }
}

impl Screen {
    fn is_anybody_accused(&self) -> bool {
        self.said.iter().any(|(word, _)| word != "CAN'T TELL")
    }
}

/// A word as people read it.
fn spelled(name: &str) -> String {
    match Word::from_name(name) {
        Some(word) => word.text().to_owned(),
        None => name.to_owned(),
    }
}

impl Witness {
    pub(super) fn start(view: View, scene: &Scene, is_quiet_before: bool) -> Result<Self> {
        Ok(Self {
            is_quiet_before,
            view,
            agent: view.agent(scene)?,
            old: BTreeMap::new(),
        })
    }

    /// Fails where it saw what its view does not show.
    pub(super) fn prove(&self, scene: &Scene) -> Result<()> {
        self.view.prove(&self.agent, scene)
    }

    /// All incidents that the agent knows.
    pub(super) fn incidents(&self) -> Result<Vec<Incident>> {
        let body = self.agent.get("/api/incidents")?.body;
        let page: Value = serde_json::from_slice(&body).context("read the incidents")?;
        let all = page["incidents"].as_array().context("read the incidents")?;
        let mut all: Vec<_> = all.iter().filter_map(Incident::of).collect();
        if !self.is_quiet_before {
            for incident in &mut all {
                incident.signs[1..].fill(0);
            }
        }
        Ok(all)
    }

    /// Those that began, or of which something was found, since the last [`Witness::forget`].
    pub(super) fn new_incidents(&self) -> Result<Vec<Incident>> {
        let mut all = self.incidents()?;
        all.retain(|it| self.old.get(&it.id) != Some(&it.signs));
        Ok(all)
    }

    pub(super) fn any_open(&self) -> Result<bool> {
        Ok(self.new_incidents()?.iter().any(|it| it.is_open))
    }

    /// What is known by now belongs to no later fault.
    pub(super) fn forget(&mut self) -> Result<()> {
        let all = self.incidents()?;
        self.old = all.into_iter().map(|it| (it.id, it.signs)).collect();
        Ok(())
    }

    /// Asks for the screen, which has to say that there is no before.
    pub(super) fn ask_once(&self, start: Instant) -> Result<Seen> {
        let screen = Screen::of(&self.agent.get(LOOK)?)?;
        let is_said = screen.unknown.iter().any(|it| it == "baseline");
        ensure!(is_said, "the screen knows a before: {:?}", screen.unknown);
        Ok(Seen {
            detected: screen.is_anybody_accused().then(|| start.elapsed()),
            incidents: self.incidents()?,
            screen,
        })
    }

    /// Watches for so long, from the moment that a fault was set; the screen is asked for so long after.
    pub(super) fn watch(
        &self,
        (start, asked_after): (Instant, Duration),
        time: Duration,
    ) -> Result<Seen> {
        std::thread::scope(|scope| {
            let screen = scope.spawn(|| {
                sleep(asked_after.saturating_sub(start.elapsed()));
                Screen::of(&self.agent.get(LOOK)?)
            });
            let mut detected = None;
            while start.elapsed() < time {
                if detected.is_none() && !self.new_incidents()?.is_empty() {
                    detected = Some(start.elapsed());
                }
                sleep(Duration::from_millis(200));
            }
            let screen = match screen.join() {
                Ok(screen) => screen?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            Ok(Seen {
                detected,
                incidents: self.new_incidents()?,
                screen,
            })
        })
    }
}
