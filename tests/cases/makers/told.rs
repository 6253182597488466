//! What a live source tells, until it is dropped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use lab::{Lab, Ns};
use tracer::model::journal::{Subject, Who, subject};
use tracer::model::network::How;
use tracer::source::live::Live;
use tracer::source::live::makers::Noted;
use tracer::source::mirror::{Changed, Event};
use tracer::source::{Settings, settings::Limits};

/// How long all may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it stays quiet when all was told.
const QUIET: Duration = Duration::from_millis(1_500);

/// A source that tells who changes what.
pub(crate) struct Told {
    notes: Receiver<(Noted, SystemTime)>,
    _live: Live,
}

/// A change that was told.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) namespace: String,
    pub(crate) subject: Subject,
    pub(crate) is_gone: bool,
    pub(crate) how: How,
    pub(crate) who: Who,
    pub(crate) at: SystemTime,
}

impl Told {
    pub(crate) fn start() -> Self {
        let (sender, notes) = channel();
        let settings = Settings {
            limits: Limits {
                packets: 64,
                nodes: 64,
                classes: 64,
                cells: 64,
                handover: 64,
            },
            makers: true,
            ..Settings::default()
        };
        let tell = Box::new(move |noted| drop(sender.send((noted, SystemTime::now()))));
        let live = Live::open_telling(&settings, Some(tell)).unwrap();
        Self { notes, _live: live }
    }

    /// The next change in a namespace.
    pub(crate) fn next(&self, ns: &Ns) -> Change {
        loop {
            let (noted, at) = self.notes.recv_timeout(PATIENCE).expect("a change");
            let change = change(noted, at);
            if let Some(change) = change.filter(|it| it.namespace == ns.name()) {
                return change;
            }
        }
    }

    /// The changes in a namespace, when it has become quiet.
    pub(crate) fn changes(&self, ns: &Ns) -> Vec<Change> {
        let start = Instant::now();
        let mut changes = Vec::new();
        while let Ok((noted, at)) = self.notes.recv_timeout(QUIET) {
            changes.extend(change(noted, at));
            assert!(start.elapsed() < PATIENCE, "it does not become quiet");
        }
        changes.retain(|it| it.namespace == ns.name());
        changes
    }
}

fn change(noted: Noted, at: SystemTime) -> Option<Change> {
    let Event::Changed(changed) = noted.note.event else {
        return None;
    };
    let Changed {
        change, devices, ..
    } = *changed;
    let fact = change.after.as_ref().or(change.before.as_ref())?;
    Some(Change {
        namespace: noted.note.namespace.name,
        subject: subject(fact, &devices),
        is_gone: change.after.is_none(),
        how: change.how,
        who: noted.who,
        at,
    })
}

/// A namespace with a device that routes may lead to.
pub(crate) fn one(lab: &Lab) -> Ns {
    let ns = lab.namespace("a").unwrap();
    ns.bridge("d0", &[]).unwrap();
    ns.address("d0", "10.0.1.1/24").unwrap();
    ns.address("d0", "fd00:1::1/64").unwrap();
    ns
}

/// A command inside a namespace by its file, not by `ip netns exec`.
pub(crate) fn inside(ns: &Ns, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    let path = PathBuf::from("/run/netns").join(ns.name());
    command.arg(format!("--net={}", path.display())).args(words);
    command.stderr(Stdio::null());
    command
}

/// iproute2's `ip`; none where there is only busybox's, as on the kernels under QEMU.
pub(crate) fn iproute2() -> Option<PathBuf> {
    let ip = ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"].map(PathBuf::from);
    let is_busybox = |path: &PathBuf| {
        let real = std::fs::canonicalize(path).unwrap_or_default();
        real.ends_with("busybox")
    };
    let mut found = ip.into_iter().filter(|path| path.exists());
    found.find(|path| !is_busybox(path))
}

/// A copy of `ip` by another name, as which the kernel knows it. Busybox goes by its own name alone.
pub(crate) fn ip_called(folder: &Path, name: &str) -> PathBuf {
    let Some(ip) = iproute2() else {
        return PathBuf::from("ip");
    };
    let path = folder.join(name);
    std::fs::copy(ip, &path).unwrap();
    path
}

/// The name that the kernel gives a program.
pub(crate) fn command(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// `ip -batch -` that waits for its lines.
pub(crate) struct Batch(pub(crate) Child);

impl Batch {
    pub(crate) fn start(ns: &Ns, ip: &str) -> Self {
        let child = inside(ns, &[ip, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    pub(crate) fn line(&mut self, line: &str) {
        let to = self.0.stdin.as_mut().unwrap();
        writeln!(to, "{line}").unwrap();
    }

    pub(crate) fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// The command of whoever made it, and its pid.
pub(crate) fn maker(change: &Change) -> Option<(String, u32)> {
    match &change.who {
        Who::Process(process) => {
            let task = process.ancestry.first()?;
            Some((task.command.clone(), task.pid))
        }
        _ => None,
    }
}
