//! How much processor time a thread has spent.

use std::time::Duration;

/// The processor time that this thread has spent, the kernel's work for it included: what others
/// take of it, and waiting for the kernel's locks, cost nobody anything.
pub(super) fn spent() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the value is valid while the call takes, which fails for no clock that there is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}
