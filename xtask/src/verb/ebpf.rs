//! `cargo xtask ebpf`: the prebuilt object, made and checked.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use tracer_object::{KernelHalf, Manifest, Toolchain, compile, sha256};

use crate::workspace::{Workspace, step};

#[derive(Subcommand)]
pub(crate) enum Ebpf {
    /// Compile the kernel half; write the object and its manifest
    Build,
    /// Check that the object is made of these sources and that a rebuild gives the same bytes
    Verify,
}

impl Ebpf {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        match self {
            Self::Build => build(workspace),
            Self::Verify => verify(workspace),
        }
    }
}

fn build(workspace: &Workspace) -> Result<()> {
    let half = workspace.kernel_half()?;
    let toolchains = Toolchain::all()?;
    let toolchain = preferred(workspace, &toolchains);
    step(&format!(
        "compile the kernel half: {}; {}",
        toolchain.rustc, toolchain.linker
    ));
    let object = compile(&half, toolchain, &workspace.ebpf_target())?;
    let manifest = Manifest::of(half.fingerprint()?, &object, toolchain);
    let path = Manifest::object_path(&workspace.agent());
    fs::write(&path, &object).with_context(|| format!("write {}", path.display()))?;
    manifest.write(&Manifest::path(&workspace.agent()))?;
    eprintln!(
        "{}: {} bytes, sha256 {}",
        path.display(),
        object.len(),
        manifest.object
    );
    Ok(())
}

/// The toolchain that made the object before, so that a change of sources shows alone.
fn preferred<'a>(workspace: &Workspace, toolchains: &'a [Toolchain]) -> &'a Toolchain {
    let before = Manifest::read(&Manifest::path(&workspace.agent())).ok();
    let same = |toolchain: &&Toolchain| before.as_ref().is_some_and(|old| old.is_by(toolchain));
    toolchains.iter().find(same).unwrap_or(&toolchains[0])
}

fn verify(workspace: &Workspace) -> Result<()> {
    let half = workspace.kernel_half()?;
    let path = Manifest::object_path(&workspace.agent());
    let object = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let manifest = Manifest::read(&Manifest::path(&workspace.agent()))?;

    step("the object is made of these sources");
    is_current(&manifest, &half)?;
    step("the object is its manifest's");
    if sha256(&object) != manifest.object {
        bail!(
            "compare {} with its manifest: the hash differs; run cargo xtask ebpf build",
            path.display()
        );
    }
    step("a rebuild gives the same bytes");
    let toolchain = builder(&manifest)?;
    let rebuilt = compile(&half, &toolchain, &workspace.ebpf_target())?;
    if rebuilt != object {
        let kept = workspace.ebpf_target().join("rebuilt.bpf.o");
        fs::write(&kept, rebuilt).with_context(|| format!("write {}", kept.display()))?;
        bail!(
            "rebuild {}: same sources and toolchain, other bytes; compare it with {}",
            path.display(),
            kept.display()
        );
    }
    eprintln!("{}: verified, sha256 {}", path.display(), manifest.object);
    Ok(())
}

fn is_current(manifest: &Manifest, half: &KernelHalf) -> Result<()> {
    let sources = half.fingerprint()?;
    if sources != manifest.sources {
        bail!(
            "compare the kernel half with its object: the sources are {sources}, the object was made of {}; run cargo xtask ebpf build and commit both files",
            manifest.sources
        );
    }
    Ok(())
}

/// The toolchain that the manifest names: another one's bytes prove nothing.
fn builder(manifest: &Manifest) -> Result<Toolchain> {
    let toolchains = Toolchain::all()?;
    let here: Vec<_> = toolchains
        .iter()
        .map(|toolchain| format!("{}; {}", toolchain.rustc, toolchain.linker))
        .collect();
    toolchains.into_iter().find(|toolchain| manifest.is_by(toolchain)).with_context(|| {
        format!(
            "rebuild the object: it was made by {}; {}, and here is {}; install the former (cargo xtask setup), or run cargo xtask ebpf build with the latter and commit both files",
            manifest.rustc,
            manifest.linker,
            here.join(" and ")
        )
    })
}
