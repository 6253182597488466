//! One measurement in a process of its own, whose memory is nobody else's.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use tracer::source::mirror::Mirror;

/// What such a process is told.
#[derive(Args)]
pub(crate) struct Alone {
    #[arg(value_parser = ["dump", "mirror"])]
    kind: String,
    namespace: PathBuf,
    /// Routes that have to be there, at least
    routes: u32,
}

/// What it says.
pub(super) struct Done {
    pub(super) seconds: f64,
    pub(super) peak_mb: f64,
}

pub(super) fn spawn(kind: &str, namespace: &Path, routes: u32) -> Result<Done> {
    let program = std::env::current_exe().context("find this program")?;
    let output = Command::new(program)
        .args(["mirror-alone", kind])
        .arg(namespace)
        .arg(routes.to_string())
        .output()
        .context("start a process of its own")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(seconds)), Some(Ok(peak_mb))) if output.status.success() => {
            Ok(Done { seconds, peak_mb })
        }
        _ => bail!("{kind}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

impl Alone {
    pub(crate) fn run(self) -> Result<()> {
        let start = Instant::now();
        let routes = if self.kind == "dump" {
            dump(&self.namespace)?
        } else {
            let mirror = Mirror::start(Box::new(drop)).context("start the mirror")?;
            let took = start.elapsed();
            let count = mirrored(&mirror, &self.namespace)?;
            println!("{} {}", took.as_secs_f64(), peak_mb()?);
            return enough(count, self.routes);
        };
        println!("{} {}", start.elapsed().as_secs_f64(), peak_mb()?);
        enough(routes, self.routes)
    }
}

fn enough(there: usize, wanted: u32) -> Result<()> {
    if there < wanted as usize {
        bail!("{there} routes of {wanted} are there");
    }
    Ok(())
}

fn mirrored(mirror: &Mirror, namespace: &Path) -> Result<usize> {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(namespace)?.ino() as u32;
    let seen = mirror.seen();
    let followed = seen.namespaces.get(&inode).context("it is not followed")?;
    Ok(followed.network.routes().count())
}

/// Reads the kernel's dump of all IPv4 routes, and counts its messages.
fn dump(namespace: &Path) -> Result<usize> {
    let file = File::open(namespace).context("open the namespace")?;
    nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).context("enter it")?;
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    // RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP; AF_INET.
    let mut request = vec![28, 0, 0, 0, 26, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0];
    request.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut buffer = vec![0; 64 << 10];
    let mut count = 0;
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            match u16::from_ne_bytes([rest[4], rest[5]]) {
                2 | 3 => return Ok(count),
                _ => count += 1,
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The most memory that this process had, in millions of bytes.
fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .context("read VmHWM")?;
    Ok(kib * 1024.0 / 1e6)
}
