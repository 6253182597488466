//! What is claimed, in one sentence, and the commands that prove or would mend it.

use crate::model::answer::Case;
use crate::model::verdict::{Claim, Fact, Why, Word};

/// At most so many commands.
const COMMANDS: usize = 3;

/// A dependency's name, on one line.
pub(super) fn name(case: &Case) -> String {
    case.name().replace(' ', "\u{a0}")
}

/// The claim about a case.
pub(super) fn sentence(case: &Case) -> String {
    let name = name(case);
    let by = behind(case);
    let server = &case.class.destination;
    match case.judgement.claim {
        Claim::StaleRoute => format!(
            "{name} goes by an outdated route: it {} {by}, its siblings are fine, and nobody changed it",
            worse(case)
        ),
        Claim::AfterChange => format!("{name} {} {by}, {}", worse(case), changed(case)),
        Claim::BehindNextHop => format!("{name} {} {by}, its siblings are fine", worse(case)),
        Claim::PathGrew => format!("{name} takes longer than it did {by}"),
        Claim::PathLoses => format!("{name} loses packets {by}"),
        Claim::WayBackSlow => format!("the way back of {name} is slow"),
        Claim::WayBackMoved => {
            format!("{name} takes longer than it did {by}, and what comes back goes another way")
        }
        Claim::WrongNeighbour => format!(
            "packets of {name} carry another's Ethernet address: a neighbour entry is wrong {by}"
        ),
        Claim::RouterRefuses => refused(case),
        Claim::HostDrops => format!("this host drops packets of {name}"),
        Claim::HostWaits => format!("packets of {name} wait in this host"),
        Claim::HostGrew => format!("packets of {name} take longer in this host than they did"),
        Claim::ReadsLate => format!("{} of {name} reads late", reader(case)),
        Claim::AcceptsLate => {
            format!("{server} accepts connections late, or not at all: {name}")
        }
        Claim::AppGrew => format!("{} of {name} reads later than it did", reader(case)),
        Claim::AppThinks => format!("{server} takes long to answer, here: {name}"),
        Claim::PeerThinks => format!("{server} takes long to answer: {name}"),
        Claim::PeerGrew => format!("{server} takes longer to answer than it did: {name}"),
        Claim::PeerRefuses => format!("{server} refuses connections: {name}"),
        Claim::PeerReadsLate => format!("{server} does not read what it is sent: {name}"),
        Claim::PeerOrWayBack => format!("peer or way back: {name} has answers that come very late"),
        Claim::StreamLoses => {
            format!("{name} loses packets: a path that loses, or a stream that fills it")
        }
        Claim::SomeConnections => {
            format!("some connections of {name} are slow: a way that only they take, or their work")
        }
        Claim::SomeWaysLose => {
            format!("some connections of {name} lose packets {by}: a way that only they take")
        }
        Claim::Silent => format!("path or peer: nothing comes back of {name}"),
        Claim::NothingToCompare => {
            format!("{name} takes long; path or peer, and whether it always does, is not known")
        }
        Claim::NotSeen => format!("{name} looks fine, but too much passed unseen"),
        Claim::TooFew => format!("too little happened: {name}"),
        Claim::Fine => format!("nothing is wrong with {name}"),
    }
}

/// What a router says of its packets, and which one.
fn refused(case: &Case) -> String {
    let name = name(case);
    let said = case.judgement.evidence.iter().find_map(|fact| match fact {
        Fact::Turned(said) => Some(said),
        _ => None,
    });
    let by = said.map_or_else(|| "a router".to_owned(), |it| it.by.to_string());
    match said.map(|it| it.why) {
        Some(Why::TimeExceeded) => {
            format!("packets of {name} go from router to router until {by} gives them up")
        }
        Some(Why::TooBig { .. }) => {
            format!("packets of {name} are larger than the way takes behind {by}")
        }
        Some(Why::Unreachable) | None => format!("{by} knows no way for packets of {name}"),
    }
}

/// Commands that prove it, or would mend it; none is run.
pub(super) fn commands(case: &Case) -> Vec<String> {
    let place = Place::of(&case.namespace);
    let peer = case.class.first.map(|tuple| {
        if case.asks {
            tuple.destination
        } else {
            tuple.source
        }
    });
    let port = case
        .class
        .service
        .map_or(0, crate::model::class::Service::port);
    let target = peer.map_or_else(|| case.class.destination.to_string(), |it| it.to_string());
    let blame = format!("sudo tracer blame {target}{}", place.netns);
    let probe = format!("sudo tracer why {target} --probe");
    let mut commands = match case.judgement.word {
        Word::Path => {
            let look = format!("{}ip {}route get {target}", place.sudo, place.n);
            // Where no sibling tells where it is slow, probes may.
            let proof = match case.judgement.claim {
                Claim::PathGrew
                | Claim::PathLoses
                | Claim::RouterRefuses
                | Claim::SomeWaysLose
                | Claim::WayBackMoved => probe,
                _ => look,
            };
            [Some(blame), Some(proof), mend(case, &place)]
                .into_iter()
                .flatten()
                .collect()
        }
        Word::Peer => vec![format!(
            "on {}: sudo tracer why {}",
            case.class.destination, case.class.source
        )],
        Word::ThisHost => host_commands(case, &place),
        Word::App => {
            let accepts_late = case.judgement.claim == Claim::AcceptsLate;
            let serves = case.asks && (accepts_late || reads_late_at_the_service(case));
            let namespace = case.other_namespace.as_ref().filter(|_| serves);
            let place = namespace.map_or(place, |name| Place::of(name));
            let is_nameless = place.is_nameless;
            let look = if accepts_late {
                format!("{}ss -ltnp 'sport = :{port}'", place.exec)
            } else {
                let ends = format!("( sport = :{port} or dport = :{port} )");
                format!("{}ss -tmip '{ends}'", place.exec)
            };
            return if is_nameless { Vec::new() } else { vec![look] };
        }
        Word::CantTell => match case.judgement.claim {
            Claim::TooFew => vec!["sudo tracer --duration 1m".to_owned()],
            Claim::NotSeen => vec!["sudo tracer doctor".to_owned()],
            Claim::Silent => vec![blame, format!("on {}: sudo tracer", case.class.destination)],
            _ => vec![
                format!(
                    "on {}: sudo tracer why {}",
                    case.class.destination, case.class.source
                ),
                probe,
                "sudo tracer why  # again, while it is well".to_owned(),
            ],
        },
        Word::Healthy => Vec::new(),
    };
    if place.is_nameless {
        commands.retain(|command| !command.contains("ip ") && !command.contains("blame"));
    }
    commands.truncate(COMMANDS);
    commands
}

/// How a namespace is entered.
struct Place {
    netns: String,
    n: String,
    exec: String,
    sudo: &'static str,
    is_nameless: bool,
}

impl Place {
    fn of(name: &str) -> Self {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let is_host = name == "host";
        let is_named = !is_host && !name.is_empty() && name.chars().all(is_word);
        let only = |text: String| if is_named { text } else { String::new() };
        Self {
            netns: only(format!(" --netns {name}")),
            n: only(format!("-n {name} ")),
            exec: only(format!("sudo ip netns exec {name} ")),
            sudo: if is_named { "sudo " } else { "" },
            is_nameless: !is_host && !is_named,
        }
    }
}

/// A gateway that a sibling in the same namespace uses, and is fine with.
fn mend(case: &Case, place: &Place) -> Option<String> {
    let entry = case.entry.as_ref()?;
    let mut better = case.siblings.iter().filter(|it| {
        !it.is_worse && it.namespace == case.namespace && it.next_hop != case.next_hop
    });
    let gateway = better.next()?.next_hop?;
    Some(format!(
        "would mend: sudo ip {}route replace {} via {gateway}",
        place.n, entry.prefix
    ))
}

fn host_commands(case: &Case, place: &Place) -> Vec<String> {
    let at = case.judgement.evidence.iter().find_map(|fact| match fact {
        Fact::HostDrops { place, reason, .. } => Some((place, reason.as_str())),
        Fact::HostWaits { place, segment, .. } => Some((place, segment.as_str())),
        _ => None,
    });
    let Some((at, what)) = at else {
        return vec!["nstat -az".to_owned()];
    };
    let device = at.rsplit(' ').next().unwrap_or(at);
    match what {
        it if it.starts_with("NETFILTER") => vec![format!("{}nft list ruleset", place.exec)],
        it if it.starts_with("QDISC") || it.starts_with("queue") => {
            vec![format!("{}tc -s qdisc show dev {device}", place.exec)]
        }
        it if it.starts_with("CPU_BACKLOG") || it.starts_with("rx") => {
            vec!["cat /proc/net/softnet_stat".to_owned()]
        }
        _ => vec![
            "nstat -az".to_owned(),
            format!("{}ip -s link show {device}", place.exec),
        ],
    }
}

/// What is known of the change: that it was before is said only where it is known.
fn changed(case: &Case) -> &'static str {
    let is_before = |fact: &Fact| matches!(fact, Fact::ChangedBefore { .. });
    if case.judgement.evidence.iter().any(is_before) {
        "preceded by a change of its route"
    } else {
        "and its route changed lately"
    }
}

/// How it is worse than its siblings.
fn worse(case: &Case) -> &'static str {
    let odd = case.judgement.evidence.iter().find_map(|fact| match fact {
        Fact::NextHopWorse(odd) => Some(odd),
        _ => None,
    });
    match odd {
        None => "is slow",
        Some(odd) if !odd.by_loss => "is slow",
        Some(odd) if odd.worse.time.p50_ns >= 2 * odd.rest.time.p50_ns => {
            "loses packets and is slow"
        }
        Some(_) => "loses packets",
    }
}

/// `behind next hop 10.12.0.1`
fn behind(case: &Case) -> String {
    match case.next_hop {
        Some(gateway) => format!("behind next hop {gateway}"),
        None if case.device.is_empty() => "on its path".to_owned(),
        None => format!("behind {}, on the link", case.device),
    }
}

/// Who reads late.
fn reader(case: &Case) -> String {
    let end = if reads_late_at_the_service(case) {
        &case.class.destination
    } else {
        &case.class.source
    };
    end.to_string()
}

fn reads_late_at_the_service(case: &Case) -> bool {
    let serves = case.judgement.evidence.iter().find_map(|fact| match fact {
        Fact::ReadsLate { serves, .. } => Some(*serves),
        _ => None,
    });
    serves.unwrap_or(!case.asks)
}
