//! What the kernel tells of the whole machine: `/proc/stat`, `/proc/net/softnet_stat`,
//! `/proc/pressure/cpu`.

use std::collections::BTreeMap;
use std::fs;

/// The machine's counts at one moment; what can't be read is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// Each processor's time.
    pub(super) processors: BTreeMap<u32, Times>,
    /// For each processor: processed, dropped, squeezed, kept back by the limit of a flow. They are
    /// of 32 bits, and begin again.
    pub(super) softnet: BTreeMap<u32, [u32; 4]>,
    /// For how long a task waited for a processor.
    pub(super) waiting_ns: Option<u64>,
}

/// A processor's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units stand in names")]
pub(super) struct Times {
    pub(super) busy_ns: u64,
    pub(super) idle_ns: u64,
    pub(super) softirq_ns: u64,
    pub(super) steal_ns: u64,
}

impl Machine {
    pub(super) fn read() -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            processors: processors(&file("/proc/stat"), tick_ns()),
            softnet: softnet(&file("/proc/net/softnet_stat")),
            waiting_ns: waiting(&file("/proc/pressure/cpu")),
        }
    }
}

/// The unit of `/proc/stat`, in nanoseconds.
fn tick_ns() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// `cpu3 user nice system idle iowait irq softirq steal guest guest_nice`; guests are among users.
fn processors(text: &str, tick_ns: u64) -> BTreeMap<u32, Times> {
    let lines = text.lines().filter_map(|line| {
        let (name, times) = line.strip_prefix("cpu")?.split_once(' ')?;
        let number = name.parse().ok()?;
        let mut all = [0u64; 8];
        for (to, time) in all.iter_mut().zip(times.split_whitespace()) {
            *to = time.parse::<u64>().ok()?.saturating_mul(tick_ns);
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = all;
        let times = Times {
            busy_ns: user + nice + system + irq + softirq + steal,
            idle_ns: idle + iowait,
            softirq_ns: softirq,
            steal_ns: steal,
        };
        Some((number, times))
    });
    lines.collect()
}

/// A line for each processor that is online, in hexadecimal; its number is the 13th since Linux 5.10
/// (before, and there, lines are in the order of numbers).
fn softnet(text: &str) -> BTreeMap<u32, [u32; 4]> {
    let lines = text.lines().enumerate().filter_map(|(line, text)| {
        let mut columns = [0u32; 13];
        let mut found = 0;
        for (to, column) in columns.iter_mut().zip(text.split_whitespace()) {
            *to = u32::from_str_radix(column, 16).ok()?;
            found += 1;
        }
        let number = if found == 13 {
            columns[12]
        } else {
            line as u32
        };
        let counts = [columns[0], columns[1], columns[2], columns[10]];
        (found >= 3).then_some((number, counts))
    });
    lines.collect()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS`.
fn waiting(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some
        .split_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse::<u64>().ok()?.checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
cpu  30 0 30 300 30 3 9 12 6 0
cpu0 10 0 10 100 10 1 3 4 2 0
cpu2 20 0 20 200 20 2 6 8 4 0
intr 12345 0
";

    #[test]
    fn the_time_of_each_processor_is_read() {
        let all = processors(STAT, 10);
        let expected = Times {
            busy_ns: 280,
            idle_ns: 1_100,
            softirq_ns: 30,
            steal_ns: 40,
        };
        assert_eq!(all[&0], expected);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert!(processors("cpu0 1 2 x", 10).is_empty());
    }

    #[rstest::rstest]
    #[case::new(
        "0000000c 00000001 00000002 0 0 0 0 0 0 00000000 00000003 00000000 00000005 0 0",
        Some((5, [12, 1, 2, 3]))
    )]
    #[case::old("ffffffff 00000000 00000002 0 0 0 0 0 0 0 0", Some((0, [u32::MAX, 0, 2, 0])))]
    #[case::none("not a table", None)]
    fn soft_interrupts_are_read(#[case] text: &str, #[case] expected: Option<(u32, [u32; 4])>) {
        assert_eq!(softnet(text).into_iter().next(), expected);
    }

    #[test]
    fn pressure_is_read_where_there_is_any() {
        let text = "some avg10=91.38 avg60=51.94 avg300=17.73 total=72448958\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(waiting(text), Some(72_448_958_000));
        assert_eq!(waiting(""), None);
    }

    #[test]
    fn this_machine_tells_its_time() {
        let machine = Machine::read();
        assert!(!machine.processors.is_empty());
        assert_eq!(machine.softnet.len(), machine.processors.len());
        assert!(machine.processors.values().all(|it| it.busy_ns > 0));
    }
}
