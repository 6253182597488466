//! Numbers as people read them.

/// Up to which nanosecond a unit is used, its nanoseconds, and its name.
const UNITS: [(u64, f64, &str); 3] = [
    (999_500, 1e3, "µs"),
    (999_500_000, 1e6, "ms"),
    (u64::MAX, 1e9, "s"),
];

/// A latency with three digits: `238ns`, `1.40µs`, `5.05ms`.
pub fn latency(ns: u64) -> String {
    if ns < 1_000 {
        return format!("{ns}ns");
    }
    let fits = |&&(below, _, _): &&(u64, f64, &str)| ns < below;
    let (_, unit, name) = UNITS.iter().find(fits).unwrap_or(&UNITS[2]);
    let value = ns as f64 / unit;
    let decimals = [9.995, 99.95]
        .iter()
        .filter(|&&above| value < above)
        .count();
    format!("{value:.decimals$}{name}")
}

/// A latency, or a dash where none was measured.
pub(super) fn latency_or_dash(ns: Option<u64>) -> String {
    ns.map_or_else(|| "–".to_owned(), latency)
}

/// A count with its thousands apart: `12,000`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 packet`, `12,000 packets`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    match (number, noun) {
        (1, noun) => format!("1 {noun}"),
        (number, "class") => format!("{} classes", count(number)),
        (number, noun) => format!("{} {noun}s", count(number)),
    }
}

/// A share: `4%`; what is there is never shown as nothing.
pub fn share(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.5 => "<1%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}

/// How long something lasted, from seconds to days: `33 h 12 min`, `3 min 20 s`, `5 s`.
pub(super) fn span(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{hours} h {} min", seconds / 60 % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, "0ns")]
    #[case(999, "999ns")]
    #[case(1_000, "1.00µs")]
    #[case(9_994, "9.99µs")]
    #[case(9_996, "10.0µs")]
    #[case(99_960, "100µs")]
    #[case(999_499, "999µs")]
    #[case(999_500, "1.00ms")]
    #[case(5_049_000, "5.05ms")]
    #[case(61_000_000_000, "61.0s")]
    #[case(u64::MAX, "18446744074s")]
    fn latencies_have_three_digits(#[case] ns: u64, #[case] text: &str) {
        assert_eq!(latency(ns), text);
    }

    #[rstest::rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(1_000, "1,000")]
    #[case(12_345_678, "12,345,678")]
    fn counts_have_their_thousands_apart(#[case] number: u64, #[case] text: &str) {
        assert_eq!(count(number), text);
    }

    #[rstest::rstest]
    #[case(0.0, "0%")]
    #[case(0.001, "<1%")]
    #[case(0.834, "83%")]
    #[case(1.0, "100%")]
    fn shares_are_percents(#[case] part: f64, #[case] text: &str) {
        assert_eq!(share(part), text);
    }
}
