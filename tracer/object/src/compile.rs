//! The one command that compiles the object.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::toolchain::{Route, TARGET, cargo_home};
use crate::{KernelHalf, Toolchain};

/// What shapes the object besides its sources and its toolchain.
///
/// The object speaks of `pt_regs` nowhere, so one architecture's does for all.
pub const FLAGS: [&str; 5] = [
    "-Cdebuginfo=2",
    "-Clinker=bpf-linker",
    "-Clink-arg=--btf",
    "--cfg=bpf_target_arch=\"x86_64\"",
    "--remap-path-prefix",
];

/// The caller's choices that cargo hands down to build scripts, and that aren't meant for the
/// kernel half.
const NOT_FOR_US: [&str; 6] = [
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTUP_TOOLCHAIN",
    "RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_MAKEFLAGS",
];

/// Compiles the kernel half in `target_dir` and returns the object, BTF kept and DWARF removed.
///
/// `target_dir` must not be the caller's own: cargo holds a lock on that.
///
/// # Errors
/// Where cargo or the stripper fail.
pub fn compile(half: &KernelHalf, toolchain: &Toolchain, target_dir: &Path) -> Result<Vec<u8>> {
    let mut build = cargo(half, toolchain, "build", target_dir);
    run(&mut build).with_context(|| format!("compile the kernel half with {}", toolchain.rustc))?;
    let linked = target_dir.join(TARGET).join("release/tracer-ebpf");
    let stripped = linked.with_extension("stripped");
    let mut strip = Command::new(&toolchain.strip);
    strip.arg("--strip-debug").arg(&linked);
    // llvm-strip wants -o; objcopy takes the output as second argument.
    if toolchain.strip.ends_with("llvm-strip") {
        strip.arg("-o");
    }
    run(strip.arg(&stripped)).context("remove the object's DWARF")?;
    fs::read(&stripped).with_context(|| format!("read {}", stripped.display()))
}

/// Lints the kernel half for its own target, with the toolchain's own clippy.
///
/// # Errors
/// Where the toolchain has no clippy, or clippy has something to say.
pub fn clippy(half: &KernelHalf, toolchain: &Toolchain, target_dir: &Path) -> Result<()> {
    let driver = toolchain.route.rustc().with_file_name("clippy-driver");
    if !driver.is_file() {
        bail!(
            "lint the kernel half: there is no {}; install the clippy of this compiler ({}; on Debian rust-web-clippy)",
            driver.display(),
            toolchain.rustc
        );
    }
    // What `cargo clippy -- --deny warnings` does, with a driver that isn't cargo's own.
    let mut check = cargo(half, toolchain, "check", target_dir);
    check.env("RUSTC_WORKSPACE_WRAPPER", driver);
    check.env(
        "CLIPPY_ARGS",
        "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__",
    );
    run(&mut check).context("lint the kernel half")
}

/// `cargo <verb>` for the kernel half, driven with this toolchain.
fn cargo(half: &KernelHalf, toolchain: &Toolchain, verb: &str, target_dir: &Path) -> Command {
    let route = &toolchain.route;
    let mut command = match route {
        Route::Prebuilt { .. } => Command::new(env::var_os("CARGO").unwrap_or("cargo".into())),
        Route::BuildStd { cargo, .. } => Command::new(cargo),
    };
    for name in NOT_FOR_US {
        command.env_remove(name);
    }
    command.current_dir(half.workspace());
    command.args([
        verb,
        "--package",
        "tracer-ebpf",
        "--release",
        "--locked",
        "--target",
        TARGET,
    ]);
    if matches!(route, Route::BuildStd { .. }) {
        command.args(["-Z", "build-std=core"]);
    }
    command.arg("--target-dir").arg(target_dir);
    command.env("RUSTC", route.rustc());
    // aya-ebpf uses unstable features of the compiler.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(half));
    // By name and not by path, which would be part of what cargo names the crates by.
    command.env("PATH", path(&toolchain.linker_path));
    command
}

/// The flags, with every path that differs from machine to machine mapped to a fixed name.
fn flags(half: &KernelHalf) -> OsString {
    let [fixed @ .., remap] = FLAGS;
    let mut flags = OsString::from(fixed.join("\x1f"));
    let sources = registries().into_iter().map(|path| (path, "/crates"));
    for (path, name) in sources.chain([(half.workspace().as_os_str().to_owned(), "/tracer")]) {
        flags.push(format!("\x1f{remap}="));
        flags.push(path);
        flags.push(format!("={name}"));
    }
    flags
}

/// `PATH` with the folder of `program` before all others.
fn path(program: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = program
        .parent()
        .map(Path::to_owned)
        .into_iter()
        .chain(env::split_paths(&path));
    // A folder that came out of PATH, or cargo's, holds no separator.
    env::join_paths(folders).unwrap_or(path)
}

/// The folders of the crates' sources, one for each registry.
fn registries() -> Vec<OsString> {
    let folders = fs::read_dir(cargo_home().join("registry/src"));
    folders
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().into_os_string())
        .collect()
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {command:?}"))?;
    if !status.success() {
        bail!("run {}: {status}", command.get_program().display());
    }
    Ok(())
}
