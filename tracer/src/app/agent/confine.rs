//! What the agent's threads may do once they run: the reader traces, and the others serve.
//!
//! Capabilities and Landlock are a thread's own, and those that it starts inherit them. So the
//! reader is started with what tracing needs, and everything that the network reaches is started
//! after all capabilities are gone.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

use super::Settings;
use super::alerts::settings::Settings as Alerts;
use crate::app::Failure;
use crate::config::web::{ClientAuth, Web};
use crate::source::live::rights;

/// The newest rules that are known here; an older kernel enforces those that it has.
const RULES: ABI = ABI::V6;

/// What is read while the agent runs: the configuration, namespaces, processes, the kernel's types.
const READ: [&str; 4] = ["/etc", "/proc", "/run", "/sys"];

/// Names are asked for by TCP where an answer is long.
const DNS: u16 = 53;

/// What changes where something that was not known at the start is to be opened.
const ADVICE: &str = "starting the agent anew";

/// Files and folders beyond those that every agent reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Read, with all that is below.
    pub(super) read: Vec<PathBuf>,
    /// Sockets and their locks are made here, and sockets removed.
    pub(super) sockets: Vec<PathBuf>,
    /// Files are made, written and exchanged here.
    pub(super) written: Vec<PathBuf>,
    /// Ports that are connected to.
    pub(super) ports: Vec<u16>,
}

impl Places {
    /// The folders of all files that the configuration names, and of those files.
    ///
    /// Folders, since files are exchanged by renaming; and where links lead, since rules follow them.
    pub(super) fn of(settings: &Settings, web: &Web, files: &[PathBuf]) -> Self {
        let tls = web.tls.iter().flat_map(|tls| {
            let clients = match &tls.clients {
                ClientAuth::None => None,
                ClientAuth::Optional(file) | ClientAuth::Required(file) => Some(file),
            };
            [&tls.cert_file, &tls.key_file].into_iter().chain(clients)
        });
        let files = files.iter().chain(&settings.web_config).chain(tls);
        let read = files.flat_map(|file| {
            let real = fs::canonicalize(file).ok();
            [Some(folder(file)), real.as_deref().map(folder)]
        });
        Self {
            read: read.flatten().collect(),
            sockets: settings.socket.iter().map(|path| folder(path)).collect(),
            written: Vec::new(),
            ports: Vec::new(),
        }
    }
}

/// The folder that a file is in.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// For the reader's thread: it keeps what tracing needs, if it traces.
pub(super) fn reader(places: &Places, traces: bool) -> Result<(), Failure> {
    let kept = if traces {
        rights::keep_for_tracing()
    } else {
        rights::keep_none()
    };
    kept.map_err(refused)?;
    // Under Landlock nobody looks into other processes, and namespaces of containers are known by
    // their processes alone. Whoever grants that right asks for their names.
    if rights::looks_into_processes() {
        return Ok(());
    }
    let read = Places {
        read: places.read.clone(),
        ..Places::default()
    };
    restrict(&read).map_err(refused)
}

/// For the thread that writes the journal: it keeps nothing, and writes in the journal's folder.
pub(super) fn writer(folder: Option<PathBuf>) -> Result<(), Failure> {
    rights::keep_none().map_err(refused)?;
    // The folder has to be there for a rule; where it can't be made, opening the journal says so.
    let made = folder.filter(|folder| fs::create_dir_all(folder).is_ok());
    let places = Places {
        written: made.into_iter().collect(),
        ..Places::default()
    };
    restrict(&places).map_err(refused)
}

/// For the thread that sends alerts: it keeps nothing, and connects to receivers alone, and to whoever
/// resolves their names.
pub(super) fn sender(alerts: &Alerts) -> Result<(), Failure> {
    rights::keep_none().map_err(refused)?;
    let files = alerts.webhook_key.iter().chain([&alerts.ca_file]);
    let modules = ["/lib", "/usr/lib", "/usr/share/ca-certificates"].map(PathBuf::from);
    let places = Places {
        read: files.map(|file| folder(file)).chain(modules).collect(),
        ports: alerts.ports().into_iter().chain([DNS]).collect(),
        ..Places::default()
    };
    restrict(&places).map_err(refused)
}

/// For all other threads, before there are any: they keep nothing.
pub(super) fn servers(places: &Places) -> Result<(), Failure> {
    restrict(places).map_err(refused)?;
    rights::keep_none().map_err(refused)
}

fn restrict(places: &Places) -> Result<(), String> {
    let status = rules(places)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|cause| format!("restrict itself by Landlock: {cause}"))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        tracing::info!("this kernel has no Landlock: files are guarded by their modes alone");
    }
    Ok(())
}

/// Nothing is run or signalled, and connected to by TCP but at the ports that are named; nothing but sockets and locks is written.
///
/// Ports may be bound, since a reload may move the listener.
fn rules(places: &Places) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let sockets: BitFlags<AccessFs> =
        read | AccessFs::MakeSock | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::WriteFile;
    let written: BitFlags<AccessFs> =
        read | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::WriteFile | AccessFs::Truncate;
    let known = READ.iter().map(Path::new);
    let known = known.chain(places.read.iter().map(PathBuf::as_path));
    // Whoever connects to the service manager by an abstract name does so out of this domain.
    let is_abstract = |name: std::ffi::OsString| name.as_encoded_bytes().starts_with(b"@");
    let mut scope = BitFlags::from(Scope::Signal);
    if !std::env::var_os("NOTIFY_SOCKET").is_some_and(is_abstract) {
        scope |= Scope::AbstractUnixSocket;
    }
    let connected = places
        .ports
        .iter()
        .map(|&port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::ConnectTcp)?
        .scope(scope)?
        .create()?
        .add_rules(path_beneath_rules(known, read))?
        .add_rules(path_beneath_rules(&places.sockets, sockets))?
        .add_rules(connected)?
        .add_rules(path_beneath_rules(&places.written, written))
}

fn refused(because: String) -> Failure {
    Failure::Refused {
        doing: "give up what the agent can do without".to_owned(),
        because,
        advice: ADVICE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Where the kernel has no Landlock there is nothing to see.
    #[test]
    fn a_serving_thread_reads_little_and_writes_sockets_alone() {
        let name = format!("tracer-confined-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let other = folder.join("other");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let sockets = folder.join("sockets");
        fs::create_dir_all(&sockets).unwrap();
        let places = Places {
            sockets: vec![sockets.clone()],
            ..Places::default()
        };
        let seen = thread::spawn(move || {
            let status = rules(&places).unwrap().restrict_self().unwrap();
            if status.ruleset == RulesetStatus::NotEnforced {
                return;
            }
            let denied = |what: &str, kind: Option<ErrorKind>| {
                assert_eq!(kind, Some(ErrorKind::PermissionDenied), "{what}");
            };
            let kind = |result: std::io::Result<()>| result.err().map(|cause| cause.kind());
            denied("read", kind(fs::read(other.join("file")).map(drop)));
            denied(
                "write",
                kind(
                    fs::write(sockets.join("file"), "a")
                        .and_then(|()| fs::write(other.join("file"), "a")),
                ),
            );
            denied("make", kind(fs::create_dir(other.join("folder"))));
            denied("remove", kind(fs::remove_file(other.join("file"))));
            denied("run", kind(Command::new("/bin/true").status().map(drop)));
            if status.ruleset == RulesetStatus::FullyEnforced {
                denied("connect", kind(TcpStream::connect(address).map(drop)));
            }
            fs::read("/proc/self/status").unwrap();
            fs::read("/sys/kernel/btf/vmlinux").unwrap();
            UnixListener::bind(sockets.join("socket")).unwrap();
            fs::remove_file(sockets.join("socket")).unwrap();
            TcpListener::bind("127.0.0.1:0").unwrap();
        });
        let seen = seen.join();
        fs::remove_dir_all(&folder).unwrap();
        seen.unwrap();
    }
}
