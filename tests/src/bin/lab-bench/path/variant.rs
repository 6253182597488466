//! What is attached while packets are measured.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU8;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tracer::source::Settings;
use tracer::source::live::Live;
use tracer_common::hop::{At, PROBES};

use super::program::{Attached, Code, HashMaps, clock, empty, hash};
use crate::programs::{ids, loaded};

/// The hops of a forwarded datagram that every variant has: it meets each twice.
pub(super) const HOPS: [&str; 4] = [
    "net_dev_queue",
    "net_dev_start_xmit",
    "netif_rx",
    "netif_receive_skb",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Variant {
    /// No program at all.
    #[value(skip)]
    Nothing,
    /// Programs that do nothing, wherever the tracer has one.
    Empty,
    /// Programs that read the clock once, at the hops.
    Clock,
    /// The tracer, with all packets of the host, and each of them timed.
    Timed,
    /// The tracer as it comes: of many packets one in eight is timed, and all are counted.
    Tracer,
    /// The tracer without what it measures of connections: hops alone.
    #[value(skip)]
    Hops,
    /// The tracer where its governor lets it follow one packet in 64.
    Sampled,
    /// The hops by a plain hash map.
    Hash,
    /// The hops by bpftrace.
    Bpftrace,
}

impl Variant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty programs",
            Self::Clock => "one clock read",
            Self::Timed => "tracer, all timed",
            Self::Tracer => "tracer",
            Self::Hops => "tracer, hops alone",
            Self::Sampled => "tracer, 1 in 64 followed",
            Self::Hash => "hash map by sk_buff",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Attaches it; dropping the answer detaches it.
    pub(super) fn attach(self) -> Result<Running> {
        let before = ids()?;
        let held = match self {
            Self::Nothing => Held::Nothing,
            Self::Empty => Held::Programs {
                _attached: everywhere()?,
                _maps: None,
            },
            Self::Clock => Held::Programs {
                _attached: at_hops(&clock())?,
                _maps: None,
            },
            Self::Timed => {
                let settings = Settings {
                    timed_one_in: NonZeroU8::MIN,
                    ..Settings::default()
                };
                tracer(Live::open(&settings)?)
            }
            Self::Tracer => tracer(Live::open(&Settings::default())?),
            Self::Hops => {
                let settings = Settings {
                    exchanges: false,
                    ..Settings::default()
                };
                tracer(Live::open(&settings)?)
            }
            Self::Sampled => {
                let mut live = Live::open(&Settings::default())?;
                live.follow(1.0 / 64.0)?;
                tracer(live)
            }
            Self::Hash => {
                let maps = HashMaps::new()?;
                let code = hash(&maps);
                Held::Programs {
                    _attached: at_hops(&code)?,
                    _maps: Some(maps),
                }
            }
            Self::Bpftrace => Held::Bpftrace {
                _child: bpftrace(&before)?,
            },
        };
        Ok(Running {
            before,
            _held: held,
        })
    }
}

fn tracer(live: Live) -> Held {
    Held::Tracer {
        _live: Box::new(live),
    }
}

/// A variant that is attached.
pub(super) struct Running {
    before: HashSet<u32>,
    _held: Held,
}

enum Held {
    Nothing,
    Programs {
        _attached: Vec<Attached>,
        _maps: Option<HashMaps>,
    },
    Tracer {
        _live: Box<Live>,
    },
    Bpftrace {
        _child: Bpftrace,
    },
}

/// How often a program ran, and for how long altogether.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Runs {
    pub(super) count: u64,
    pub(super) time_ns: u64,
}

impl Running {
    /// Its programs' runs so far, by the kernel's names of them: these end after 15 bytes, so that
    /// some programs share one.
    pub(super) fn runs(&self) -> Result<BTreeMap<String, Runs>> {
        let mut runs: BTreeMap<String, Runs> = BTreeMap::new();
        for program in loaded() {
            let program = program?;
            if self.before.contains(&program.id()) {
                continue;
            }
            let name = program.name_as_str().unwrap_or_default().to_owned();
            let of = runs.entry(name).or_default();
            of.count += program.run_count();
            of.time_ns += program.run_time().as_nanos() as u64;
        }
        Ok(runs)
    }
}

fn at_hops(code: &Code) -> Result<Vec<Attached>> {
    HOPS.iter().map(|hop| code.attach(hop)).collect()
}

/// Empty programs at all tracepoints of the tracer that this kernel has.
fn everywhere() -> Result<Vec<Attached>> {
    let mut attached = Vec::new();
    for probe in PROBES {
        let At::Tracepoint(tracepoint) = probe.at else {
            continue;
        };
        match empty().attach(tracepoint) {
            Ok(program) => attached.push(program),
            Err(error) => ensure!(
                !probe.required,
                "attach an empty program to {tracepoint}: {error:#}"
            ),
        }
    }
    Ok(attached)
}

/// A bpftrace that runs.
struct Bpftrace(Child);

const SCRIPT: &str = "
tracepoint:net:net_dev_queue, tracepoint:net:net_dev_start_xmit,
tracepoint:net:netif_rx, tracepoint:net:netif_receive_skb
{
    $last = @last[args->skbaddr];
    if ($last != 0) { @latency[probe] = hist(nsecs - $last); }
    @last[args->skbaddr] = nsecs;
}";

fn bpftrace(before: &HashSet<u32>) -> Result<Bpftrace> {
    // It looks for tracepoints in tracefs, which need not be there.
    const RUN: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; \
                       exec bpftrace -e \"$0\"";
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", RUN, SCRIPT])
        .env("BPFTRACE_MAP_KEYS_MAX", "65536")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start bpftrace")?;
    let bpftrace = Bpftrace(child);
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if ids()?.difference(before).count() >= HOPS.len() {
            // Loaded one after the other, and attached after that.
            std::thread::sleep(Duration::from_millis(500));
            return Ok(bpftrace);
        }
        ensure!(
            Instant::now() < patience,
            "start bpftrace: its programs are not there after 20 s"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
