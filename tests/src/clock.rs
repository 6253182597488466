//! The clock of the lab: `CLOCK_MONOTONIC`, the same that kernel timestamps use.

use std::time::Duration;

use nix::libc;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// Nanoseconds of `CLOCK_MONOTONIC`.
///
/// # Panics
///
/// Never on Linux, where this clock always exists.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists");
    Duration::from(now).as_nanos() as u64
}

/// Sleeps until a moment of [`now_ns`]; late by what the scheduler needs, never early.
pub(crate) fn sleep_until(deadline_ns: u64) {
    let deadline = TimeSpec::from_duration(Duration::from_nanos(deadline_ns));
    // A signal ends the sleep early; the deadline is absolute, so sleeping again is right.
    while now_ns() < deadline_ns {
        let _ = clock_nanosleep(
            ClockId::CLOCK_MONOTONIC,
            ClockNanosleepFlags::TIMER_ABSTIME,
            &deadline,
        );
    }
}

/// Lets this thread's sleeps end on time instead of up to 50 µs later.
pub(crate) fn wake_on_time() {
    // Refused only for a thread of another process; a late wake-up is no error.
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// Lets this thread run before ordinary ones: what a wire adds by waking late is in no log.
pub(crate) fn run_first() {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters live as long as the call; 0 is this thread. Where it is refused the
    // thread stays an ordinary one.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const first) };
}

/// Lets this thread run only where no ordinary one wants the processor (`SCHED_IDLE`), or as they do.
pub(crate) fn run_last(last: bool) {
    let policy = if last {
        libc::SCHED_IDLE
    } else {
        libc::SCHED_OTHER
    };
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live as long as the call; 0 is this thread, which may always do so.
    let _ = unsafe { libc::sched_setscheduler(0, policy, &raw const none) };
}
