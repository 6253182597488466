//! The toolchains that can compile for the BPF target, found and not assumed.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Both ways to get what compiles the kernel half, said where it is missing.
pub const INSTALL: &str = "\
install one of the two toolchains, and bpf-linker:
  Debian's:  apt-get install rustc-web libstd-rust-web-dev-bpf llvm-22-dev libpolly-22-dev zlib1g-dev libzstd-dev gcc
  rustup's:  rustup toolchain install nightly --component rust-src
  linker:    LLVM_PREFIX=/usr/lib/llvm-22 PATH=/usr/lib/llvm-22/bin:$PATH \\
             cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22
on Debian, `cargo xtask setup` does it";

/// A compiler with `core` for the BPF target, and the linker.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// `rustc --version`.
    pub rustc: String,
    /// `bpf-linker --version`, and the LLVM it runs on.
    pub linker: String,
    pub(crate) route: Route,
    pub(crate) linker_path: PathBuf,
    pub(crate) strip: PathBuf,
}

/// Where `core` for the BPF target comes from.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// A distribution's rustc, which brings `core` compiled.
    Prebuilt { rustc: PathBuf },
    /// A nightly of rustup's, which compiles `core` from its sources.
    BuildStd { rustc: PathBuf, cargo: PathBuf },
}

impl Route {
    pub(crate) fn rustc(&self) -> &Path {
        match self {
            Self::Prebuilt { rustc } | Self::BuildStd { rustc, .. } => rustc,
        }
    }
}

impl Toolchain {
    /// All toolchains on this machine.
    ///
    /// # Errors
    /// Where there is none; with the recipes to install one.
    pub fn all() -> Result<Vec<Self>> {
        let linker = Linker::find()?;
        let routes = [distribution(), nightly()].into_iter().flatten();
        let all: Vec<_> = routes
            .map(|route| Self::new(route, &linker))
            .collect::<Result<_>>()?;
        if all.is_empty() {
            bail!("find a rustc that compiles for {TARGET}: there is none; {INSTALL}");
        }
        Ok(all)
    }

    fn new(route: Route, linker: &Linker) -> Result<Self> {
        let rustc = route.rustc();
        let strip = match &linker.llvm {
            Some(llvm) => llvm.join("bin/llvm-strip"),
            None => host_tools(rustc)?.join("rust-objcopy"),
        };
        Ok(Self {
            rustc: answer(rustc, ["--version"])?,
            linker: linker.version.clone(),
            linker_path: linker.path.clone(),
            strip,
            route,
        })
    }
}

/// `bpf-linker`, and the LLVM whose library it loads.
struct Linker {
    path: PathBuf,
    llvm: Option<PathBuf>,
    version: String,
}

impl Linker {
    fn find() -> Result<Self> {
        let Some(path) = program("bpf-linker") else {
            bail!("find bpf-linker: it's neither in PATH nor in cargo's bin folder; {INSTALL}");
        };
        let version = answer(&path, ["--version"])?;
        let llvm = llvm_of(&path);
        let llvm_version = match &llvm {
            Some(llvm) => answer(&llvm.join("bin/llvm-config"), ["--version"])?,
            None => "linked in".to_owned(),
        };
        Ok(Self {
            version: format!("{version}, LLVM {llvm_version}"),
            path,
            llvm,
        })
    }
}

/// The folder of the LLVM whose library the program loads; `None` for a static one.
fn llvm_of(program: &Path) -> Option<PathBuf> {
    let libraries = answer(Path::new("ldd"), [program]).ok()?;
    let line = libraries.lines().find(|line| line.contains("libLLVM"))?;
    let library = Path::new(line.split_whitespace().nth(2)?);
    let beside = library.ancestors().nth(2).map(Path::to_owned);
    // Debian may load it from the multiarch folder, far from its tools.
    let debians = PathBuf::from(format!("/usr/lib/llvm-{}", major(library)?));
    let folders = [Some(debians), beside].into_iter().flatten();
    folders
        .into_iter()
        .find(|folder| folder.join("bin/llvm-config").is_file())
}

/// 22 for `libLLVM.so.22.1` and for `libLLVM-22.so.1`.
fn major(library: &Path) -> Option<String> {
    let mut numbers = library
        .file_name()?
        .to_str()?
        .split(|c: char| !c.is_ascii_digit());
    numbers.find(|number| !number.is_empty()).map(str::to_owned)
}

fn distribution() -> Option<Route> {
    let rustc = PathBuf::from("/usr/bin/rustc");
    let core = answer(&rustc, ["--print", "target-libdir", "--target", TARGET]).ok()?;
    Path::new(&core)
        .is_dir()
        .then_some(Route::Prebuilt { rustc })
}

fn nightly() -> Option<Route> {
    let rustup = program("rustup")?;
    let which = |name| answer(&rustup, ["which", "--toolchain", "nightly", name]).ok();
    let (rustc, cargo) = (
        PathBuf::from(which("rustc")?),
        PathBuf::from(which("cargo")?),
    );
    let sysroot = answer(&rustc, ["--print", "sysroot"]).ok()?;
    let core = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core");
    core.is_dir().then_some(Route::BuildStd { rustc, cargo })
}

/// Where a compiler keeps the tools that run on its host.
fn host_tools(rustc: &Path) -> Result<PathBuf> {
    let libraries = answer(rustc, ["--print", "target-libdir"])?;
    Ok(Path::new(&libraries).with_file_name("bin"))
}

fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([cargo_home().join("bin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

pub(crate) fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// What a program prints, without the last line's end.
fn answer<I, S>(program: &Path, args: I) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    // rustup's proxies would take the caller's toolchain for the one that is asked for.
    command.args(args).env_remove("RUSTUP_TOOLCHAIN");
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "run {command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_name_tells_the_major_version() {
        for name in [
            "/usr/lib/llvm-22/lib/libLLVM.so.22.1",
            "/usr/lib64/libLLVM-22.so.1",
        ] {
            assert_eq!(major(Path::new(name)).as_deref(), Some("22"), "{name}");
        }
    }
}
