//! What this host's own stack had no room or no time for, in words.

use super::fit;
use super::units;
use crate::model::host::Trouble;

/// A trouble in half a line, with its number.
pub(super) fn trouble(trouble: &Trouble) -> String {
    match trouble {
        Trouble::AllowanceExceeded {
            device,
            counter,
            packets,
        } => format!(
            "{}: {} over what the cloud allows ({})",
            fit::name(device, 15),
            units::counted(*packets, "packet"),
            fit::name(counter, 32),
        ),
        Trouble::LinkFull {
            device,
            receiving,
            used,
            speed_bps,
        } => format!(
            "{} {} up to {} of {}",
            fit::name(device, 15),
            if *receiving { "received" } else { "sent" },
            units::share(*used),
            speed(*speed_bps),
        ),
        Trouble::RingOverrun {
            device,
            counter,
            packets,
        } => format!(
            "{} had no room for {} that came ({})",
            fit::name(device, 15),
            units::counted(*packets, "packet"),
            fit::name(counter, 32),
        ),
        Trouble::BacklogDrops { packets } => format!(
            "{} dropped from full backlogs",
            units::counted(*packets, "packet")
        ),
        Trouble::BudgetExhausted { times } => format!(
            "soft interrupts had more to do than they may at once, {}",
            units::counted(*times, "time")
        ),
        Trouble::Steal { share } => format!(
            "the hypervisor took {} of the processors' time",
            units::share(*share)
        ),
        Trouble::ProcessorWait { share } => format!(
            "tasks waited for a processor {} of the time",
            units::share(*share)
        ),
        Trouble::ProcessorFull {
            number,
            busy,
            softirq,
        } => format!(
            "processor {number} was busy {} of its last seconds, {} with soft interrupts",
            units::share(*busy),
            units::share(*softirq),
        ),
        Trouble::ListenQueueFull { namespace, times } => format!(
            "a listening socket in {} had no room for {}",
            fit::name(namespace, 30),
            units::counted(*times, "connection"),
        ),
        Trouble::SocketBufferFull {
            namespace,
            counter,
            times,
        } => format!(
            "sockets in {} had no room {} ({})",
            fit::name(namespace, 30),
            units::counted(*times, "time"),
            fit::name(counter, 32),
        ),
    }
}

/// Bits a second: `10 Gbit/s`.
fn speed(bps: u64) -> String {
    match bps {
        0..1_000_000_000 => format!("{} Mbit/s", bps / 1_000_000),
        bps if bps.is_multiple_of(1_000_000_000) => format!("{} Gbit/s", bps / 1_000_000_000),
        bps => format!("{:.1} Gbit/s", bps as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host::example;

    #[test]
    fn each_trouble_has_its_sentence() {
        let all = example::starved().troubles();
        let all: Vec<_> = all.iter().map(trouble).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[rstest::rstest]
    #[case(100_000_000, "100 Mbit/s")]
    #[case(2_500_000_000, "2.5 Gbit/s")]
    #[case(10_000_000_000, "10 Gbit/s")]
    fn speeds_are_told_as_they_are_sold(#[case] bps: u64, #[case] expected: &str) {
        assert_eq!(speed(bps), expected);
    }
}
