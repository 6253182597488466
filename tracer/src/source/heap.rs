//! What the allocator does with room that was given back.

/// From this size on a block has pages of its own: the C library's own limit at its start
/// (mallopt(3)).
const OWN_PAGES: libc::c_int = 128 * 1024;

/// Gives pages of large blocks back to the kernel as soon as they are free, for as long as this
/// process lives.
///
/// The C library raises its limit to the size of the largest block that was ever given back. The
/// room of a page of metrics would then stay with a process that lives for months: 8 MB of 150
/// with 100,000 series.
pub fn return_large_blocks() {
    // SAFETY: it changes how the allocator works from now on, not what it has handed out; it fails
    // for no limit below half its heap.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
    }
}

/// Gives back to the kernel what is free between blocks that are in use.
///
/// The C library does so at the end of its heaps alone; what was needed at the start and is not any
/// more, the types of the kernel above all, lies below what stays.
pub fn return_free_pages() {
    // SAFETY: it touches only what is free, under the allocator's own locks (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
