//! Who is behind an end.

use serde::Serialize;

use crate::model::name::{self, Who};
use crate::model::owner::Owner;

#[derive(Serialize)]
pub(super) struct Name<'a> {
    processes: Vec<Process<'a>>,
    prefix: Option<String>,
    host: Option<&'a str>,
}

#[derive(Serialize)]
struct Process<'a> {
    command: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<Container<'a>>,
}

#[derive(Serialize)]
struct Container<'a> {
    runtime: &'static str,
    id: &'a str,
    pod: Option<&'a str>,
}

/// Nothing for nobody.
pub(super) fn of(who: &Who) -> Option<Name<'_>> {
    match who {
        Who::Unknown => None,
        Who::Local(processes) => Some(Name {
            processes: processes.iter().map(process).collect(),
            prefix: None,
            host: None,
        }),
        Who::Remote(prefix) => Some(Name {
            processes: Vec::new(),
            prefix: Some(prefix.to_string()),
            host: None,
        }),
        Who::Host { name, prefix } => Some(Name {
            processes: Vec::new(),
            prefix: prefix.map(|prefix| prefix.to_string()),
            host: Some(name),
        }),
    }
}

fn process(process: &name::Process) -> Process<'_> {
    let (unit, container) = match &process.owner {
        None => (None, None),
        Some(Owner::Unit(unit)) => (Some(unit.as_str()), None),
        Some(Owner::Container(it)) => {
            let container = Container {
                runtime: it.runtime,
                id: &it.id,
                pod: it.pod.as_deref(),
            };
            (None, Some(container))
        }
    };
    Process {
        command: process.command.as_deref(),
        unit,
        container,
    }
}
