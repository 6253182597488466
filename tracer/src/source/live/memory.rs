//! The kernel half's memory, mapped into ours.

mod window;

use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya::maps::{Map, MapData};
use tracer_common::exchange::{ConnectionSet, PeerCounts};
use tracer_common::layout::{Cell, ClassInfo, Control, HandedSet, NodeInfo, PacketSet, Run, Slot};
use tracer_common::passing::PassingSet;

use self::window::Window;
use super::tally::Head;
use crate::source::Error;

/// A record that is valid for any bytes, and has the same layout in the kernel half.
///
/// # Safety
/// The type must be `repr(C)` and hold numbers only.
pub(super) unsafe trait Record: Copy {}

// SAFETY: all are `repr(C)` and hold numbers only; both halves compile the same definition.
unsafe impl Record for Cell {}
// SAFETY: as above.
unsafe impl Record for ClassInfo {}
// SAFETY: as above.
unsafe impl Record for Control {}
// SAFETY: as above.
unsafe impl Record for HandedSet {}
// SAFETY: as above.
unsafe impl Record for NodeInfo {}
// SAFETY: as above.
unsafe impl Record for PacketSet {}
// SAFETY: as above.
unsafe impl Record for Run {}
// SAFETY: as above.
unsafe impl Record for Slot {}
// SAFETY: as above.
unsafe impl Record for PeerCounts {}
// SAFETY: as above.
unsafe impl Record for ConnectionSet {}
// SAFETY: as above.
unsafe impl Record for PassingSet {}
// SAFETY: as above.
unsafe impl Record for u64 {}
// SAFETY: as above.
unsafe impl Record for u32 {}

/// What a record begins with.
///
/// # Safety
/// The whole must begin with the same members in the same places.
pub(super) unsafe trait Beginning: Record {
    type Whole: Record;
}

// SAFETY: it holds numbers only, as `Cell` does, and both are `repr(C)`; their places are asserted
// equal beside it.
unsafe impl Record for Head {}
// SAFETY: as above.
unsafe impl Beginning for Head {
    type Whole = Cell;
}

/// An array of the kernel half, to be read and written while it changes.
pub(super) struct Array<T> {
    memory: Window,
    len: usize,
    record: PhantomData<T>,
}

impl<T: Record> Array<T> {
    /// Maps an array.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn map(name: &str, map: &Map) -> Result<Self, Error> {
        let failed = |because: String| Error::Kernel {
            doing: format!("map the kernel half's {name}"),
            because,
            advice: "smaller limits in the configuration".to_owned(),
        };
        let Map::Array(data) = map else {
            return Err(failed("it is no array".to_owned()));
        };
        let info = data.info().map_err(|cause| failed(cause.to_string()))?;
        let len = info.max_entries() as usize;
        // Elements stand at multiples of eight bytes (kernel/bpf/arraymap.c).
        let bytes = len * Self::STRIDE;
        let memory = Window::open(data.fd().as_fd(), bytes);
        let memory = memory.map_err(|cause| failed(cause.to_string()))?;
        Ok(Self {
            memory,
            len,
            record: PhantomData,
        })
    }

    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A copy of one record; it may be torn while the kernel half writes it.
    pub(super) fn get(&self, index: usize) -> Option<T> {
        // SAFETY: the record is mapped, and valid for any bytes.
        Some(unsafe { self.place(index)?.read_volatile() })
    }

    /// A copy of what a record begins with; it may be torn as well.
    pub(super) fn begin<B: Beginning<Whole = T>>(&self, index: usize) -> Option<B> {
        // SAFETY: the record is mapped and begins with it, and it is valid for any bytes.
        Some(unsafe { self.place(index)?.cast::<B>().read_volatile() })
    }

    /// Copies double words of a record, from so many bytes behind its beginning on; each may be newer
    /// than the one before.
    pub(super) fn copy_double_words(&self, index: usize, offset: usize, into: &mut [u64]) {
        let record = self.checked(index, offset + size_of_val(into));
        for (at, word) in into.iter_mut().enumerate() {
            let offset = offset + at * size_of::<u64>();
            // SAFETY: within the record, and records stand at multiples of eight bytes.
            *word = unsafe { record.byte_add(offset).cast::<u64>().read_volatile() };
        }
    }

    /// Writes a record, which must be nobody else's at this moment.
    pub(super) fn set(&self, index: usize, record: T) {
        if let Some(place) = self.place(index) {
            // SAFETY: the record is mapped.
            unsafe { place.write_volatile(record) };
        }
    }

    /// A word of a record, so many bytes behind its beginning, which the kernel half may write to at
    /// the same moment.
    pub(super) fn word(&self, index: usize, offset: usize) -> &AtomicU32 {
        let record = self.checked(index, offset + size_of::<u32>());
        // SAFETY: within the record, aligned, and both sides write whole words.
        unsafe { AtomicU32::from_ptr(record.byte_add(offset).cast()) }
    }

    /// The same for a double word.
    pub(super) fn double_word(&self, index: usize, offset: usize) -> &AtomicU64 {
        let record = self.checked(index, offset + size_of::<u64>());
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(record.byte_add(offset).cast()) }
    }

    /// A record that has to be there, and its members up to an end.
    fn checked(&self, index: usize, end: usize) -> *mut T {
        let record = self.place(index).filter(|_| end <= size_of::<T>());
        record.expect("a word of a record of the kernel half")
    }

    /// Where a record is; none where there is none, or it can't be mapped.
    fn place(&self, index: usize) -> Option<*mut T> {
        if index >= self.len {
            return None;
        }
        let (from, to) = (index * Self::STRIDE, (index + 1) * Self::STRIDE);
        self.memory.at(from, to).map(<*mut u8>::cast)
    }

    /// Copies of all records.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len).filter_map(|index| self.get(index))
    }
}

pub(super) fn raw_fd(map: &MapData) -> std::os::fd::RawFd {
    use std::os::fd::AsRawFd;
    map.fd().as_fd().as_raw_fd()
}
