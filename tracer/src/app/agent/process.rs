//! What the kernel says of this process.

use std::fs;
use std::time::SystemTime;

use crate::sink::prometheus::Process;

/// `USER_HZ`, the unit of times in `/proc`: 100 on every architecture that Linux has BPF on.
const TICKS_A_SECOND: f64 = 100.0;

/// None where `/proc` can't be read.
pub(super) fn process(started: SystemTime) -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold spaces; what follows its bracket may not.
    let (_, fields) = stat.rsplit_once(") ")?;
    let field = |number: usize| fields.split(' ').nth(number - 3)?.parse::<f64>().ok();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident: u64 = resident.split_whitespace().next()?.parse().ok()?;
    Some(Process {
        cpu_s: (field(14)? + field(15)?) / TICKS_A_SECOND,
        resident_bytes: resident * 1024,
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        started_at_s: super::state::since_1970(started),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_files() {
        let process = process(SystemTime::now()).unwrap();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.open_fds > 2, "{process:?}");
        assert!(process.started_at_s > 1.7e9, "{process:?}");
    }
}
