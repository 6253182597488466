//! Who is behind the ends of classes, to and from a recording.

use super::wire;
use crate::model::Names;
use crate::model::name::{Process, Who};
use crate::model::owner::{self, Container, Owner};

pub(super) fn encode((&class, names): (&usize, &Names)) -> wire::Names {
    wire::Names {
        class,
        source: encode_who(&names.source),
        destination: encode_who(&names.destination),
    }
}

pub(super) fn decode(names: wire::Names, classes: usize) -> Result<(usize, Names), String> {
    if names.class >= classes {
        return Err(format!("there is no class {}", names.class));
    }
    let decoded = Names {
        source: decode_who(names.source)?,
        destination: decode_who(names.destination)?,
    };
    Ok((names.class, decoded))
}

fn encode_who(who: &Who) -> wire::Who {
    match who {
        Who::Unknown => wire::Who::Unknown,
        Who::Remote(prefix) => wire::Who::Remote(*prefix),
        Who::Host { name, prefix } => wire::Who::Host {
            name: name.clone(),
            prefix: *prefix,
        },
        Who::Local(processes) => wire::Who::Local(processes.iter().map(encode_process).collect()),
    }
}

fn encode_process(process: &Process) -> wire::Process {
    wire::Process {
        command: process.command.clone(),
        owner: process.owner.as_ref().map(|owner| match owner {
            Owner::Unit(unit) => wire::Owner::Unit(unit.clone()),
            Owner::Container(it) => wire::Owner::Container {
                runtime: it.runtime.to_owned(),
                id: it.id.clone(),
                pod: it.pod.clone(),
            },
        }),
    }
}

fn decode_who(who: wire::Who) -> Result<Who, String> {
    Ok(match who {
        wire::Who::Unknown => Who::Unknown,
        wire::Who::Remote(prefix) => Who::Remote(prefix),
        wire::Who::Host { name, prefix } => Who::Host { name, prefix },
        wire::Who::Local(processes) => {
            let processes = processes.into_iter().map(decode_process);
            Who::Local(processes.collect::<Result<_, _>>()?)
        }
    })
}

fn decode_process(process: wire::Process) -> Result<Process, String> {
    let owner = match process.owner {
        None => None,
        Some(wire::Owner::Unit(unit)) => Some(Owner::Unit(unit)),
        Some(wire::Owner::Container { runtime, id, pod }) => {
            let known = owner::runtime(&runtime);
            let runtime = known.ok_or_else(|| format!("{runtime:?} runs no containers"))?;
            Some(Owner::Container(Container { runtime, id, pod }))
        }
    };
    Ok(Process {
        command: process.command,
        owner,
    })
}
