//! Puts the eBPF object where the agent includes it from: `$OUT_DIR/tracer.bpf.o`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use tracer_object::{INSTALL, KernelHalf, Manifest, Toolchain};

/// Names an object that a packager built by himself.
const PACKAGERS_OBJECT: &str = "TRACER_EBPF_OBJECT";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let agent = folder("CARGO_MANIFEST_DIR")?;
    let out = folder("OUT_DIR")?;
    watch(&agent);
    let object = object(&agent, &out)?;
    let path = out.join("tracer.bpf.o");
    fs::write(&path, object).with_context(|| format!("write {}", path.display()))
}

/// The packager's object, the prebuilt one when it is made of these sources, or a new one.
fn object(agent: &Path, out: &Path) -> Result<Vec<u8>> {
    if let Some(path) = env::var_os(PACKAGERS_OBJECT) {
        return fs::read(&path)
            .with_context(|| format!("read {PACKAGERS_OBJECT} {}", path.display()));
    }
    let Some(half) = kernel_half(agent) else {
        return prebuilt(agent);
    };
    let sources = half.fingerprint()?;
    if Manifest::read(&Manifest::path(agent)).is_ok_and(|manifest| manifest.sources == sources) {
        return prebuilt(agent);
    }
    let toolchains = Toolchain::all().context(
        "the kernel half's sources aren't those of the prebuilt object, so it has to be compiled",
    )?;
    let toolchain = toolchains.first().context(INSTALL)?;
    println!(
        "cargo::warning=the kernel half was edited: compiling it with {}",
        toolchain.rustc
    );
    tracer_object::compile(&half, toolchain, &target_dir(out))
}

fn prebuilt(agent: &Path) -> Result<Vec<u8>> {
    let path = Manifest::object_path(agent);
    let object = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let manifest = Manifest::read(&Manifest::path(agent))?;
    if tracer_object::sha256(&object) != manifest.object {
        bail!(
            "take {}: it isn't its manifest's object; run cargo xtask ebpf build",
            path.display()
        );
    }
    Ok(object)
}

fn watch(agent: &Path) {
    println!("cargo::rerun-if-env-changed={PACKAGERS_OBJECT}");
    let object = [Manifest::path(agent), Manifest::object_path(agent)];
    let sources = kernel_half(agent);
    let sources = sources.iter().flat_map(KernelHalf::watched);
    for path in sources
        .chain(object)
        .chain(env::var_os(PACKAGERS_OBJECT).map(PathBuf::from))
    {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn kernel_half(agent: &Path) -> Option<KernelHalf> {
    KernelHalf::of(agent.parent()?)
}

/// Beside the profiles' folders (`target/<profile>/build/<package>/out`), so that all profiles
/// share one compiled kernel half.
fn target_dir(out: &Path) -> PathBuf {
    out.ancestors().nth(4).unwrap_or(out).join("ebpf")
}

fn folder(name: &str) -> Result<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .with_context(|| format!("read {name}: run by cargo"))
}
