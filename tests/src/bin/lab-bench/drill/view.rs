//! What an agent can see: all of the lab's hosts, as if it were one; or one of them alone, as where
//! the others are machines of their own.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use lab::Ns;
use serde_json::Value;

use super::scene::Scene;
use crate::running::Agent;

/// Whose eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum View {
    /// Everything.
    All,
    /// What app's host sees.
    App,
    /// What the database's host sees.
    Db,
}

const CONFIG: &str = "\
[agent]
max_cpu = \"off\"
[filter]
prefix = \"10.0.0.0/8\"
";

const COMPONENTS: &str = "\
[[component]]
name = \"app\"
prefixes = [\"10.1.0.3\"]
[[component]]
name = \"app2\"
prefixes = [\"10.32.0.2\"]
[[component]]
name = \"app3\"
prefixes = [\"10.33.0.2\"]
[[component]]
name = \"db\"
prefixes = [\"10.2.0.2\"]
[[component]]
name = \"archive\"
prefixes = [\"10.3.0.2\"]
";

impl View {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::App => "app",
            Self::Db => "db",
        }
    }

    /// The only host that is seen.
    fn alone(self, scene: &Scene) -> Option<&Ns> {
        match self {
            Self::All => None,
            Self::App => Some(&scene.story.app),
            Self::Db => Some(&scene.story.db),
        }
    }

    /// An agent that sees so much: of others' namespaces it traces no hop, and finds no name to enter
    /// them by.
    pub(super) fn agent(self, scene: &Scene) -> Result<Agent> {
        let start = |config: &str| Agent::start(config, &[]);
        match self.alone(scene) {
            None => start(&format!("{CONFIG}{COMPONENTS}")),
            Some(ns) => {
                let only = format!("namespace = \"{}\"\n", ns.name());
                let config = format!("{CONFIG}{only}{COMPONENTS}");
                ns.seen_alone(|| start(&config))?
            }
        }
    }

    /// Fails where something was seen of a namespace that is none of this view's.
    pub(super) fn prove(self, agent: &Agent, scene: &Scene) -> Result<()> {
        let Some(ns) = self.alone(scene) else {
            return Ok(());
        };
        let page: Value =
            serde_json::from_slice(&agent.get("/api/routes")?.body).context("read the routes")?;
        let mut seen = Vec::new();
        for part in ["routes", "sockets", "passing", "coverage"] {
            namespaces(&page[part], &mut seen);
        }
        let name = self.name();
        ensure!(!seen.is_empty(), "view {name} sees nothing");
        seen.retain(|it| it != ns.name());
        ensure!(seen.is_empty(), "view {name} sees into {seen:?}");
        let mut stacks = Vec::new();
        namespaces(&page["host"], &mut stacks);
        stacks.retain(|it| it != ns.name() && it != "host");
        ensure!(
            stacks.is_empty(),
            "view {name} sees the stacks of {stacks:?}"
        );
        Ok(())
    }
}

/// All names of namespaces in a page.
fn namespaces(page: &Value, found: &mut Vec<String>) {
    match page {
        Value::Array(all) => all.iter().for_each(|it| namespaces(it, found)),
        Value::Object(all) => {
            for (key, value) in all {
                match value.as_str() {
                    Some(name) if key == "netns" => {
                        if !found.iter().any(|it| it == name) {
                            found.push(name.to_owned());
                        }
                    }
                    _ => namespaces(value, found),
                }
            }
        }
        _ => {}
    }
}
