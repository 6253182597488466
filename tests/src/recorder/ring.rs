//! The kernel's trace ring as it is in memory (`kernel/trace/ring_buffer.c`): binary, so that
//! addresses are the true ones and nothing is formatted while the run goes on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::layout::Layout;
use super::{EventKind, KernelEvent, Page};

/// Timestamp and commit, eight bytes each.
const PAGE_HEADER: usize = 16;
/// The upper bits of commit are flags about missed events; a page is far smaller than this.
const COMMIT_MASK: u64 = (1 << 20) - 1;

// Types of entries; up to 28 it is the length in words.
const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;

/// The part of a page that holds anything.
pub(super) fn used(page: &[u8]) -> &[u8] {
    let commit = word(page, 8).unwrap_or(0) & COMMIT_MASK;
    page.get(..PAGE_HEADER + commit as usize).unwrap_or(page)
}

/// All events of the pages, page by page.
pub(super) fn parse(
    pages: &[Page],
    layouts: &HashMap<u16, (EventKind, Layout)>,
) -> Result<Vec<KernelEvent>> {
    let (mut events, mut names) = (Vec::new(), HashSet::new());
    for page in pages {
        for entry in Entries::of(&page.bytes)? {
            let (ts_ns, record) = entry?;
            let id = record.first_chunk().map(|id| u16::from_le_bytes(*id));
            let Some((kind, layout)) = id.and_then(|id| layouts.get(&id)) else {
                // Not a tracepoint of ours: a marker that someone wrote to all instances.
                continue;
            };
            let number = |field: Option<super::layout::Field>| field?.number(record);
            events.push(KernelEvent {
                ts_ns,
                cpu: page.cpu,
                kind: *kind,
                skb: number(layout.skb),
                device: layout
                    .device
                    .and_then(|name| Some(intern(name.text(record)?, &mut names))),
                len: number(layout.len).map(|len| len as u32),
                gso_segs: number(layout.gso_segs).map(|segs| segs as u16),
                socket: number(layout.socket),
                reason: number(layout.reason).map(|reason| reason as u32),
            });
        }
    }
    Ok(events)
}

fn intern(name: &[u8], names: &mut HashSet<Arc<str>>) -> Arc<str> {
    let name = String::from_utf8_lossy(name);
    if let Some(known) = names.get(&*name) {
        return known.clone();
    }
    let name: Arc<str> = name.into();
    names.insert(name.clone());
    name
}

/// The records of one page with their moments.
struct Entries<'a> {
    ts_ns: u64,
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    fn of(page: &'a [u8]) -> Result<Self> {
        Ok(Self {
            ts_ns: word(page, 0).context("a page of the trace ring without a header")?,
            rest: page.get(PAGE_HEADER..).unwrap_or_default(),
        })
    }

    /// The next entry; none within if it only moves the time.
    fn step(&mut self) -> Result<Option<&'a [u8]>> {
        let header = half(self.rest, 0).context("an entry without a header")?;
        let (kind, delta) = (header & 31, u64::from(header >> 5));
        let array = half(self.rest, 4);
        let wide = || Ok::<_, anyhow::Error>(u64::from(array.context("an entry cut short")?));
        let (len, record) = match kind {
            // The kernel's own reader adds nothing for padding either.
            PADDING if delta == 0 => (self.rest.len(), None),
            PADDING => (4 + wide()? as usize, None),
            TIME_EXTEND => {
                self.ts_ns += delta + (wide()? << 27);
                (8, None)
            }
            TIME_STAMP => {
                // The five highest bits do not fit; they are those of the page's time.
                const HIGH: u64 = !((1 << 59) - 1);
                self.ts_ns = (self.ts_ns & HIGH) | delta | (wide()? << 27);
                (8, None)
            }
            0 => {
                self.ts_ns += delta;
                let len = 4 + wide()? as usize;
                (len, Some(8..len))
            }
            words => {
                self.ts_ns += delta;
                let len = 4 + words as usize * 4;
                (len, Some(4..len))
            }
        };
        let entry = self.rest;
        if len < 4 || len > entry.len() {
            bail!("an entry of {len} bytes where {} are left", entry.len());
        }
        self.rest = &entry[len..];
        Ok(record.and_then(|range| entry.get(range)))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(u64, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.step() {
                Ok(Some(record)) => return Some(Ok((self.ts_ns, record))),
                Ok(None) => {}
                Err(error) => {
                    self.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_over_deltas_and_extensions() {
        let mut page = 1000u64.to_le_bytes().to_vec();
        page.extend(0u64.to_le_bytes());
        for halves in [
            [2 | 5 << 5, 0xaaaa, 0xbbbb].as_slice(),
            &[TIME_EXTEND | 7 << 5, 1],
            &[1 | 3 << 5, 0xcccc],
            &[PADDING],
        ] {
            page.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        }
        let entries: Result<Vec<_>> = Entries::of(&page).unwrap().collect();
        let seen: Vec<_> = entries
            .unwrap()
            .iter()
            .map(|(ts_ns, record)| (*ts_ns, record.len()))
            .collect();
        assert_eq!(seen, [(1005, 8), (1005 + 7 + (1 << 27) + 3, 4)]);
    }

    #[test]
    fn a_torn_page_is_an_error_and_no_panic() {
        let mut page = vec![0; PAGE_HEADER];
        page.extend((0x3cu32).to_le_bytes());
        assert!(Entries::of(&page).unwrap().any(|entry| entry.is_err()));
    }
}
