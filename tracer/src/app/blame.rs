//! `tracer blame`: whose a route is.

mod history;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Failure, configure, screen};
use crate::cli;
use crate::config::value::Target;
use crate::model::blame::{self, Configured, Verdict};
use crate::model::network::{Network, Route};
use crate::sink::{blame_json, blame_text};
use crate::source::{configured, mirror};

pub(super) fn run(arguments: &cli::Blame) -> Result<ExitCode, Failure> {
    let verdict = verdict(arguments)?;
    screen::show(&if arguments.json {
        blame_json::to_text(&verdict)
    } else {
        blame_text::to_text(&verdict, screen::look())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verdict(arguments: &cli::Blame) -> Result<Verdict, Failure> {
    std::fs::read_dir(&arguments.root).map_err(|cause| Failure::System {
        doing: format!("read configurations below {}", arguments.root.display()),
        cause,
        advice: "a --root that is a folder",
    })?;
    let namespace = namespace(arguments.netns.as_deref());
    let network = mirror::dump(&namespace).map_err(|cause| not_read(&namespace, cause))?;
    let devices: BTreeMap<u32, String> = network
        .links()
        .map(|link| (link.index, link.name.clone()))
        .collect();
    let configured = configured::read(&arguments.root, &devices);
    let mut verdict = match arguments.target {
        Target::Prefix(prefix) => {
            let live: Vec<Route> = network
                .routes()
                .filter(|route| route.slot.prefix == prefix)
                .collect();
            join(&network, live, &configured, prefix.to_string(), |it| {
                *it == prefix
            })
        }
        Target::Address(address) => {
            let (live, refused) = look_up(&namespace, address)?;
            // What would win over the live route, and what it was to be.
            let length = live
                .first()
                .map_or(0, |route| route.slot.prefix.prefix_len());
            let concerns = |it: &ipnet::IpNet| it.contains(&address) && it.prefix_len() >= length;
            Verdict {
                refused,
                ..join(&network, live, &configured, address.to_string(), concerns)
            }
        }
    };
    let config = configure::blame(arguments)?;
    history::fill_in(&mut verdict.routes, &network, &namespace, &config);
    Ok(verdict)
}

fn join(
    network: &Network,
    live: Vec<Route>,
    configured: &Configured,
    target: String,
    concerns: impl Fn(&ipnet::IpNet) -> bool,
) -> Verdict {
    Verdict {
        target,
        unapplied: blame::unapplied(network, configured, concerns),
        routes: blame::blame(network, live, configured),
        refused: None,
        problems: configured.problems.clone(),
    }
}

/// The route that a packet to an address takes, or what the kernel says where there is none.
fn look_up(namespace: &Path, address: IpAddr) -> Result<(Vec<Route>, Option<String>), Failure> {
    match mirror::route_to(namespace, address) {
        Ok(Ok(route)) => Ok((vec![route], None)),
        Ok(Err(refusal)) => Ok((Vec::new(), Some(refusal.to_string()))),
        Err(cause) => Err(not_read(namespace, cause)),
    }
}

fn namespace(name: Option<&str>) -> PathBuf {
    match name {
        None => PathBuf::from("/proc/self/ns/net"),
        Some("host") => PathBuf::from("/proc/1/ns/net"),
        Some(path) if path.contains('/') => PathBuf::from(path),
        Some(name) => Path::new("/run/netns").join(name),
    }
}

fn not_read(namespace: &Path, cause: io::Error) -> Failure {
    Failure::System {
        doing: format!(
            "read the routes of the network namespace {}",
            namespace.display()
        ),
        cause,
        advice: "sudo, and a --netns that is there",
    }
}
