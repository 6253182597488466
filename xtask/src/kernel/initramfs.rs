//! The guest's whole world: busybox, the modules, our programs and the libraries they load.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::{Files, modules};

/// How each line of the init script's own begins; the first one names the first program.
pub(super) const SAYS: &str = "guest: ";

/// What the init script writes before an exit status, on a line of its own.
pub(super) const FAILED: &str = "guest: programs that failed: ";

/// What a guest is started with.
pub(crate) struct Guest {
    /// Run one after another.
    pub programs: Vec<Program>,
    /// Files that the programs find in `/bin`.
    pub tools: Vec<PathBuf>,
}

/// A program and its arguments.
pub(crate) struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

/// Writes the archive that the kernel unpacks, built in `folder`.
pub(super) fn write(
    shell: &Shell,
    folder: &Path,
    kernel: &Files,
    guest: &Guest,
) -> Result<PathBuf> {
    let root = folder.join("root");
    shell.remove_path(&root)?;
    for name in [
        "bin", "dev", "lib", "modules", "proc", "run", "sys", "tests", "tmp",
    ] {
        shell.create_dir(root.join(name))?;
    }
    let busybox = cmd!(shell, "which busybox")
        .quiet()
        .read()
        .context("find busybox")?;
    shell.copy_file(busybox, root.join("bin/busybox"))?;
    for program in &guest.programs {
        install(shell, &program.path, &root, "tests")?;
    }
    let chrt = cmd!(shell, "which chrt").quiet().read();
    install(shell, chrt.context("find chrt")?.as_ref(), &root, "bin")?;
    for tool in &guest.tools {
        install(shell, tool, &root, "bin")?;
    }
    let modules = modules::copy(shell, &kernel.modules, &root.join("modules"))?;
    let init = root.join("init");
    shell.write_file(&init, script(&modules, &guest.programs))?;
    cmd!(shell, "chmod 755 {init}").quiet().run()?;
    archive(shell, folder, &root)
}

/// The first process: what a distribution's would do, our programs, the end.
///
/// Since Linux 7.0 a task may be preempted in the middle of a tracing program, and the kernel skips that
/// program for everyone else on that CPU until it runs again (`__bpf_trace_run` of `kernel/trace/bpf_trace.c`):
/// a loss, which the tests see and say. Emulated, programs take dozens of times as long, so that it happens
/// in one run of three. Tasks of one real-time priority don't preempt one another. That leaves interrupts: a
/// program that fails is tried once more, as `nextest.toml` has it outside.
fn script(modules: &[String], programs: &[Program]) -> String {
    let modules = modules.join(" ");
    let runs: Vec<_> = programs
        .iter()
        .map(|program| format!("run {}", quoted(program)))
        .collect();
    let runs = runs.join("\n");
    format!(
        r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TRACER_BIN=/bin/tracer RUST_BACKTRACE=1
export LAB_NEEDS_DEVICES=1 LAB_NEEDS_FENTRY=1 LAB_CABLE="eth0 eth1"
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracing /sys/kernel/tracing
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
for module in {modules}; do
    insmod /modules/$module || echo "guest: $module: can't be loaded"
done
failed=0
run() {{
    echo "guest: $*"
    chrt --fifo 1 "$@" && return
    echo "guest: $1: exit status $?; once more"
    chrt --fifo 1 "$@" || {{ echo "guest: $1: exit status $?"; failed=$((failed + 1)); }}
}}
{runs}
[ $failed = 0 ] || dmesg | tail -n 60
echo "{FAILED}$failed"
reboot -f
"#
    )
}

fn quoted(program: &Program) -> String {
    let path = Path::new("/tests").join(program.path.file_name().unwrap_or_default());
    let words = [path.to_string_lossy().into_owned()]
        .into_iter()
        .chain(program.arguments.clone());
    let words: Vec<_> = words
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    words.join(" ")
}

/// Copies a program, without its debug information, and the libraries that it loads.
fn install(shell: &Shell, program: &Path, root: &Path, folder: &str) -> Result<()> {
    let name = program.file_name().context("a program has a name")?;
    let copy = root.join(folder).join(name);
    shell.copy_file(program, &copy)?;
    // Unpacking costs the emulated processor more than our programs do.
    cmd!(shell, "strip --strip-debug {copy}")
        .quiet()
        .ignore_status()
        .ignore_stderr()
        .run()?;
    for library in libraries(shell, program)? {
        let to = root.join(library.strip_prefix("/").unwrap_or(&library));
        shell.create_dir(to.parent().unwrap_or(root))?;
        shell.copy_file(&library, &to)?;
    }
    Ok(())
}

/// The libraries and the loader, where `ldd` says they are; none for a static program.
fn libraries(shell: &Shell, program: &Path) -> Result<Vec<PathBuf>> {
    let lines = cmd!(shell, "ldd {program}")
        .quiet()
        .ignore_status()
        .ignore_stderr()
        .read()?;
    let paths = lines
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

fn archive(shell: &Shell, folder: &Path, root: &Path) -> Result<PathBuf> {
    let _here = shell.push_dir(root);
    let names = cmd!(shell, "find .").quiet().read()?;
    let archive = folder.join("initramfs.cpio");
    let bytes = cmd!(shell, "busybox cpio --create --format newc")
        .stdin(names)
        .quiet()
        .output()?;
    fs::write(&archive, bytes.stdout).with_context(|| format!("write {}", archive.display()))?;
    File::open(&archive)?.sync_all()?;
    Ok(archive)
}
