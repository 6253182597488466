//! `cargo xtask setup`: installs what this machine lacks, and says so.

use anyhow::{Context, Result, bail};
use tracer_object::{Manifest, Toolchain};
use xshell::{Shell, cmd};

use crate::root;
use crate::workspace::{Workspace, step};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    ensure(workspace, &[OBJECT, LINTS, TESTS, KERNELS])
}

/// What one purpose needs.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    what: &'static str,
    packages: &'static [&'static str],
    /// Packages of which only a program is run: they are unpacked into the target folder, since
    /// installing them would start a service.
    unpacked: &'static [&'static str],
    tools: &'static [Tool],
}

/// To compile the kernel half.
pub(crate) const OBJECT: Needs = Needs {
    what: "to compile the kernel half",
    packages: &[
        "rustc-web",
        "libstd-rust-web-dev-bpf",
        "llvm-22-dev",
        "libpolly-22-dev",
        "zlib1g-dev",
        "libzstd-dev",
        "gcc",
    ],
    unpacked: &[],
    tools: &[Tool {
        program: "bpf-linker",
        version: Some("0.13.0"),
        features: &["--no-default-features", "--features", "llvm-22"],
    }],
};

/// To lint both halves.
pub(crate) const LINTS: Needs = Needs {
    what: "to lint both halves",
    packages: &["rust-web-clippy"],
    unpacked: &[],
    tools: &[Tool {
        program: "cargo-deny",
        version: None,
        features: &[],
    }],
};

/// To fuzz: the fuzzer itself is C++.
pub(crate) const FUZZ: Needs = Needs {
    what: "to fuzz",
    packages: &["g++"],
    unpacked: &[],
    tools: &[],
};

/// To run the workspace's tests.
pub(crate) const TESTS: Needs = Needs {
    what: "to run the tests",
    // They judge the agent's unit, start the agent with its rights, have it scraped, and
    // alert.
    packages: &["systemd", "util-linux"],
    unpacked: &["prometheus", "prometheus-alertmanager"],
    tools: &[Tool {
        program: "cargo-nextest",
        version: None,
        features: &[],
    }],
};

/// To build the Debian package.
pub(crate) const DIST: Needs = Needs {
    what: "to build the package",
    packages: &["dpkg-dev"],
    unpacked: &[],
    tools: &[Tool {
        program: "cargo-deb",
        version: Some("3.8.0"),
        features: &[],
    }],
};

/// To check the Debian package.
pub(crate) const CHECK: Needs = Needs {
    what: "to check the package",
    packages: &["dpkg", "iproute2", "systemd", "util-linux"],
    unpacked: &[],
    tools: &[],
};

/// To start other kernels.
pub(crate) const KERNELS: Needs = Needs {
    what: "to start other kernels",
    packages: &["qemu-system-x86", "busybox-static", "xz-utils"],
    unpacked: &[],
    tools: &[],
};

/// To measure the data path beside others.
pub(crate) const PEERS: Needs = Needs {
    what: "to measure beside others",
    packages: &["bpftrace"],
    unpacked: &[],
    tools: &[],
};

/// A program that cargo installs.
#[derive(Clone, Copy)]
struct Tool {
    program: &'static str,
    /// The one version that will do; `None` where any does.
    version: Option<&'static str>,
    features: &'static [&'static str],
}

/// Installs what is missing; costs a fraction of a second where nothing is.
pub(crate) fn ensure(workspace: &Workspace, needs: &[Needs]) -> Result<()> {
    let shell = &workspace.shell;
    for need in needs {
        step(&format!("what it takes {}", need.what));
        install_packages(shell, need.packages)?;
        for package in need.unpacked {
            unpack(workspace, package)?;
        }
        for tool in need.tools {
            install_tool(shell, *tool)?;
        }
        if need.what == OBJECT.what {
            compare_with_manifest(workspace)?;
        }
    }
    Ok(())
}

fn install_packages(shell: &Shell, packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .filter(|package| !is_installed(shell, package))
        .collect();
    eprintln!("packages: {} of {} missing", missing.len(), packages.len());
    if missing.is_empty() {
        return Ok(());
    }
    if cmd!(shell, "apt-get --version")
        .quiet()
        .ignore_stdout()
        .run()
        .is_err()
    {
        bail!("install {missing:?}: there is no apt-get; install what they hold by hand");
    }
    let _frontend = shell.push_env("DEBIAN_FRONTEND", "noninteractive");
    let apt = || root::command(shell, "apt-get");
    apt()?
        .args(["--quiet", "update"])
        .run()
        .context("update apt's lists")?;
    let install = ["--quiet", "--yes", "--no-install-recommends", "install"];
    apt()?
        .args(install)
        .args(&missing)
        .run()
        .with_context(|| format!("install {missing:?}"))
}

/// Unpacks a package into `tools` of the target folder, where nothing of it runs by itself.
fn unpack(workspace: &Workspace, package: &str) -> Result<()> {
    let shell = &workspace.shell;
    let tools = workspace.target.join("tools");
    let folder = tools.join(package);
    if folder.is_dir() {
        return Ok(());
    }
    eprintln!("{package}: missing, unpacked into {}", tools.display());
    let partial = tools.join(format!("{package}.partial"));
    shell.remove_path(&partial)?;
    shell.create_dir(&partial)?;
    let fetch = || {
        let _here = shell.push_dir(&partial);
        // The folder is the user's, where apt's own user may not write.
        let user = "APT::Sandbox::User=root";
        cmd!(shell, "apt-get --quiet --option {user} download {package}").run()
    };
    if fetch().is_err() {
        let apt = root::command(shell, "apt-get")?;
        apt.args(["--quiet", "update"])
            .run()
            .context("update apt's lists")?;
        fetch().with_context(|| {
            format!("fetch the package {package}: it needs the network and Debian's archive")
        })?;
    }
    let files = partial.join("files");
    for archive in shell.read_dir(&partial)? {
        cmd!(shell, "dpkg-deb --extract {archive} {files}").run()?;
    }
    std::fs::rename(&files, &folder)
        .with_context(|| format!("move {package} to {}", folder.display()))?;
    Ok(shell.remove_path(&partial)?)
}

fn is_installed(shell: &Shell, package: &str) -> bool {
    let status = "--showformat=${db:Status-Status}";
    let answer = cmd!(shell, "dpkg-query --show {status} {package}")
        .quiet()
        .ignore_stderr()
        .read();
    answer.is_ok_and(|status| status.contains("installed") && !status.contains("not-installed"))
}

fn install_tool(shell: &Shell, tool: Tool) -> Result<()> {
    let Tool {
        program,
        version,
        features,
    } = tool;
    let found = cmd!(shell, "{program} --version")
        .quiet()
        .ignore_stderr()
        .read();
    let is_wanted = |found: &str| version.is_none_or(|version| found.ends_with(version));
    if let Some(found) = found.ok().filter(|found| is_wanted(found)) {
        eprintln!("{}", found.lines().next().unwrap_or(program));
        return Ok(());
    }
    eprintln!("{program}: missing, compiling it takes some minutes");
    // These tools have no hot loop of ours: compile them quickly.
    let _level = shell.push_env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    let _lto = shell.push_env("CARGO_PROFILE_RELEASE_LTO", "off");
    let _units = shell.push_env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    // Where bpf-linker looks for the LLVM that it loads.
    let _llvm = shell.push_env("LLVM_PREFIX", LLVM);
    let path = std::env::var("PATH").unwrap_or_default();
    let _path = shell.push_env("PATH", format!("{LLVM}/bin:{path}"));
    let version = version.map(|version| format!("--version={version}"));
    cmd!(
        shell,
        "cargo install --locked --force {program} {version...} {features...}"
    )
    .run()
    .with_context(|| format!("install {program}"))
}

/// Debian's folder for the major version that rustc-web is built on.
const LLVM: &str = "/usr/lib/llvm-22";

/// An object is comparable only when this machine's compiler is the one that built it.
fn compare_with_manifest(workspace: &Workspace) -> Result<()> {
    let toolchains = Toolchain::all()?;
    let Ok(manifest) = Manifest::read(&Manifest::path(&workspace.agent())) else {
        eprintln!("warning: there is no prebuilt object; run cargo xtask ebpf build");
        return Ok(());
    };
    for toolchain in &toolchains {
        let whose = if manifest.is_by(toolchain) {
            "built the object"
        } else {
            "another"
        };
        eprintln!("{}; {}: {whose}", toolchain.rustc, toolchain.linker);
    }
    if !toolchains.iter().any(|toolchain| manifest.is_by(toolchain)) {
        eprintln!(
            "warning: the object was built by {}; {}",
            manifest.rustc, manifest.linker
        );
    }
    Ok(())
}
