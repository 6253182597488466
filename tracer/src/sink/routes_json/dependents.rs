//! Who depends on whom, as JSON.

use serde::Serialize;

use crate::model::verdict::Share;
use crate::model::{Class, Service, dependents};

#[derive(Serialize)]
pub(super) struct Dependents {
    netns: String,
    netns_cookie: u64,
    dependency: End,
    front: End,
    known_by: &'static str,
    answers: Option<u64>,
    waited_at_most: Option<u64>,
    waited_share_at_most: Option<f64>,
    clients: Clients,
}

#[derive(Serialize)]
struct End {
    source: String,
    destination: String,
    port: Option<u16>,
}

#[derive(Serialize)]
struct Clients {
    addresses: usize,
    connections: usize,
    all: bool,
    busiest_addresses: usize,
    behind_a_proxy: bool,
}

impl Dependents {
    pub(super) fn of(it: dependents::Dependents) -> Self {
        Self {
            dependency: End::of(&it.dependency),
            front: End::of(&it.front),
            known_by: if it.is_one_process {
                "process"
            } else {
                "namespace"
            },
            answers: it.waited_at_most.map(|share| share.of),
            waited_at_most: it.waited_at_most.map(|share| share.part),
            waited_share_at_most: it.waited_at_most.map(Share::ratio),
            clients: Clients {
                addresses: it.clients.addresses,
                connections: it.clients.connections,
                all: it.clients.is_whole,
                busiest_addresses: it.clients.busiest,
                behind_a_proxy: it.clients.is_behind_a_proxy(),
            },
            netns: it.namespace.name,
            netns_cookie: it.namespace.cookie,
        }
    }
}

impl End {
    fn of(class: &Class) -> Self {
        Self {
            source: class.source.to_string(),
            destination: class.destination.to_string(),
            port: class.service.map(Service::port),
        }
    }
}
