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

/// An eBPF object, and the hash of the sources that it was made of; empty where nobody knows.
struct Object {
    bytes: Vec<u8>,
    sources: String,
}

fn run() -> Result<()> {
    let agent = folder("CARGO_MANIFEST_DIR")?;
    let out = folder("OUT_DIR")?;
    watch(&agent);
    let object = object(&agent, &out)?;
    println!("cargo::rustc-env=TRACER_EBPF_SOURCES={}", object.sources);
    let path = out.join("tracer.bpf.o");
    fs::write(&path, object.bytes).with_context(|| format!("write {}", path.display()))
}

/// The packager's object, the prebuilt one when it is made of these sources, or a new one.
fn object(agent: &Path, out: &Path) -> Result<Object> {
    if let Some(path) = env::var_os(PACKAGERS_OBJECT) {
        let bytes = fs::read(&path)
            .with_context(|| format!("read {PACKAGERS_OBJECT} {}", path.display()))?;
        let sources = String::new();
        return Ok(Object { bytes, sources });
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
    let bytes = tracer_object::compile(&half, toolchain, &target_dir(out))?;
    Ok(Object { bytes, sources })
}

fn prebuilt(agent: &Path) -> Result<Object> {
    let path = Manifest::object_path(agent);
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let manifest = Manifest::read(&Manifest::path(agent))?;
    if tracer_object::sha256(&bytes) != manifest.object {
        bail!(
            "take {}: it isn't its manifest's object; run cargo xtask ebpf build",
            path.display()
        );
    }
    let sources = manifest.sources;
    Ok(Object { bytes, sources })
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
