//! The agent as monitoring and its operator meet it; a recording stands for the kernel.

#[path = "agent/alertmanager.rs"]
mod alertmanager;
#[path = "agent/alerts.rs"]
mod alerts;
#[path = "agent/asked.rs"]
mod asked;
#[path = "agent/documented.rs"]
mod documented;
#[path = "agent/exported.rs"]
mod exported;
#[path = "agent/guarded.rs"]
mod guarded;
#[path = "agent/host.rs"]
mod host;
#[path = "agent/incidents.rs"]
mod incidents;
#[path = "agent/many.rs"]
mod many;
#[path = "agent/refused.rs"]
mod refused;
#[path = "agent/reloaded.rs"]
mod reloaded;
#[path = "agent/rude.rs"]
mod rude;
#[path = "agent/running.rs"]
mod running;
#[path = "agent/scraped.rs"]
mod scraped;
#[path = "agent/served.rs"]
mod served;
#[path = "agent/supervised.rs"]
mod supervised;
