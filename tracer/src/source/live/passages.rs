//! Whole timelines: one line of JSON for each hop of each packet.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapData, RingBuf};
use bytes::{Buf, Bytes};
use serde::Serialize;
use tracer_common::hop::Stage;
use tracer_common::layout::{NodeInfo, ROOT};

use super::memory::Array;
use crate::source::Error;

/// How long the writer rests when the ring is empty.
const REST: Duration = Duration::from_millis(5);

/// The writer of timelines, on a thread of its own.
pub(super) struct Passages {
    ends: Arc<AtomicBool>,
    writer: JoinHandle<io::Result<()>>,
}

/// One hop of one packet.
#[derive(Serialize)]
struct Line<'a> {
    /// Equal for all hops of a packet: its birth and the address of its first `sk_buff`.
    born_ns: u64,
    address: String,
    fingerprint: String,
    at_ns: u64,
    since_ns: Option<u64>,
    node: u32,
    stage: &'a str,
    device: String,
    ifindex: u32,
    netns_cookie: u64,
    payload: u32,
}

impl Passages {
    /// Starts writing.
    ///
    /// # Errors
    /// When the ring buffer or the nodes can't be mapped.
    pub(super) fn start(steps: Map, ebpf: &Ebpf, to: Box<dyn Write + Send>) -> Result<Self, Error> {
        let failed = |because: String| Error::Kernel {
            doing: "read packets' timelines".to_owned(),
            because,
            advice: "without --passages".to_owned(),
        };
        let ring = RingBuf::try_from(steps).map_err(|cause| failed(cause.to_string()))?;
        let info = ebpf
            .map("NODE_INFO")
            .ok_or_else(|| failed("no nodes".to_owned()))?;
        let nodes = Array::map("NODE_INFO", info)?;
        let ends = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ends);
        let writer = std::thread::spawn(move || write_all(ring, &nodes, &seen, to));
        Ok(Self { ends, writer })
    }

    /// Writes what is left, and ends.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.ends.store(true, Ordering::Release);
        let written = self
            .writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer ended")));
        written.map_err(|cause| Error::Kernel {
            doing: "write packets' timelines".to_owned(),
            because: cause.to_string(),
            advice: "a file on a disk with room".to_owned(),
        })
    }
}

fn write_all(
    mut ring: RingBuf<MapData>,
    nodes: &Array<NodeInfo>,
    ends: &AtomicBool,
    to: Box<dyn Write + Send>,
) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    loop {
        let is_last = ends.load(Ordering::Acquire);
        while let Some(item) = ring.next() {
            if let Some(line) = line(Bytes::copy_from_slice(&item), nodes) {
                serde_json::to_writer(&mut to, &line)?;
                to.write_all(b"\n")?;
            }
        }
        if is_last {
            return to.flush();
        }
        std::thread::sleep(REST);
    }
}

/// A record of the ring, as a line; none for one of another length.
fn line(mut record: Bytes, nodes: &Array<NodeInfo>) -> Option<Line<'static>> {
    if record.len() < size_of::<tracer_common::layout::Step>() {
        return None;
    }
    let tag = record.get_u64_ne();
    let born_ns = record.get_u64_ne();
    let last_ns = record.get_u64_ne();
    let at_ns = record.get_u64_ne();
    let fingerprint = record.get_u64_ne();
    let node = record.get_u32_ne();
    let payload = record.get_u32_ne();
    let info = nodes.get(node as usize)?;
    let place = device_of(info, nodes);
    Some(Line {
        born_ns,
        address: format!("{tag:016x}"),
        fingerprint: format!("{fingerprint:016x}"),
        at_ns,
        since_ns: (last_ns != 0).then(|| at_ns.saturating_sub(last_ns)),
        node,
        stage: Stage::from_number(info.key.stage as u8).map_or("unknown", Stage::name),
        device: super::assemble::text(&place.device),
        ifindex: place.key.ifindex,
        netns_cookie: place.key.cookie,
        payload,
    })
}

/// The node that names the device: a hop at a socket is on the device of the node before.
fn device_of(mut info: NodeInfo, nodes: &Array<NodeInfo>) -> NodeInfo {
    while info.key.cookie == 0 && info.key.parent & ROOT == 0 {
        match nodes.get(info.key.parent as usize) {
            Some(parent) => info = parent,
            None => break,
        }
    }
    info
}
