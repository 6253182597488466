//! A map of the kernel, mapped as far as it is looked at.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::param::page_size;

/// So many bytes are mapped at once.
const PART: usize = 512 << 10;

/// Bytes of a map, of which the first ones are mapped.
///
/// The kernel maps every page of such a map at once (`remap_vmalloc_range`), and each counts as this
/// process's memory, used or not: of tables that are seldom full most is never looked at. All parts
/// stand behind one another in room that is kept for them from the beginning.
pub(super) struct Window {
    map: OwnedFd,
    begin: NonNull<u8>,
    /// Bytes of all of it, in whole pages.
    bytes: usize,
    mapped: AtomicUsize,
    /// Held while more is mapped.
    growing: Mutex<()>,
}

// SAFETY: what it points to is mapped for as long as it lives, whichever thread has it, and whoever
// reads and writes there sees to it that others may at the same time.
unsafe impl Send for Window {}
// SAFETY: as above; more is mapped by one thread at a time.
unsafe impl Sync for Window {}

impl Window {
    /// Keeps room for a map of so many bytes, and maps the first ones.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses to map it.
    pub(super) fn open(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        let bytes = bytes.max(1).next_multiple_of(page_size());
        let map = map.try_clone_to_owned()?;
        // SAFETY: no memory is named, so that none is touched that is anybody's.
        let begin = unsafe {
            let (none, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            libc::mmap(null_mut(), bytes, none, flags | libc::MAP_NORESERVE, -1, 0)
        };
        let begin = NonNull::new(begin.cast()).filter(|_| begin != libc::MAP_FAILED);
        let window = Self {
            map,
            begin: begin.ok_or_else(io::Error::last_os_error)?,
            bytes,
            mapped: AtomicUsize::new(0),
            growing: Mutex::new(()),
        };
        window.grow(1)?;
        Ok(window)
    }

    /// Where a byte of it is, mapped up to another one behind it; none beyond its end, or where the
    /// kernel has no memory to map it.
    #[inline]
    pub(super) fn at(&self, from: usize, to: usize) -> Option<*mut u8> {
        if to > self.mapped.load(Ordering::Acquire) {
            self.grow(to).ok()?;
        }
        // SAFETY: it is within what is mapped.
        (from < to).then(|| unsafe { self.begin.as_ptr().add(from) })
    }

    #[cold]
    fn grow(&self, to: usize) -> io::Result<()> {
        if to > self.bytes {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let _one_at_a_time = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let mapped = self.mapped.load(Ordering::Relaxed);
        if to <= mapped {
            return Ok(());
        }
        let end = to.next_multiple_of(PART).min(self.bytes);
        // SAFETY: this takes the place of a part of the room that was kept for it, at which nobody
        // looked yet.
        let part = unsafe {
            libc::mmap(
                self.begin.as_ptr().add(mapped).cast(),
                end - mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                self.map.as_raw_fd(),
                mapped.cast_signed() as libc::off_t,
            )
        };
        if part == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            // What was there may be gone already: nobody else is to get that room.
            // SAFETY: as above.
            unsafe {
                libc::mmap(
                    self.begin.as_ptr().add(mapped).cast(),
                    end - mapped,
                    libc::PROT_NONE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                    -1,
                    0,
                );
            }
            return Err(error);
        }
        self.mapped.store(end, Ordering::Release);
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: all of it is this one's room, and nobody has a pointer into it any more.
        unsafe { libc::munmap(self.begin.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    const BYTES: usize = 3 * PART + 100;

    fn window() -> (Window, OwnedFd) {
        let file = memfd_create("window", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, BYTES as u64).unwrap();
        (Window::open(file.as_fd(), BYTES).unwrap(), file)
    }

    fn byte(window: &Window, at: usize) -> u8 {
        // SAFETY: what it gives is mapped.
        unsafe { window.at(at, at + 1).unwrap().read_volatile() }
    }

    #[test]
    fn as_much_is_mapped_as_was_looked_at() {
        let (window, file) = window();
        let mapped = || window.mapped.load(Ordering::Relaxed);
        rustix::io::pwrite(&file, b"a", 7).unwrap();
        assert_eq!((byte(&window, 7), mapped()), (b'a', PART));
        let behind = PART + 3;
        rustix::io::pwrite(&file, b"b", behind as u64).unwrap();
        assert_eq!((byte(&window, behind), mapped()), (b'b', 2 * PART));
        // One that stands across the end of a part.
        assert!(window.at(2 * PART - 4, 2 * PART + 4).is_some());
        assert_eq!(mapped(), 3 * PART);
        rustix::io::pwrite(&file, b"c", BYTES as u64 - 1).unwrap();
        assert_eq!(byte(&window, BYTES - 1), b'c');
        assert_eq!(byte(&window, 7), b'a');
        assert_eq!(window.at(BYTES, 4 * PART), None);
    }
}
