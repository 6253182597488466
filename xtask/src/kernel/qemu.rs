//! Starts a kernel and listens to its console.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xshell::Shell;

use super::initramfs::{self, FAILED, SAYS};
use super::{Files, Guest};

/// How a guest ended.
pub(crate) enum Outcome {
    /// So many programs failed.
    Ran { failed: u32 },
    /// The kernel stopped before it came to the first program.
    DiedEarly,
    /// The kernel stopped before the programs were through.
    Died,
    /// The time was over.
    Stuck,
}

/// Boots `kernel` with `guest` in it, shows its console, and keeps it in `folder/console.log`.
///
/// A kernel that dies before it came to the guest's first program is started once more: QEMU runs the
/// guest's processors on threads of their own, and now and then one of them meets an instruction that
/// another one is writing, a breakpoint that nobody set (`Oops: int3` at a static branch).
pub(crate) fn boot(
    shell: &Shell,
    kernel: &Files,
    guest: &Guest,
    folder: &Path,
    limit: Duration,
) -> Result<Outcome> {
    let outcome = boot_once(shell, kernel, guest, folder, limit)?;
    if matches!(outcome, Outcome::DiedEarly) {
        eprintln!("the kernel died before the first program; once more");
        return boot_once(shell, kernel, guest, folder, limit);
    }
    Ok(outcome)
}

fn boot_once(
    shell: &Shell,
    kernel: &Files,
    guest: &Guest,
    folder: &Path,
    limit: Duration,
) -> Result<Outcome> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let initramfs =
        initramfs::write(shell, folder, kernel, guest).context("build the initramfs")?;
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(MACHINE)
        .args(["-append", "console=ttyS0 panic=-1 quiet"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start qemu-system-x86_64: run cargo xtask setup")?;
    let console = qemu.stdout.take().context("read the guest's console")?;
    let outcome = listen(&lines(console), &folder.join("console.log"), limit);
    end(&mut qemu)?;
    outcome
}

/// Emulated, so that it is the same everywhere: count here, don't time.
///
/// QEMU 7.2 emulates cmpxchg16b wrongly: Linux 6.12 dies of a double fault in its allocator.
const MACHINE: &[&str] = &[
    "-accel",
    "tcg",
    "-cpu",
    "max,-cx16",
    "-smp",
    "2",
    "-m",
    "1024",
    "-nographic",
    "-no-reboot",
    "-nic",
    "none",
    // Two cards, and a cable between them.
    "-netdev",
    "hubport,id=one,hubid=0",
    "-device",
    "virtio-net-pci,netdev=one,mac=52:54:00:00:00:01",
    "-netdev",
    "hubport,id=other,hubid=0",
    "-device",
    "virtio-net-pci,netdev=other,mac=52:54:00:00:00:02",
];

fn listen(console: &Receiver<String>, log: &Path, limit: Duration) -> Result<Outcome> {
    let mut log = File::create(log).with_context(|| format!("write {}", log.display()))?;
    let deadline = Instant::now() + limit;
    let mut has_begun = false;
    loop {
        match console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                eprintln!("  {line}");
                writeln!(log, "{line}")?;
                has_begun |= line.starts_with(SAYS);
                if let Some(failed) = line.strip_prefix(FAILED) {
                    return Ok(Outcome::Ran {
                        failed: failed.parse()?,
                    });
                }
            }
            Err(RecvTimeoutError::Disconnected) if has_begun => return Ok(Outcome::Died),
            Err(RecvTimeoutError::Disconnected) => return Ok(Outcome::DiedEarly),
            Err(RecvTimeoutError::Timeout) => return Ok(Outcome::Stuck),
        }
    }
}

const CLEAR: &str = "\x1b[2J";

/// The console's lines, read by a thread of their own so that waiting for one can end.
fn lines(console: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(console).split(b'\n').map_while(Result::ok);
        for line in lines {
            let line = String::from_utf8_lossy(&line);
            // The firmware clears the screen before the kernel speaks.
            let text = line.trim_end().rsplit(CLEAR).next().unwrap_or_default();
            if sender.send(text.to_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn end(qemu: &mut Child) -> Result<()> {
    // It may have ended by itself.
    let _ = qemu.kill();
    qemu.wait().context("wait for qemu's end")?;
    Ok(())
}
