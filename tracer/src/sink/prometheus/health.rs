//! How the agent itself is, as plain values.

/// What the page says of the agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Changes on the network, by kind and by the protocol that set a route, rule or next hop.
    pub changes: Vec<(&'static str, String, u64)>,
    /// How often the journal could not be written.
    pub journal_failures: u64,
    /// Whether the journal is on disk.
    pub journal_on_disk: bool,
    /// What the judge found.
    pub judged: Judged,
    /// The agent's version.
    pub version: &'static str,
    /// The kernel's release.
    pub kernel: String,
    /// Hops and features, and whether each works here.
    pub availability: Vec<(String, bool)>,
    /// Readings that were taken.
    pub readings: u64,
    /// Readings that could not be taken.
    pub reading_failures: u64,
    /// How long the last reading took, in seconds.
    pub reading_s: f64,
    /// When it was taken, in seconds since 1970.
    pub read_at_s: f64,
    /// How often the programs were attached.
    pub attachments: u64,
    /// Whether the configuration that was read last is the one that is followed.
    pub reload_successful: bool,
    /// When a configuration was followed first, in seconds since 1970.
    pub reloaded_at_s: f64,
    /// What the governor does.
    pub governor: Governed,
    /// Connections that are open.
    pub connections: u64,
    /// Connections and requests that were refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// What the kernel says of the process; none where it does not.
    pub process: Option<Process>,
}

/// What the judge found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Incidents that last, by verdict and severity; those of which there is none too.
    pub active: Vec<(&'static str, &'static str, u64)>,
    /// Findings.
    pub findings: u64,
    /// Streams that are watched, and how often one found no room.
    pub streams: u64,
    pub refused: u64,
    /// When it judged last, in seconds since 1970.
    pub at_s: f64,
    /// Whether incidents are on disk, and how often they could not be written.
    pub on_disk: bool,
    pub write_failures: u64,
    /// Alerts that were sent, and tries that failed, by receiver.
    pub alerts: Vec<(String, u64, u64)>,
}

/// What the governor does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Governed {
    /// What the programs may take, as a share of the host's processor time; none for all.
    pub budget: Option<f64>,
    /// What they took in the last interval; 0 where nobody measured it.
    pub used: f64,
    /// The share of packets that are followed; 0 where nothing is attached.
    pub sampling: f64,
    /// Steps that it took, by direction.
    pub steps: Vec<(&'static str, u64)>,
}

/// What the kernel says of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time in seconds.
    pub cpu_s: f64,
    /// Memory that it holds, in bytes.
    pub resident_bytes: u64,
    /// Open files.
    pub open_fds: u64,
    /// When it was started, in seconds since 1970.
    pub started_at_s: f64,
}
