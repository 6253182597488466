//! Comparing the mirror with a dump of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::Ns;
use tracer::model::network::{Change, Network};
use tracer::source::mirror::{Mirror, dump};

/// How long the mirror may take until it is right.
const PATIENCE: Duration = Duration::from_secs(1);

/// A namespace of a lab, as a file.
pub(crate) fn path(ns: &Ns) -> PathBuf {
    PathBuf::from("/run/netns").join(ns.name())
}

/// A look at the mirror's picture of a namespace; none where it has none.
pub(crate) fn mirrored(mirror: &Mirror, ns: &Ns) -> Option<Network> {
    let seen = mirror.seen();
    let followed = seen.namespaces.get(&(ns.inode() as u32))?;
    Some(followed.network.clone())
}

/// What the mirror of a namespace has otherwise than a dump.
pub(crate) fn differences(mirror: &Mirror, ns: &Ns) -> Vec<Change> {
    let dumped = dump(&path(ns)).unwrap();
    let mirrored = mirrored(mirror, ns).unwrap_or_default();
    let parts = &mirrored.parts() | &dumped.parts();
    let changes = parts
        .iter()
        .map(|&part| mirrored.differences(part, &dumped));
    changes.flatten().collect()
}

/// How long it took until the mirror was right, and what was wrong with it before.
#[derive(Debug, Default)]
pub(crate) struct Right {
    pub(crate) after: Duration,
    pub(crate) before: Vec<Change>,
}

/// Waits until the mirror is right; an error is what is wrong with it in the end.
pub(crate) fn right(mirror: &Mirror, namespaces: &[&Ns]) -> Result<Right, Vec<Change>> {
    let start = Instant::now();
    let mut before = Vec::new();
    loop {
        let wrong: Vec<Change> = namespaces
            .iter()
            .flat_map(|ns| differences(mirror, ns))
            .collect();
        if wrong.is_empty() {
            let after = start.elapsed();
            return Ok(Right { after, before });
        }
        if start.elapsed() > PATIENCE {
            return Err(wrong);
        }
        before = wrong;
        std::thread::sleep(Duration::from_millis(5));
    }
}
