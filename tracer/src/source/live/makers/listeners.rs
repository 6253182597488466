//! The listening sockets whose messages' makers the kernel half writes down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aya::maps::{Map, MapData};
use memmap2::{MmapMut, MmapOptions};
use tracer_common::maker::{LISTENER_WAYS, LISTENERS, Listener};

use crate::source::Error;
use crate::source::live::memory::raw_fd;

const _: () = assert!(size_of::<Listener>() == 2 * size_of::<AtomicU64>());

/// The table of listening sockets. It is written through memory: the thread that opens sockets has
/// no right to ask for more, and needs none.
#[derive(Clone)]
pub struct Listeners(Arc<Mutex<MmapMut>>);

/// A socket's place in the table, which it leaves when this is dropped.
pub(in crate::source) struct Place {
    listeners: Listeners,
    place: usize,
}

impl Listeners {
    /// Maps the kernel half's table.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn map(map: &Map) -> Result<Self, Error> {
        let failed = |because: String| Error::Kernel {
            doing: "map the kernel half's LISTENERS".to_owned(),
            because,
            advice: "changes_by = false in the section [journal]".to_owned(),
        };
        let Map::Array(data) = map else {
            return Err(failed("it is no array".to_owned()));
        };
        Self::of(data).map_err(|cause| failed(cause.to_string()))
    }

    fn of(data: &MapData) -> std::io::Result<Self> {
        let bytes = LISTENERS * size_of::<Listener>();
        // SAFETY: the map lives as long as the mapping, which holds a reference to it; its words
        // are numbers, read and written as atomics.
        let memory = unsafe { MmapOptions::new().len(bytes).map_mut(raw_fd(data)) }?;
        Ok(Self(Arc::new(Mutex::new(memory))))
    }

    /// Has a socket's makers written down; none where there is no room, and they stay unknown.
    pub(in crate::source) fn add(&self, cookie: u64) -> Option<Place> {
        let mut ways = 0..LISTENER_WAYS;
        let place = ways.find_map(|way| {
            let place = (cookie as usize).wrapping_add(way) & (LISTENERS - 1);
            let is_free = self.with(place, |it, runs| {
                let is_free = it.load(Ordering::Relaxed) == 0;
                if is_free {
                    runs.store(0, Ordering::Relaxed);
                    it.store(cookie, Ordering::Release);
                }
                is_free
            });
            is_free.then_some(place)
        })?;
        let listeners = self.clone();
        Some(Place { listeners, place })
    }

    /// Does something with a place's cookie and its runs.
    fn with<T>(&self, place: usize, work: impl FnOnce(&AtomicU64, &AtomicU64) -> T) -> T {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words: *const AtomicU64 = memory.as_ptr().cast();
        // SAFETY: the place is within the mapping, which begins at a page.
        unsafe { work(&*words.add(place * 2), &*words.add(place * 2 + 1)) }
    }
}

impl Place {
    /// How many of the socket's messages have their makers written down.
    pub(in crate::source) fn runs(&self) -> u64 {
        let place = self.place;
        self.listeners
            .with(place, |_, runs| runs.load(Ordering::Acquire))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let place = self.place;
        self.listeners
            .with(place, |cookie, _| cookie.store(0, Ordering::Release));
    }
}
