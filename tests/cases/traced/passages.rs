//! Packets' timelines, hop by hop, as the tracer writes them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tracer::model::Reading;
use tracer::source::Source;
use tracer::source::live::Live;

use super::seen::port;

/// One line that `--passages` writes.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Hop {
    pub(crate) born_ns: u64,
    pub(crate) address: String,
    pub(crate) at_ns: u64,
    pub(crate) since_ns: Option<u64>,
    pub(crate) stage: String,
    pub(crate) device: String,
}

impl Hop {
    /// The number that stands for its address.
    pub(crate) fn tag(&self) -> u64 {
        u64::from_str_radix(&self.address, 16).unwrap()
    }
}

/// A writer whose bytes can be had when it is gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Traces what goes from or to a port while some work is done, each hop of each packet.
pub(crate) fn trace_hops(of_port: u16, work: impl FnOnce()) -> (Vec<Hop>, Reading) {
    let mut settings = port(of_port);
    settings.passages = true;
    let lines = Shared::default();
    let mut live = Live::open(&settings).unwrap();
    live.write_passages(Box::new(lines.clone())).unwrap();
    work();
    let reading = Box::new(live).finish().unwrap();
    assert_eq!(reading.losses["ring"], 0, "the timelines have a hole");
    let lines = lines.0.lock().unwrap();
    let hops = lines
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    (
        hops.map(|line| serde_json::from_slice(line).unwrap())
            .collect(),
        reading,
    )
}
