//! What probes found beyond the next hop, as lines below the screen.

use std::fmt::Write;
use std::net::IpAddr;

use super::look::{Ink, Look};
use super::{fit, units};
use crate::model::probe::{Between, Beyond, Hop, Probed, Says, Trouble};

const COLUMNS: usize = 80;

/// Where a section's lines begin, as on the screen.
const INDENT: usize = 10;

/// Columns of an address.
const ADDRESS: usize = 22;

/// The way, and what is wrong with it.
pub fn to_text(probed: &Probed, beyond: &Beyond, look: Look) -> String {
    let mut text = String::new();
    for (name, lines) in [
        ("BEYOND", vec![sentence(probed, beyond)]),
        ("PROBES", vec![what(probed)]),
        (
            "HOPS",
            beyond.hops.iter().map(|it| hop(it, probed)).collect(),
        ),
        ("UNKNOWN", vec![unknown(beyond)]),
    ] {
        for (at, line) in lines.iter().enumerate() {
            text += &labelled(if at == 0 { name } else { "" }, line, look);
        }
    }
    text
}

/// The same as a section of the hand-over.
pub fn to_evidence(probed: &Probed, beyond: &Beyond) -> String {
    let mut text = format!(
        "\n## Beyond the next hop\n\n- {}\n- {}\n- {}\n\n\
         | distance | who answers | shortest round trip | answered | source ports |\n\
         |--:|---|--:|--:|---|\n",
        sentence(probed, beyond),
        what(probed),
        unknown(beyond)
    );
    for it in &beyond.hops {
        let ports: Vec<String> = it.ports.iter().map(u16::to_string).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} of {} | {} |",
            it.ttl,
            address(it),
            shortest(it),
            it.answered,
            it.sent,
            ports.join(" ")
        );
    }
    text
}

/// What is wrong beyond the next hop, or that nothing is, in one sentence.
pub fn sentence(probed: &Probed, beyond: &Beyond) -> String {
    let all = probed.ports.len();
    let who = match beyond.bad.len() {
        0 => "all source ports".to_owned(),
        bad => format!("{bad} of {all} source ports ({})", list(&beyond.bad)),
    };
    let only: Vec<String> = beyond.only_bad.iter().map(IpAddr::to_string).collect();
    let only = if only.is_empty() {
        String::new()
    } else {
        format!("; only they go by {}", only.join(" and "))
    };
    match &beyond.trouble {
        Trouble::Nobody => "nobody answers, the next hop neither: nothing can be said".to_owned(),
        Trouble::None { end_ns } => format!(
            "nothing is slow or lost there now: the other end answers after {}",
            units::latency(*end_ns)
        ),
        Trouble::Slow {
            at,
            more_ns,
            end_ns,
            good_ns,
        } => {
            let others = good_ns.map_or_else(String::new, |it| {
                format!(", the others {}", units::latency(it))
            });
            format!(
                "{who} take {}{others}: {} begin {}{only}",
                units::latency(*end_ns),
                units::latency(*more_ns),
                between(*at)
            )
        }
        Trouble::Dead { at } => {
            format!("nothing of {who} comes back from {}{only}", place(*at))
        }
        Trouble::Lossy { at, answered, sent } => format!(
            "{answered} of {sent} probes of {who} are answered by the other end: loss begins {}{only}",
            between(*at)
        ),
        Trouble::Silent { last } => format!(
            "the other end does not answer a SYN, which is no proof of loss; the last that answers is {}",
            last.map_or_else(|| "nobody".to_owned(), named)
        ),
        Trouble::Unreachable { by, code } => format!(
            "{} says that it is not delivered (ICMP unreachable, code {code})",
            named(*by)
        ),
    }
}

fn named((ttl, address): (u8, IpAddr)) -> String {
    match ttl {
        1 => format!("{address} (next hop)"),
        ttl => format!("{address} (distance {ttl})"),
    }
}

fn between(at: Between) -> String {
    let after = at.after.map_or_else(|| "this host".to_owned(), named);
    match at.before {
        Some(before) => format!("between {after} and {}", named(before)),
        None => format!("behind {after}"),
    }
}

fn place(at: Between) -> String {
    match at.after {
        Some(after) => format!("beyond {}", named(after)),
        None => "anywhere".to_owned(),
    }
}

fn list(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}

fn what(probed: &Probed) -> String {
    let cut = if probed.is_cut {
        ", and no more: the way is long"
    } else {
        ""
    };
    format!(
        "{} in {:.1} s to {} by {}{cut}",
        units::counted(probed.probes.len() as u64, "SYN"),
        probed.took_ns as f64 / 1e9,
        probed.target,
        units::counted(probed.ports.len() as u64, "source port")
    )
}

fn address(hop: &Hop) -> String {
    hop.address
        .map_or_else(|| "does not answer".to_owned(), |it| it.to_string())
}

fn shortest(hop: &Hop) -> String {
    units::latency_or_dash((hop.answered > 0).then_some(hop.shortest_ns))
}

fn hop(hop: &Hop, probed: &Probed) -> String {
    let says = match hop.says {
        Some(Says::Accepts | Says::Refuses) => "  the other end",
        Some(Says::Unreachable(_)) => "  unreachable",
        Some(Says::Expired) | None => "",
    };
    let ports = if hop.ports.len() == probed.ports.len() {
        String::new()
    } else {
        format!("  ports {}", list(&hop.ports))
    };
    format!(
        "{} {} {} {}{says}{ports}",
        fit::right(&hop.ttl.to_string(), 2),
        fit::left(&address(hop), ADDRESS),
        fit::right(&shortest(hop), 7),
        fit::right(&format!("{} of {}", hop.answered, hop.sent), 8),
    )
}

fn unknown(beyond: &Beyond) -> String {
    let mut all = vec!["the way back is in each time, and may be another"];
    if beyond.hops.iter().any(|it| it.address.is_none()) {
        all.push("who does not answer may pass packets on all the same");
    }
    if beyond.bad.is_empty() && beyond.good.len() > 1 {
        all.push("who chooses ways by addresses alone sends all ports one way");
    }
    all.join("; ")
}

fn labelled(label: &str, text: &str, look: Look) -> String {
    let room = "·".repeat(INDENT);
    // What stands in columns keeps its spaces: only single ones are places to break a line.
    let line = fit::wrap(&format!("{room}{text}"), look.width.min(COLUMNS), INDENT);
    let text = line.strip_prefix(&room).unwrap_or(&line);
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    look.paint(Ink::Faint, &fit::left(label, INDENT)) + &text.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::beyond::beyond;
    use crate::model::probe::example;
    use rstest::rstest;

    #[rstest]
    #[case::fine(example::fine())]
    #[case::slow_second(example::slow_second())]
    #[case::slow_leg(example::slow_leg())]
    #[case::dead_leg(example::dead_leg())]
    #[case::silent_router(example::silent_router())]
    #[case::silent_end(example::silent_end())]
    #[case::lossy(example::lossy())]
    fn each_fits_the_screen(#[case] probed: Probed) {
        let text = to_text(&probed, &beyond(&probed), Look::default());
        for line in text.lines() {
            assert!(fit::width(line) <= COLUMNS, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(text.lines().count() <= 24, "{text}");
    }

    #[test]
    fn a_slow_leg() {
        let probed = example::slow_leg();
        insta::assert_snapshot!(to_text(&probed, &beyond(&probed), Look::default()));
    }

    #[test]
    fn a_router_that_does_not_answer() {
        let probed = example::silent_router();
        insta::assert_snapshot!(to_text(&probed, &beyond(&probed), Look::default()));
    }

    #[test]
    fn a_dead_leg_for_its_owner() {
        let probed = example::dead_leg();
        insta::assert_snapshot!(to_evidence(&probed, &beyond(&probed)));
    }
}
