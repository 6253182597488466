//! From the object to attached programs, each with its reason where it can't be.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aya::maps::{Array as BpfArray, HashMap as BpfHashMap, MapType, lpm_trie::Key};
use aya::programs::{Program, ProgramError};
use aya::sys::is_map_supported;
use aya::{Btf, Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use aya_obj::generated::bpf_prog_info;
use tracer_common::exchange::Sockets;
use tracer_common::hop::{At, Probe};
use tracer_common::layout::{ALL_FOLLOWED, DropKey, Orders, Rule, Rules, SLOTS};
use tracer_common::maker;
use tracer_common::settings::{Offsets, SERVICE_WORDS, Settings as KernelSettings};

use super::kernel_types::{self, KernelTypes};
use super::maps::Memory;
use super::room::Room;
use super::{constants, finer, rights, rules, sockets};
use crate::model::{Availability, State};
use crate::source::{Error, Settings, netns};

/// The kernel half, as `build.rs` found or built it.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer.bpf.o"));

/// What loading gives.
pub(super) struct Loaded {
    pub ebpf: Ebpf,
    pub memory: Memory,
    pub room: Room,
    pub drop_reasons: BTreeMap<u32, String>,
    pub availability: Vec<Availability>,
    /// The only network namespace that is asked for, by cookie.
    pub scope: Option<u64>,
    pub finer: finer::Links,
    pub log: Option<KernelLog>,
}

/// Since when the verifier knows a packet's head as memory, which may be read directly ("bpf: make
/// untrusted mem reads possible", Linux 6.17).
const DIRECT_HEAD: (u32, u32) = (6, 17);

/// Room for the node caches of all CPUs, in slots: a quarter of the memory that is fine, so that
/// thousands of possible CPUs are too.
const ALL_SLOTS: u32 = 1 << 18;

/// The kernel half's maps, before any of its programs is loaded.
pub(super) struct Prepared {
    pub ebpf: Ebpf,
    memory: Memory,
    room: Room,
    types: KernelTypes,
    btf: Btf,
    drop_reasons: BTreeMap<u32, String>,
    connections: Availability,
    scope: Option<u64>,
    fine: bool,
    log: Option<KernelLog>,
}

/// Loads and attaches everything that this kernel can.
pub(super) fn load(settings: &Settings) -> Result<Loaded, Error> {
    prepare(settings)?.attach()
}

/// Makes the maps, and all that the programs are told beforehand.
pub(super) fn prepare(settings: &Settings) -> Result<Prepared, Error> {
    check_rights()?;
    // The loader reads the kernel's types for itself, and all of that takes as long as much else.
    let read = || (Btf::from_sys_fs(), EbpfLoader::new());
    let ((btf, loader), types) = beside(read, KernelTypes::read);
    let types = types?;
    let offsets = types.offsets()?;
    let maker_offsets = types.maker_offsets()?;
    let drop_reasons = types.enumeration("skb_drop_reason");
    let mut kernel_settings = rules::compile(settings)?;
    kernel_settings.drop_reasons = u32::from(
        types
            .tracepoint_arguments("kfree_skb")
            .is_some_and(|count| count >= 3),
    );
    kernel_settings.unspecified = drop_reasons
        .iter()
        .find(|(_, name)| *name == "SKB_DROP_REASON_NOT_SPECIFIED")
        .map_or(0, |(&number, _)| number);
    kernel_settings.no_cookies = u32::from(kernel_types::release() < netns::COOKIES);
    kernel_settings.direct_head = u32::from(kernel_types::release() >= DIRECT_HEAD);
    let btf = btf.map_err(|cause| Error::Kernel {
        doing: "read the kernel's types".to_owned(),
        because: chain(&cause),
        advice: "a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned(),
    })?;
    let (sockets, connections) = sockets::find(&types, settings);
    let cpus = processors(settings);
    let slots = slots(settings, cpus);
    kernel_settings.cpus = cpus;
    kernel_settings.slots_mask = slots - 1;
    let mut ebpf = create(
        loader,
        settings,
        slots,
        &offsets,
        &maker_offsets,
        &kernel_settings,
        &sockets,
    )?;
    fill(&mut ebpf, settings)?;
    let memory = Memory::map(&ebpf)?;
    let room = Room::new(&memory, &kernel_settings, sockets.peers);
    let log = settings
        .kernel_log
        .then(|| KernelLog::start(&mut ebpf))
        .flatten();
    Ok(Prepared {
        ebpf,
        memory,
        room,
        types,
        btf,
        drop_reasons,
        connections,
        scope: Some(kernel_settings.filter_cookie).filter(|cookie| *cookie != 0),
        fine: settings.fine,
        log,
    })
}

impl Prepared {
    /// Loads and attaches the programs, which is what takes long.
    pub(super) fn attach(self) -> Result<Loaded, Error> {
        let Self {
            mut ebpf,
            types,
            btf,
            ..
        } = self;
        // What passes between the first attachment and the last has no beginning, and is no loss.
        order(&mut ebpf, CLOSED)?;
        let mut finer = finer::Links::default();
        let mut availability = attach_all(&mut ebpf, self.fine, &mut finer, &btf, &types)?;
        finer::tell(&availability);
        availability.push(self.connections);
        order(&mut ebpf, OPEN)?;
        Ok(Loaded {
            ebpf,
            memory: self.memory,
            room: self.room,
            drop_reasons: self.drop_reasons,
            availability,
            scope: self.scope,
            finer,
            log: self.log,
        })
    }
}

/// Does something beside, on a thread of its own with the rights of this one; what the host has no
/// thread for is done here.
pub(super) fn beside<T: Send, U>(
    there: impl FnOnce() -> T + Send,
    here: impl FnOnce() -> U,
) -> (T, U) {
    let there = Mutex::new(Some(there));
    let begin = || {
        let there = lock(&there).take();
        there.map(|there| there())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, begin);
        let here = here();
        let there = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => begin(),
        };
        (there.expect("it is done once"), here)
    })
}

/// Nothing works without these, and the kernel would only say "not permitted".
fn check_rights() -> Result<(), Error> {
    let missing: Vec<_> = rights::REQUIRED
        .iter()
        .filter(|right| !right.is_held())
        .map(|right| right.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Kernel {
        doing: "load the kernel half".to_owned(),
        because: format!("this process has not got {}", missing.join(" and ")),
        advice: rights_advice(),
    })
}

/// How many CPUs there may ever be.
fn processors(settings: &Settings) -> u32 {
    let possible = aya::util::nr_cpus().map_or(1, |cpus| cpus as u32);
    settings.processors.unwrap_or(possible).max(possible)
}

/// How many slots a program's node cache has on each of so many CPUs: a power of two.
fn slots(settings: &Settings, cpus: u32) -> u32 {
    let programs = finer::probes(settings.fine).count() as u32;
    let each = ALL_SLOTS / (cpus * programs);
    (1 << each.max(1).ilog2()).min(SLOTS)
}

fn create<'a>(
    mut loader: EbpfLoader<'a>,
    settings: &Settings,
    slots: u32,
    offsets: &Offsets,
    maker_offsets: &'a maker::Offsets,
    kernel_settings: &KernelSettings,
    sockets: &'a Sockets,
) -> Result<Ebpf, Error> {
    let cpus = kernel_settings.cpus;
    let programs = finer::probes(settings.fine).count() as u32;
    let limits = settings.limits;
    // At 0 the verifier removes the logging; aya's levels begin with 1, error, and end with 5.
    let log_level: &u8 = if settings.kernel_log { &5 } else { &0 };
    let makings = if settings.makers {
        maker::RING_BYTES
    } else {
        4096
    };
    let steps = if settings.passages { 64 << 20 } else { 4096 };
    loader
        .override_global("MAKER_OFFSETS", bytes_of(maker_offsets), true)
        .override_global("SOCKETS", bytes_of(sockets), true)
        .override_global(aya_log::LEVEL, log_level, true)
        .map_max_entries("PACKETS", rules::packet_sets(limits))
        .map_max_entries("HANDOVER", rules::handover_sets(limits))
        .map_max_entries("CELLS", limits.cells)
        .map_max_entries("NODE_INFO", limits.nodes)
        .map_max_entries("NODES", limits.nodes)
        .map_max_entries("CLASS_INFO", limits.classes)
        .map_max_entries("CLASSES", limits.classes)
        .map_max_entries("CELL_OF", limits.cells)
        .map_max_entries("DROPS", limits.nodes)
        .map_max_entries("CONNECTIONS", sockets.connections_mask + 1)
        .map_max_entries("PASSING", sockets.connections_mask + 1)
        .map_max_entries("PEERS", sockets.peers)
        .map_max_entries("PEER_COUNTS", sockets.peers)
        .map_max_entries("SEEN", cpus * programs)
        .map_max_entries(
            "CLAIMS",
            limits.cells + limits.nodes + limits.classes + sockets.peers,
        )
        .map_max_entries("SLOTS_OF", cpus * programs * slots)
        .map_max_entries(
            "POOL",
            limits.cells + limits.nodes + limits.classes + sockets.peers,
        )
        .map_max_entries("SCRATCH", cpus * programs)
        .map_max_entries("RUNS", cpus)
        .map_max_entries("STEPS", steps)
        .map_max_entries("MAKINGS", makings)
        .load(&constants::write(OBJECT, offsets, kernel_settings)?)
        .map_err(|cause| not_created(&cause))
}

/// Why there are no maps.
fn not_created(cause: &dyn std::error::Error) -> Error {
    let (because, advice) = if matches!(is_map_supported(MapType::RingBuf), Ok(false)) {
        // Since Linux 5.8.
        (
            "this kernel has no ring buffers for programs".to_owned(),
            "Linux 5.10 or later".to_owned(),
        )
    } else if kernel_types::release() < rights::MAPS_ARE_MEMORY {
        let advice = "LimitMEMLOCK=infinity in its unit, `ulimit -l unlimited`, or smaller limits in \
                      the configuration; before Linux 5.11 maps count against RLIMIT_MEMLOCK";
        (chain(cause), advice.to_owned())
    } else {
        (chain(cause), rights_advice())
    };
    Error::Kernel {
        doing: "create the kernel half's maps".to_owned(),
        because,
        advice,
    }
}

/// Tells the kernel half about components and services, which are too many for constants.
fn fill(ebpf: &mut Ebpf, settings: &Settings) -> Result<(), Error> {
    let failed = |cause: aya::maps::MapError| Error::Kernel {
        doing: "write the components into the kernel half".to_owned(),
        because: chain(&cause),
        advice: "fewer components in the configuration".to_owned(),
    };
    let services = ebpf.map_mut("SERVICES").expect("the object has this map");
    let mut services: BpfArray<_, u64> = services.try_into().map_err(failed)?;
    let mut words = vec![0u64; SERVICE_WORDS];
    for port in settings.service_ports.iter().cloned().flatten() {
        words[usize::from(port) / 64] |= 1 << (port % 64);
    }
    for (index, word) in words.into_iter().enumerate().filter(|(_, word)| *word != 0) {
        services.set(index as u32, word, 0).map_err(failed)?;
    }
    let components = ebpf.map_mut("COMPONENTS").expect("the object has this map");
    let mut components: aya::maps::LpmTrie<_, [u8; 16], PodRules> =
        components.try_into().map_err(failed)?;
    for (prefix, rules) in rules::by_prefix(settings)? {
        let (length, address) = prefix;
        components
            .insert(&Key::new(length, address), PodRules(rules), 0)
            .map_err(failed)?;
    }
    Ok(())
}

/// [`Rules`], as aya wants values.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct PodRules(Rules);

// SAFETY: `Rules` is `repr(C)` and holds numbers only, without padding.
unsafe impl aya::Pod for PodRules {}

const _: () = assert!(size_of::<Rule>() == 16);

/// [`DropKey`], as aya wants keys.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct PodDropKey(DropKey);

// SAFETY: `DropKey` is two words without padding.
unsafe impl aya::Pod for PodDropKey {}

/// [`Orders`], as aya wants values.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct PodOrders(Orders);

// SAFETY: `Orders` is two words without padding.
unsafe impl aya::Pod for PodOrders {}

/// The most programs that are loaded at once: a host may have hundreds of processors, and each
/// verification takes some MB of the kernel's memory.
const LOADERS: usize = 8;

/// Attaches each program that this kernel has a tracepoint for.
///
/// All are loaded before the first one is attached, and those that begin a packet's way come last,
/// so that the fewest packets are met in the middle of theirs.
fn attach_all(
    ebpf: &mut Ebpf,
    fine: bool,
    finer: &mut finer::Links,
    btf: &Btf,
    types: &KernelTypes,
) -> Result<Vec<Availability>, Error> {
    let needed = finer::probes(fine).filter(|probe| is_needed(probe, types));
    let needed: Vec<_> = needed.map(|probe| (probe, target(probe, types))).collect();
    let mut results = load_programs(ebpf, &needed, btf);
    let mut availability = Vec::new();
    let mut loaded = Vec::new();
    for (probe, target) in needed {
        let state = match (target, results.remove(probe.program)) {
            (Some(target), Some((Ok(()), took))) => {
                tell_effort(ebpf, probe, took);
                loaded.push((probe, target));
                State::Works
            }
            (Some(_), Some((Err(cause), _))) => refused(probe, "load", &cause)?,
            (Some(_), None) => unreachable!("{WRONG_OBJECT}"),
            (None, _) => absent(probe)?,
        };
        availability.push((probe, state));
    }
    for (probe, target) in loaded.into_iter().rev() {
        let attached = match probe.at {
            At::Entry(_) => finer.attach(ebpf, probe.program, target),
            At::Tracepoint(_) | At::Function { .. } => attach_program(ebpf, probe),
        };
        if let Err(cause) = attached {
            let state = refused(probe, "attach", &cause)?;
            availability
                .iter_mut()
                .filter(|(of, _)| *of == probe)
                .for_each(|row| row.1 = state.clone());
        }
    }
    Ok(availability
        .into_iter()
        .map(|(probe, state)| Availability {
            name: probe.program.to_owned(),
            meaning: probe.meaning.to_owned(),
            state,
        })
        .collect())
}

/// Whether nothing better does what a program is for.
fn is_needed(probe: &Probe, types: &KernelTypes) -> bool {
    match probe.at {
        At::Tracepoint(_) | At::Entry(_) => true,
        At::Function { instead_of, .. } => !types.has_tracepoint(instead_of),
    }
}

/// What a program is attached to on this kernel, if it has that.
fn target(probe: &Probe, types: &KernelTypes) -> Option<&'static str> {
    match probe.at {
        At::Tracepoint(name) => Some(name).filter(|name| types.has_tracepoint(name)),
        At::Function { name, .. } => Some(name).filter(|name| types.has_function(name)),
        At::Entry(names) => names.iter().copied().find(|name| types.has_function(name)),
    }
}

pub(super) const WRONG_OBJECT: &str = "the object has a program of this type for each row";

/// What came of loading a program, and how long that took.
type Loading = (Result<(), ProgramError>, Duration);

/// Loads programs, several at once: the verifier reads each on the processor that asks, and takes no
/// lock for those who may load any (kernel/bpf/verifier.c, `bpf_check`).
fn load_programs(
    ebpf: &mut Ebpf,
    wanted: &[(&Probe, Option<&'static str>)],
    btf: &Btf,
) -> HashMap<String, Loading> {
    let targets: HashMap<&str, &str> = wanted
        .iter()
        .filter_map(|(probe, target)| Some((probe.program, (*target)?)))
        .collect();
    let waiting: Vec<(String, &str, &mut Program)> = ebpf
        .programs_mut()
        .filter_map(|(name, program)| Some((name.to_owned(), *targets.get(name)?, program)))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(LOADERS));
    let (waiting, results) = (Mutex::new(waiting), Mutex::new(HashMap::new()));
    // A function, so that nobody waits for the lock while a program is loaded.
    let next = || lock(&waiting).pop();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, target, program)) = next() {
                    let started = Instant::now();
                    let result = load_program(program, target, btf);
                    lock(&results).insert(name, (result, started.elapsed()));
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever panicked with it left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load_program(program: &mut Program, target: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::BtfTracePoint(program) => program.load(target, btf),
        Program::FEntry(program) => program.load(target, btf),
        _ => unreachable!("{WRONG_OBJECT}"),
    }
}

fn attach_program(ebpf: &mut Ebpf, probe: &Probe) -> Result<(), ProgramError> {
    match ebpf.program_mut(probe.program).expect(WRONG_OBJECT) {
        Program::BtfTracePoint(program) => program.attach().map(drop),
        Program::FEntry(program) => program.attach().map(drop),
        _ => unreachable!("{WRONG_OBJECT}"),
    }
}

/// What the verifier's consent cost, for those who ask why the start takes so long.
fn tell_effort(ebpf: &Ebpf, probe: &Probe, took: Duration) {
    let program = ebpf.program(probe.program).expect(WRONG_OBJECT);
    let steps = program
        .info()
        .ok()
        .and_then(|info| info.verified_instruction_count());
    tracing::debug!(
        "loaded {} in {took:.1?}; the verifier took {} steps",
        probe.program,
        steps.map_or("?".to_owned(), |steps| steps.to_string())
    );
}

fn refused(probe: &Probe, doing: &str, cause: &ProgramError) -> Result<State, Error> {
    let because = match cause {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            format!("{io_error}{}", verdict(&verifier_log.to_string()))
        }
        other => chain(other),
    };
    if probe.required {
        return Err(Error::Kernel {
            doing: format!("{doing} {}", probe.program),
            because,
            advice: rights_advice(),
        });
    }
    if matches!(probe.at, At::Entry(_)) {
        return Ok(finer::refused(doing, &because));
    }
    Ok(State::Unavailable {
        because,
        advice: rights_advice(),
    })
}

/// What the verifier said last, in brackets; the way there fills pages and goes to the log.
fn verdict(log: &str) -> String {
    tracing::debug!("the verifier's log:\n{log}");
    let is_statistics = |line: &&str| {
        ["processed ", "verification time", "stack depth"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let last = log
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !is_statistics(line));
    last.map_or(String::new(), |line| format!(" (the verifier: {line})"))
}

fn absent(probe: &Probe) -> Result<State, Error> {
    let because = match probe.at {
        At::Tracepoint(name) => format!("this kernel has no tracepoint {name}"),
        At::Function { name, .. } => format!("this kernel has no function {name}"),
        At::Entry(names) => format!("this kernel has no function {}", names.join(" or ")),
    };
    if matches!(probe.at, At::Entry(_)) {
        return Ok(finer::absent(because));
    }
    let advice = "a newer kernel".to_owned();
    if probe.required {
        return Err(Error::Kernel {
            doing: format!("attach {}", probe.program),
            because,
            advice,
        });
    }
    Ok(State::Unavailable { because, advice })
}

fn rights_advice() -> String {
    "sudo tracer, or `tracer doctor` to see what is missing".to_owned()
}

/// An error with all its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

pub(super) fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: used for `repr(C)` structures of numbers without padding only.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Detaches all programs; packets that are in them come out first.
pub(super) fn detach(ebpf: &mut Ebpf) {
    for (_, program) in ebpf.programs_mut() {
        // A program that was never attached has nothing to let go.
        let _ = match program {
            Program::BtfTracePoint(program) => program.unload(),
            Program::FEntry(program) => program.unload(),
            _ => Ok(()),
        };
    }
}

/// All packets are followed.
pub(super) const OPEN: Orders = Orders {
    closing: 0,
    followed: ALL_FOLLOWED,
};

/// No packet is born any more.
const CLOSED: Orders = Orders { closing: 1, ..OPEN };

/// Tells the kernel half which packets to follow.
pub(super) fn order(ebpf: &mut Ebpf, orders: Orders) -> Result<(), Error> {
    let failed = |cause: aya::maps::MapError| Error::Kernel {
        doing: "begin or end the tracing".to_owned(),
        because: chain(&cause),
        advice: "again".to_owned(),
    };
    let map = ebpf.map_mut("ORDERS").expect("the object has this map");
    let mut map: BpfArray<_, PodOrders> = map.try_into().map_err(failed)?;
    map.set(0, PodOrders(orders), 0).map_err(failed)
}

/// Drops by node and reason.
pub(super) fn drops(ebpf: &Ebpf) -> Result<HashMap<DropKey, u64>, Error> {
    let failed = |cause: aya::maps::MapError| Error::Kernel {
        doing: "read the drops".to_owned(),
        because: chain(&cause),
        advice: "again".to_owned(),
    };
    let map = ebpf.map("DROPS").expect("the object has this map");
    let map: BpfHashMap<_, PodDropKey, u64> = map.try_into().map_err(failed)?;
    map.iter()
        .map(|row| row.map(|(key, count)| (key.0, count)).map_err(failed))
        .collect()
}

/// How many hops the kernel skipped, because their program was running on that CPU.
///
/// The programs that see packets end don't count here: a packet whose end was not seen is counted
/// where it stood, and most that they see have ended before.
pub(super) fn recursion_misses(ebpf: &Ebpf) -> u64 {
    // The kernel knows of no misses of programs that were not loaded.
    finer::probes(true)
        .filter(|probe| probe.stage.is_some())
        .filter_map(|probe| ebpf.program(probe.program)?.fd().ok())
        .map(|fd| misses_of(fd.as_fd().as_raw_fd()))
        .sum()
}

/// `bpf_prog_info.recursion_misses`, since Linux 5.12; 0 before.
fn misses_of(fd: i32) -> u64 {
    /// `BPF_OBJ_GET_INFO_BY_FD` of include/uapi/linux/bpf.h.
    const GET_INFO: libc::c_long = 15;
    const END: usize = std::mem::offset_of!(bpf_prog_info, recursion_misses) + size_of::<u64>();
    #[repr(C)]
    struct Request {
        fd: u32,
        len: u32,
        info: u64,
    }
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let len = size_of::<bpf_prog_info>() as u32;
    let mut request = Request {
        fd: fd as u32,
        len,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the request and what it points to live as long as the call, with their true sizes.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            GET_INFO,
            &raw mut request,
            size_of::<Request>(),
        )
    };
    if answer == 0 && request.len as usize >= END {
        info.recursion_misses
    } else {
        0
    }
}

/// What the kernel half logs on its slow paths.
pub(super) struct KernelLog(EbpfLogger<&'static dyn log::Log>);

impl KernelLog {
    fn start(ebpf: &mut Ebpf) -> Option<Self> {
        EbpfLogger::init(ebpf).ok().map(Self)
    }

    /// Passes on what came since the last time.
    pub(super) fn flush(&mut self) {
        self.0.flush();
    }
}
