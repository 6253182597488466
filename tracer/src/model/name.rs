//! Who is behind the ends of a class: processes of this host, or a prefix that routes know.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;

use super::owner::Owner;

/// Who is behind both ends of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Behind the source.
    pub source: Who,
    /// Behind the destination.
    pub destination: Who,
}

/// Who is behind an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// Nobody knows: a wrong name is never given.
    #[default]
    Unknown,
    /// Processes of this host: all that were seen to have a socket of the class.
    Local(BTreeSet<Process>),
    /// Another host, which the FIB knows by this prefix.
    Remote(IpNet),
    /// Another host, as DNS calls it.
    Host {
        /// Its name.
        name: String,
        /// The prefix that the FIB knows it by.
        prefix: Option<IpNet>,
    },
}

/// What is known of processes with sockets: at least one of the two, and never a process's number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// The program's name (`/proc/PID/comm`: 15 bytes, without arguments).
    pub command: Option<String>,
    /// Who looks after it.
    pub owner: Option<Owner>,
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.command, &self.owner) {
            (Some(command), Some(owner)) => write!(out, "{command}, {owner}"),
            (Some(command), None) => out.write_str(command),
            (None, Some(owner)) => write!(out, "{owner}"),
            (None, None) => Ok(()),
        }
    }
}

/// How many processes are shown.
const SHOWN: usize = 2;

impl Who {
    /// A text for people; none where nothing is known.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Remote(prefix) if prefix.prefix_len() == 0 => Some("default route".to_owned()),
            Self::Remote(prefix) => Some(prefix.to_string()),
            Self::Host { name, .. } => Some(name.clone()),
            Self::Local(processes) => {
                let shown = processes.iter().take(SHOWN).map(ToString::to_string);
                let shown: Vec<String> = shown.collect();
                let more = processes.len().saturating_sub(SHOWN);
                let more = (more > 0).then(|| format!("{more} more"));
                let all: Vec<String> = shown.into_iter().chain(more).collect();
                Some(all.join("; ")).filter(|text| !text.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(command: &str, unit: &str) -> Process {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Process {
            command: some(command),
            owner: some(unit).map(Owner::Unit),
        }
    }

    #[test]
    fn who_it_is_reads_as_a_person_would_say_it() {
        let local = |all: &[Process]| Who::Local(all.iter().cloned().collect()).text();
        assert_eq!(
            local(&[process("uwsgi", "app.service")]).unwrap(),
            "uwsgi, app.service"
        );
        assert_eq!(local(&[process("", "app.service")]).unwrap(), "app.service");
        let many = ["a", "b", "c", "d"].map(|name| process(name, ""));
        assert_eq!(local(&many).unwrap(), "a; b; 2 more");
        assert_eq!(local(&[]), None);
        assert_eq!(Who::Unknown.text(), None);
        let remote = |text: &str| Who::Remote(text.parse().unwrap()).text().unwrap();
        assert_eq!(remote("10.2.0.0/16"), "10.2.0.0/16");
        assert_eq!(remote("::/0"), "default route");
    }
}
