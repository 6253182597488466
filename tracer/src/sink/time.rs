//! Moments as people read them: UTC.

use jiff::Timestamp;

use crate::model::journal::Moment;

fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_nanosecond(moment.into()).unwrap_or_default()
}

/// `2026-11-23T06:40:23.123456789Z` (RFC 3339).
pub(super) fn utc(moment: Moment) -> String {
    timestamp(moment).to_string()
}

/// `2026-11-23 06:40:23.123 UTC`
pub(super) fn short(moment: Moment) -> String {
    let milliseconds = Timestamp::from_millisecond(timestamp(moment).as_millisecond());
    let text = format!("{:.3}", milliseconds.unwrap_or_default());
    text.replace('T', " ").replace('Z', " UTC")
}

/// `2026-11-23 06:40:23 UTC`
pub(super) fn second(moment: Moment) -> String {
    let text = short(moment);
    text.split('.').next().unwrap_or_default().to_owned() + " UTC"
}

/// `06:40:23 UTC`
pub(super) fn clock(moment: Moment) -> String {
    let text = second(moment);
    text.split_once(' ')
        .map_or(text.clone(), |(_, time)| time.to_owned())
}
