//! The package in a small root: installed, started with its unit's rights, and purged.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xshell::{Shell, cmd};

use super::small_root::SmallRoot;
use crate::workspace::step;

/// The most exposure that systemd may find, in tenths.
const EXPOSURE: &str = "30";

/// Where the package puts its unit.
const UNIT: &str = "usr/lib/systemd/system/tracer.service";

/// What `systemctl enable` makes.
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/tracer.service";

/// What a user finds.
const FILES: [&str; 7] = [
    "usr/bin/tracer",
    UNIT,
    ENABLED,
    "etc/tracer/tracer.toml",
    "usr/share/doc/tracer/copyright",
    "usr/share/doc/tracer/README.md",
    "usr/share/doc/tracer/metrics.md",
];

/// Linux's overflow user, who may do nothing; systemd would make one up (`DynamicUser=`).
const NOBODY: u32 = 65_534;

/// How long a busy machine may take for what takes a moment.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn run(package: &Path) -> Result<()> {
    // In a shell of its own: the folder of the caller's may not be there as root.
    let shell = Shell::new()?;
    step("lay out a small root");
    let root = SmallRoot::new(&shell)?;
    let before = root.listing()?;

    step("install the package");
    let here = &root.path;
    cmd!(shell, "dpkg --root={here} --install {package}").run()?;
    for file in FILES {
        let found = fs::symlink_metadata(here.join(file));
        found.with_context(|| format!("find {file}, which the package should install"))?;
    }
    let format = "${Conffiles}";
    let conffiles = cmd!(
        shell,
        "dpkg-query --root={here} --showformat={format} --show tracer"
    );
    let conffiles = conffiles.quiet().read()?;
    ensure!(
        conffiles.contains("/etc/tracer/tracer.toml"),
        "conffiles: {conffiles:?}"
    );

    step("judge the unit");
    let unit = here.join(UNIT);
    cmd!(
        shell,
        "systemd-analyze security --offline=true --no-pager --threshold={EXPOSURE} {unit}"
    )
    .ignore_stdout()
    .run()
    .context("the unit is exposed too much")?;

    step("start it with its unit's rights");
    let mut agent = Agent::start(&root, &fs::read_to_string(unit)?)?;
    let counted = agent.count()?;
    agent.end()?;
    eprintln!("it counted {counted} packets");
    fs::remove_dir_all(here.join("run/tracer"))?;

    step("purge it");
    cmd!(shell, "dpkg --root={here} --purge tracer").run()?;
    let after = root.listing()?;
    let left: Vec<_> = after.difference(&before).collect();
    let left: Vec<_> = left.iter().filter(|path| !is_dpkgs(path)).collect();
    ensure!(
        left.is_empty(),
        "purge the package: these are left: {left:?}"
    );
    let gone: Vec<_> = before.difference(&after).collect();
    ensure!(
        gone.is_empty(),
        "purge the package: these went with it: {gone:?}"
    );
    eprintln!("installed, traced, and purged without a trace");
    Ok(())
}

/// Folders and logs that dpkg and its helpers make for themselves.
fn is_dpkgs(path: &Path) -> bool {
    ["var/log", "var/lib/systemd", "var/cache", "etc/systemd"]
        .iter()
        .any(|own| path.starts_with(own) && !path.to_string_lossy().contains("tracer"))
}

/// The installed agent, at work.
struct Agent<'a> {
    root: &'a SmallRoot,
    child: Child,
}

impl<'a> Agent<'a> {
    /// Starts what the unit starts, with the unit's capabilities, as nobody.
    fn start(root: &'a SmallRoot, unit: &str) -> Result<Self> {
        let setting = |name: &str| {
            let mut lines = unit.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.with_context(|| format!("find {name} in the unit"))
        };
        let set = |name: &str| -> Result<String> {
            let names = setting(name)?.split_whitespace();
            let names =
                names.map(|it| format!(",+{}", it.trim_start_matches("CAP_").to_lowercase()));
            Ok(format!("-all{}", names.collect::<String>()))
        };
        ensure!(
            setting("NoNewPrivileges")? == "yes",
            "the unit lets it get new rights"
        );
        let runtime = root.path.join("run").join(setting("RuntimeDirectory")?);
        fs::create_dir_all(&runtime)?;
        chown(&runtime, Some(NOBODY), Some(NOBODY))?;
        let (user, ambient) = (NOBODY.to_string(), set("AmbientCapabilities")?);
        let child = Command::new("chroot")
            .arg(&root.path)
            .args(["setpriv", "--clear-groups", "--no-new-privs"])
            .args(["--reuid", &user, "--regid", &user])
            .args(["--inh-caps", &ambient, "--ambient-caps", &ambient])
            .args(["--bounding-set", &set("CapabilityBoundingSet")?])
            .args(setting("ExecStart")?.split_whitespace())
            .stdin(Stdio::null())
            .spawn()
            .context("start the agent")?;
        let agent = Self { root, child };
        agent.wait_until("it is ready", |agent| {
            Ok(agent.ask("/readyz")?.starts_with("HTTP/1.1 200 "))
        })?;
        Ok(agent)
    }

    /// Sends packets to its port, and waits until it has counted some.
    fn count(&self) -> Result<u64> {
        let mut counted = 0;
        self.wait_until("it counts packets", |agent| {
            drop(TcpStream::connect("127.0.0.1:9560").context("connect to its port")?);
            let page = agent.ask("/metrics")?;
            let series = page
                .lines()
                .filter(|line| line.starts_with("tracer_packets_total{"));
            counted = series
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
                .sum();
            Ok(counted > 0)
        })?;
        Ok(counted)
    }

    /// An answer of the agent's, by its socket.
    fn ask(&self, path: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.root.path.join("run/tracer/tracer.sock"))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: tracer\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        loop {
            match is_so(self) {
                Ok(true) => return Ok(()),
                Ok(false) if start.elapsed() > PATIENCE => bail!("never: {what}"),
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(error.context(format!("never: {what}")));
                }
                _ => sleep(Duration::from_millis(100)),
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        )?;
        let status = self.child.wait()?;
        ensure!(status.success(), "end the agent: {status}");
        Ok(())
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
