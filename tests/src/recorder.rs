//! The kernel's own account of a run: its tracepoints by way of tracefs, to hold the tracer's
//! account against.
//!
//! A recording is of the whole machine; tell runs apart by the names of devices.

mod layout;
mod ring;
mod tracefs;

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::ledger::is_ending;
use layout::Layout;
use tracefs::Instance;

/// The tracepoints that can be recorded, each with its place below `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they have the kernel's names")]
pub enum EventKind {
    NetDevQueue,
    NetDevStartXmit,
    NetifRx,
    NetifReceiveSkb,
    NetifReceiveSkbEntry,
    NapiGroReceiveEntry,
    KfreeSkb,
    ConsumeSkb,
    TcpProbe,
    SkDataReady,
    SkbCopyDatagramIovec,
}

use EventKind as K;

impl EventKind {
    /// All of them. There is none for the end of an address: the kernel frees most `sk_buff`s in
    /// bulk, which fires nothing.
    pub const ALL: [Self; 11] = [
        K::NetDevQueue,
        K::NetDevStartXmit,
        K::NetifRx,
        K::NetifReceiveSkb,
        K::NetifReceiveSkbEntry,
        K::NapiGroReceiveEntry,
        K::KfreeSkb,
        K::ConsumeSkb,
        K::TcpProbe,
        K::SkDataReady,
        K::SkbCopyDatagramIovec,
    ];

    fn place(self) -> &'static str {
        match self {
            K::NetDevQueue => "net/net_dev_queue",
            K::NetDevStartXmit => "net/net_dev_start_xmit",
            K::NetifRx => "net/netif_rx",
            K::NetifReceiveSkb => "net/netif_receive_skb",
            K::NetifReceiveSkbEntry => "net/netif_receive_skb_entry",
            K::NapiGroReceiveEntry => "net/napi_gro_receive_entry",
            K::KfreeSkb => "skb/kfree_skb",
            K::ConsumeSkb => "skb/consume_skb",
            K::TcpProbe => "tcp/tcp_probe",
            K::SkDataReady => "sock/sk_data_ready",
            K::SkbCopyDatagramIovec => "skb/skb_copy_datagram_iovec",
        }
    }
}

/// One tracepoint that fired. What it does not tell is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEvent {
    /// `CLOCK_MONOTONIC`, as all moments of the lab.
    pub ts_ns: u64,
    /// Where it fired.
    pub cpu: u32,
    /// Which it was.
    pub kind: EventKind,
    /// The true address of the `sk_buff`, not hashed.
    pub skb: Option<u64>,
    /// The name of the device, which only its namespace makes unique.
    pub device: Option<Arc<str>>,
    /// Bytes, as the tracepoint counts them: with the Ethernet header when sending.
    pub len: Option<u32>,
    /// How many segments the packet stands for; 0 for one that is not merged.
    pub gso_segs: Option<u16>,
    /// The address of the socket.
    pub socket: Option<u64>,
    /// `enum skb_drop_reason` of this kernel.
    pub reason: Option<u32>,
}

/// What a recorder has seen.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// In the order of their moments.
    pub events: Vec<KernelEvent>,
    /// How many the kernel could not write because its ring was full.
    pub lost: u64,
    /// What was asked for and this kernel does not have.
    pub missing: Vec<EventKind>,
}

impl Recording {
    /// The events of one kind at one device.
    pub fn at<'a>(
        &'a self,
        kind: EventKind,
        device: &str,
    ) -> impl Iterator<Item = &'a KernelEvent> {
        self.events
            .iter()
            .filter(move |event| event.kind == kind && event.device.as_deref() == Some(device))
    }
}

/// A recording in progress; dropping it throws it away.
pub struct Recorder {
    // The thread ends, and closes its files, before the instance can be removed.
    drainer: Drainer,
    instance: Instance,
    layouts: HashMap<u16, (EventKind, Layout)>,
    missing: Vec<EventKind>,
}

impl Recorder {
    /// Records all that this kernel has of these tracepoints from now on.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::start_with(lab, &EventKind::ALL)
    }

    /// Records these tracepoints from now on.
    pub fn start_with(lab: &Lab, kinds: &[EventKind]) -> Result<Self> {
        let instance = Instance::new(lab)?;
        let (mut layouts, mut missing) = (HashMap::new(), Vec::new());
        for kind in kinds {
            match instance.format(kind.place())? {
                Some(format) => {
                    let (id, layout) = Layout::parse(&format)
                        .with_context(|| format!("read the format of {}", kind.place()))?;
                    layouts.insert(id, (*kind, layout));
                    instance.enable(kind.place())?;
                }
                None => missing.push(*kind),
            }
        }
        Ok(Self {
            drainer: Drainer::start(instance.rings()?),
            instance,
            layouts,
            missing,
        })
    }

    /// Ends the recording and reads it.
    pub fn stop(mut self) -> Result<Recording> {
        self.instance.pause()?;
        let lost = self.instance.lost()?;
        let pages = self.drainer.stop()?;
        let mut events = ring::parse(&pages, &self.layouts)?;
        events.sort_by_key(|event| event.ts_ns);
        Ok(Recording {
            events,
            lost,
            missing: self.missing,
        })
    }
}

/// What one read of a CPU's ring gave.
struct Page {
    cpu: u32,
    bytes: Vec<u8>,
}

/// A thread that empties the rings of all CPUs before they are full.
struct Drainer {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<Page>>>>,
}

impl Drainer {
    fn start(rings: Vec<(u32, File)>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let theirs = stopping.clone();
        Self {
            stopping,
            thread: Some(std::thread::spawn(move || drain(rings, &theirs))),
        }
    }

    fn stop(&mut self) -> Result<Vec<Page>> {
        self.stopping.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread
                .join()
                .expect("the reader of the rings does not panic"),
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for Drainer {
    fn drop(&mut self) {
        // Thrown away: nobody asked for the result.
        let _ = self.stop();
    }
}

fn drain(mut rings: Vec<(u32, File)>, stopping: &AtomicBool) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        // Read before the last turn, which then misses nothing.
        let last = stopping.load(Ordering::Relaxed) || is_ending();
        for (cpu, ring) in &mut rings {
            loop {
                match ring.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(len) => pages.push(Page {
                        cpu: *cpu,
                        bytes: ring::used(&buffer[..len]).to_vec(),
                    }),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).context("read a trace ring"),
                }
            }
        }
        if last {
            return Ok(pages);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
