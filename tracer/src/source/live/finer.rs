//! Finer hops, for those who ask for them, and what is said where the kernel has none.

use std::collections::BTreeMap;

use tracer_common::hop::{FINER, PROBES, Probe};

use crate::model::{Availability, State};

const ADVICE: &str = "a kernel with CONFIG_FUNCTION_TRACER, or without --fine";

/// The programs that are attached where they can be: those of finer hops behind the others, if they
/// are asked for.
pub(super) fn probes(fine: bool) -> impl Iterator<Item = &'static Probe> {
    PROBES.iter().chain(FINER.iter().filter(move |_| fine))
}

/// Of a finer hop whose program the kernel does not take.
///
/// Only trying tells: a kernel's configuration and types may promise what it refuses.
pub(super) fn refused(doing: &str, because: &str) -> State {
    State::Unavailable {
        because: format!("the kernel refuses to {doing} by fentry: {because}"),
        advice: ADVICE.to_owned(),
    }
}

/// Of a finer hop whose functions the kernel has not got: another kernel may have.
pub(super) fn absent(because: String) -> State {
    State::Unavailable {
        because,
        advice: "another kernel, or without --fine".to_owned(),
    }
}

/// Says at the start which of the finer hops there won't be, those with one reason together.
pub(super) fn tell(availability: &[Availability]) {
    for (because, names) in missing(availability) {
        tracing::warn!(
            "{} of {} finer hops can't be watched, the usual ones are: {because} ({})",
            names.len(),
            FINER.len(),
            names.join(", ")
        );
    }
}

fn missing(availability: &[Availability]) -> BTreeMap<&str, Vec<&str>> {
    let mut missing = BTreeMap::<_, Vec<_>>::new();
    let is_finer = |row: &&Availability| FINER.iter().any(|probe| probe.program == row.name);
    for row in availability.iter().filter(is_finer) {
        if let State::Unavailable { because, .. } = &row.state {
            missing.entry(&**because).or_default().push(&*row.name);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: State) -> Availability {
        Availability {
            name: name.to_owned(),
            meaning: String::new(),
            state,
        }
    }

    #[test]
    fn hops_that_one_reason_takes_are_told_together() {
        let availability = [
            row("tcp_probe", absent("too old".to_owned())),
            row("ip_rcv", State::Works),
            row("ip_forward", refused("load", "EPERM")),
            row("udp_queue_rcv_skb", absent("no such function".to_owned())),
            row("ip_output", refused("load", "EPERM")),
        ];
        let told: Vec<_> = missing(&availability).into_iter().collect();
        assert_eq!(
            told,
            [
                ("no such function", vec!["udp_queue_rcv_skb"]),
                (
                    "the kernel refuses to load by fentry: EPERM",
                    vec!["ip_forward", "ip_output"]
                ),
            ]
        );
    }

    #[test]
    fn finer_hops_are_attached_only_where_they_are_asked_for() {
        assert!(probes(false).eq(&PROBES));
        assert_eq!(probes(true).count(), PROBES.len() + FINER.len());
    }
}
