//! Whether tracing can work here, and what is missing: asked of the system by trying.

use std::fs;

use super::kernel_types::{VMLINUX, version};
use super::load;
use super::rights::{self, Right};
use crate::model::{Availability, State};
use crate::source::Settings;
use crate::source::mirror::bypass;
use crate::source::settings::Limits;

/// The oldest kernel that is tried.
const OLDEST: (u32, u32) = (5, 10);

/// Asks the system for everything that tracing needs.
///
/// The programs are loaded and attached for a moment, since nothing less tells whether they can be.
pub fn examine() -> Vec<Availability> {
    let mut rows = vec![kernel(), types()];
    rows.extend(self::rights());
    rows.push(bypass());
    let settings = Settings {
        fine: true,
        limits: Limits {
            packets: 64,
            nodes: 16,
            classes: 16,
            cells: 16,
            handover: 16,
        },
        ..Settings::default()
    };
    match load::load(&settings) {
        Ok(loaded) => rows.extend(loaded.availability),
        Err(cause) => rows.push(Availability {
            name: "programs".to_owned(),
            meaning: "watch the packets".to_owned(),
            state: State::Missing {
                because: cause.to_string(),
                advice: "mend what is missing above".to_owned(),
            },
        }),
    }
    rows
}

fn row(name: &str, meaning: &str, missing: Option<(String, &str)>) -> Availability {
    Availability {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        state: missing.map_or(State::Works, |(because, advice)| State::Missing {
            because,
            advice: advice.to_owned(),
        }),
    }
}

fn kernel() -> Availability {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim_end();
    let missing = (version(release) < Some(OLDEST)).then(|| {
        (
            format!("it is older than {}.{}", OLDEST.0, OLDEST.1),
            "a newer kernel",
        )
    });
    row(&format!("kernel {release}"), "runs the programs", missing)
}

fn types() -> Availability {
    let missing = fs::metadata(VMLINUX).err().map(|cause| {
        (
            format!("{VMLINUX}: {cause}"),
            "a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        )
    });
    row("BTF", "tells where the kernel keeps what is read", missing)
}

/// What an XDP program takes away comes to no hop: how much that is, only tracing tells.
fn bypass() -> Availability {
    let devices = bypass::by_xdp();
    let named = |it: &bypass::Device| format!("{} of {}", it.name, it.namespace);
    let named: Vec<String> = devices.iter().map(named).collect();
    let state = if devices.is_empty() {
        State::Works
    } else {
        State::Unavailable {
            because: format!("XDP programs see packets first at {}", named.join(", ")),
            advice: "tracer routes, which says what share is seen there".to_owned(),
        }
    };
    Availability {
        name: "coverage".to_owned(),
        meaning: "lets the hops see all packets".to_owned(),
        state,
    }
}

fn rights() -> Vec<Availability> {
    let state = |right: &Right| {
        (!right.is_held()).then(|| ("this process has not got it".to_owned(), "sudo tracer"))
    };
    let mut rows: Vec<_> = rights::REQUIRED
        .iter()
        .map(|right| row(right.name, right.meaning, state(right)))
        .collect();
    rows.extend(rights::FOR_NAMES.iter().map(|right| {
        let mut names = row(right.name, right.meaning, state(right));
        if let State::Missing { because, advice } = names.state {
            names.state = State::Unavailable { because, advice };
        }
        names
    }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_up_to_its_second_number() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.10.0-30-amd64"), Some((5, 10)));
        assert!(version("5.4.0") < Some(OLDEST));
        assert_eq!(version("linux"), None);
    }
}
