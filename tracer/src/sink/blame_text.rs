//! Whose a route is, as a person reads it.

use std::net::IpAddr;

use super::fit;
use super::look::{Ink, Look};
use super::time;
use crate::model::blame::{Blamed, Declared, History, Owner, Place, Verdict};
use crate::model::journal::Who;
use crate::model::network::names;

/// A verdict as text for a screen.
pub fn to_text(verdict: &Verdict, look: Look) -> String {
    let mut text = String::new();
    for blamed in &verdict.routes {
        text += &route(blamed, look);
    }
    if verdict.routes.is_empty() {
        let refused = verdict.refused.as_ref();
        let why = refused.map_or_else(String::new, |why| format!(": {why}"));
        text += &line(
            Ink::Heading,
            &format!("the kernel has no route to {}{why}", verdict.target),
            look,
        );
    }
    for declared in &verdict.unapplied {
        let asked = format!("  not applied: {}", asked(declared, true));
        text += &line(Ink::Bad, &asked, look);
    }
    for problem in &verdict.problems {
        let at = problem
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        let what = format!("not read: {}{at}: {}", problem.file, problem.because);
        text += &line(Ink::Unsure, &what, look);
    }
    text
}

fn route(blamed: &Blamed, look: Look) -> String {
    let route = &blamed.route;
    let ways: Vec<String> = blamed
        .ways
        .iter()
        .map(|(gateway, device)| match gateway {
            Some(gateway) => format!("via {gateway} dev {device}"),
            None => format!("dev {device}"),
        })
        .collect();
    let kind = names::route_type(route.path.kind);
    let mut said = vec![
        format!("{} {}", route.slot.prefix, ways.join(", "))
            .trim_end()
            .to_owned(),
        format!("table {}", names::table(route.table)),
        names::protocol(route.path.protocol),
    ];
    said.extend((kind != "unicast").then_some(kind));
    said.extend((route.slot.metric != 0).then(|| format!("metric {}", route.slot.metric)));
    let mut text = line(Ink::Heading, &said.join(", "), look);
    let (ink, owner) = owner(&blamed.owner);
    for one in owner {
        text += &line(ink, &format!("  {one}"), look);
    }
    let (ink, history) = history(&blamed.history);
    text += &line(ink, &format!("  {history}"), look);
    for declared in &blamed.unapplied {
        let have = gateways(
            &blamed
                .ways
                .iter()
                .filter_map(|way| way.0)
                .collect::<Vec<_>>(),
        );
        let asked = asked(declared, false);
        text += &line(
            Ink::Bad,
            &format!("  not applied: {asked}; the kernel has {have}"),
            look,
        );
    }
    text
}

fn owner(owner: &Owner) -> (Ink, Vec<String>) {
    match owner {
        Owner::Configured(places) => (Ink::Plain, places.iter().map(said_by).collect()),
        Owner::Daemon(places) if places.is_empty() => {
            let said = "a routing daemon's: it found the route, and no file of it was found";
            (Ink::Plain, vec![said.to_owned()])
        }
        Owner::Daemon(places) => {
            let found = |place| format!("a routing daemon's: run by {}", said_by(place));
            (Ink::Plain, places.iter().map(found).collect())
        }
        Owner::Kernel(Some(address)) => {
            let (address, length) = (address.address, address.prefix_len);
            let said = format!("the kernel's: it comes with the address {address}/{length}");
            (Ink::Plain, vec![said])
        }
        Owner::Kernel(None) => (Ink::Plain, vec!["the kernel's own".to_owned()]),
        Owner::Advertised => {
            let said = "a router's: it advertises the route (RFC 4861)";
            (Ink::Plain, vec![said.to_owned()])
        }
        Owner::Leased => {
            let said = "a DHCP client's; no lease that says so was found";
            (Ink::Unsure, vec![said.to_owned()])
        }
        Owner::Nobody => {
            let said = "nobody's: no file asks for it; it is in the kernel's memory alone, and \
                        gone at reboot";
            (Ink::Bad, vec![said.to_owned()])
        }
        Owner::Unknown => {
            let said = "unknown: no file that could be read asks for it, and some could not be";
            (Ink::Unsure, vec![said.to_owned()])
        }
    }
}

/// `143 days old, set by ip ← ansible-playbook ← sshd (alice)`
fn history(history: &History) -> (Ink, String) {
    match history {
        History::Known { age, who, until } => {
            let who = match who {
                Who::Unknown => "; who set it is not known".to_owned(),
                who => format!(", set by {who}"),
            };
            let until = until.map_or_else(String::new, |until| {
                let until = time::second(until);
                format!(" (the journal until {until}; no agent runs)")
            });
            (Ink::Plain, format!("{age} old{who}{until}"))
        }
        History::Unknown(because) => {
            let said = "how old it is and who set it is not known";
            (Ink::Unsure, format!("{said}: {because}"))
        }
    }
}

/// `/etc/netplan/50-app.yaml:12 (netplan)`
fn said_by(place: &Place) -> String {
    format!("{}:{} ({})", place.file, place.line, place.manager.name())
}

fn asked(declared: &Declared, with_prefix: bool) -> String {
    let prefix = if with_prefix {
        format!("{} ", declared.prefix)
    } else {
        String::new()
    };
    let device = declared.device.as_ref();
    let device = device.map_or_else(String::new, |device| format!(" dev {device}"));
    let metric = declared
        .metric
        .map_or_else(String::new, |it| format!(" metric {it}"));
    format!(
        "{} says {prefix}{}{device}{metric}",
        said_by(&declared.place),
        gateways(&declared.gateways)
    )
}

fn gateways(gateways: &[IpAddr]) -> String {
    if gateways.is_empty() {
        return "no gateway".to_owned();
    }
    let all: Vec<String> = gateways.iter().map(ToString::to_string).collect();
    format!("via {}", all.join(", "))
}

fn line(ink: Ink, text: &str, look: Look) -> String {
    let text = fit::wrap(text, look.width, 4);
    let lines = text.lines().map(|line| look.paint(ink, line) + "\n");
    lines.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::blame::{Manager, Problem};
    use crate::model::example;
    use crate::model::journal::Age;
    use crate::model::network::{Path, Route, Slot};

    fn route(prefix: &str, protocol: u8) -> Route {
        Route {
            table: 254,
            slot: Slot {
                prefix: prefix.parse().unwrap(),
                tos: 0,
                metric: 100,
            },
            path: Arc::new(Path {
                kind: Path::UNICAST,
                protocol,
                scope: 0,
                legs: Vec::new(),
                next_hop: None,
                prefer_source: None,
                from: None,
                metrics: Vec::new(),
                preference: 0,
            }),
        }
    }

    fn place(line: usize) -> Place {
        Place {
            manager: Manager::Netplan,
            file: "/etc/netplan/50-app.yaml".to_owned(),
            line,
        }
    }

    fn declared(line: usize) -> Declared {
        Declared {
            place: place(line),
            prefix: "10.2.0.0/16".parse().unwrap(),
            gateways: vec![[10, 0, 1, 1].into()],
            device: Some("eth0".to_owned()),
            metric: None,
            table: 254,
        }
    }

    fn known(exact: bool, who: Who, until: Option<u64>) -> History {
        let seconds = 143 * 86_400;
        History::Known {
            age: Age { seconds, exact },
            who,
            until,
        }
    }

    /// A route of each owner, and what was not applied.
    pub(in crate::sink) fn example() -> Verdict {
        let owners = [
            (4, Owner::Configured(vec![place(12)])),
            (186, Owner::Daemon(vec![place(3)])),
            (188, Owner::Daemon(Vec::new())),
            (2, Owner::Kernel(None)),
            (9, Owner::Advertised),
            (16, Owner::Leased),
            (3, Owner::Unknown),
            (3, Owner::Nobody),
        ];
        let mut routes: Vec<Blamed> = owners
            .into_iter()
            .map(|(protocol, owner)| Blamed {
                route: route("10.2.0.0/16", protocol),
                ways: vec![(Some([10, 0, 9, 1].into()), "eth0".to_owned())],
                owner,
                history: History::Unknown("no agent runs".to_owned()),
                unapplied: Vec::new(),
            })
            .collect();
        routes[0].history = known(true, Who::Kernel, None);
        routes[1].history = known(false, Who::Unknown, None);
        let by_hand = example::changes().changes.remove(0).entry.who;
        routes[7].history = known(true, by_hand, Some(1_763_880_000_000_000_000));
        routes[7].unapplied = vec![declared(12)];
        Verdict {
            target: "10.2.0.0/16".to_owned(),
            routes,
            refused: None,
            unapplied: vec![declared(20)],
            problems: vec![Problem {
                file: "/etc/frr/frr.conf".to_owned(),
                line: Some(14),
                because: "the table of a VRF is not known here".to_owned(),
            }],
        }
    }

    #[test]
    fn each_owner_at_80_columns() {
        let text = to_text(&example(), Look::default());
        for line in text.lines() {
            assert!(fit::width(line) <= 80, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_route_says_what_the_kernel_says() {
        let verdict = Verdict {
            target: "10.2.3.4".to_owned(),
            refused: Some("Network is unreachable (os error 101)".to_owned()),
            ..Verdict::default()
        };
        insta::assert_snapshot!(to_text(&verdict, Look::default()), @"
        the kernel has no route to 10.2.3.4: Network is unreachable (os error 101)
        ");
    }
}
