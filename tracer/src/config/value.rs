//! What each kind of value may be, in the file and on the command line.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use jiff::SignedDuration;

use crate::app::agent::settings::Budget;
use crate::model::Protocol;
use crate::model::incident::Name;
use crate::source::settings::Prefix;

/// What [`duration`] takes.
pub const DURATION: &str = "a duration from 1ms to 24h, such as 10s, 500ms or 2m";
/// What [`since`] takes.
pub const SINCE: &str = "a duration from 1s to 87600h, such as 10m, 1h or 720h";
/// What [`prefix`] takes.
pub const PREFIX: &str = "an address with or without a length, such as 10.0.1.0/24 or fd00::1";
/// What [`protocol`] takes.
pub const PROTOCOL: &str = "tcp, udp, icmp, other";
/// What [`port`] takes.
pub const PORT: &str = "a port from 1 to 65535";
/// What [`port_range`] takes.
pub const PORT_RANGE: &str = "a port from 1 to 65535, or a range such as \"8000-8100\"";
/// What [`name`] takes.
pub const NAME: &str = "a name that is not empty";
/// What [`entries`] takes.
pub const ENTRIES: &str = "a power of two from 16 to 16777216";
/// What [`one_in`] takes.
pub const ONE_IN: &str = "a power of two from 1 to 64";

/// What [`target`] takes.
pub const TARGET: &str = "a prefix such as 10.2.0.0/16, an address such as 10.2.3.4, or default";
/// What [`listen`] takes.
pub const LISTEN: &str = "an address with a port, such as 127.0.0.1:9560 or [::1]:9560";
/// What [`path`] takes.
pub const PATH: &str = "a path that starts with /";
/// What [`socket`] takes.
pub const SOCKET: &str = "a path that starts with /, or \"\" for none";
/// What [`connections`] takes.
pub const CONNECTIONS: &str = "a number from 1 to 10000";
/// What [`series`] takes.
pub const SERIES: &str = "a number from 1 to 10000000";
/// What [`max_cpu`] takes.
pub const MAX_CPU: &str = "a percentage from 0.01% to 100% of this host, such as 1%, or off";
/// What [`incident`] takes.
pub const INCIDENT: &str = "a name such as INC-7, or its number";
/// What [`url`] takes.
pub const URL: &str = "an http or https URL without a user, such as https://on-call.example/hook";
/// What [`percent`] takes.
pub const PERCENT: &str = "a percentage from 1% to 100%, such as 5%";
/// What the journal's folder may be; it is read as a socket's path is.
pub const DIRECTORY: &str = "a path that starts with /, or \"\" for a journal in memory alone";
/// What [`journal_size`] takes.
pub const JOURNAL_SIZE: &str = "a size from 16MB to 64GB, such as 256MB";
/// What a switch takes.
pub const TRUTH: &str = "true, false";

const SHORTEST: SignedDuration = SignedDuration::from_millis(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
const MOST_ENTRIES: u32 = 1 << 24;
const FEWEST_ENTRIES: u32 = 1 << 4;

/// A duration with its unit.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is no duration"))?;
    match duration {
        short if short < SHORTEST => Err(format!("{text} is too short")),
        long if long > LONGEST => Err(format!("{text} is too long")),
        fine => Ok(fine.unsigned_abs()),
    }
}

/// How far to look back.
///
/// # Errors
/// What is wrong with it.
pub fn since(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is no duration"))?;
    match duration {
        short if short < SignedDuration::from_secs(1) => Err(format!("{text} is too short")),
        long if long > SignedDuration::from_hours(87_600) => Err(format!("{text} is too long")),
        fine => Ok(fine.unsigned_abs()),
    }
}

/// An address prefix; an address alone is a prefix of its full length.
///
/// # Errors
/// What is wrong with it.
pub fn prefix(text: &str) -> Result<Prefix, String> {
    let prefix = match text.parse::<IpAddr>() {
        Ok(address) => Prefix::from(address),
        Err(_) => text.parse().map_err(|_| format!("{text:?} is no prefix"))?,
    };
    if prefix.addr() != prefix.network() {
        let trunc = prefix.trunc();
        return Err(format!(
            "{text} has bits beyond its length; {trunc} has none"
        ));
    }
    Ok(prefix)
}

/// What a route is looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its prefix.
    Prefix(Prefix),
    /// A packet's destination.
    Address(IpAddr),
}

/// A prefix, or an address.
///
/// # Errors
/// What is wrong with it.
pub fn target(text: &str) -> Result<Target, String> {
    if let Ok(address) = text.parse() {
        return Ok(Target::Address(address));
    }
    prefix(if text == "default" { "0.0.0.0/0" } else { text }).map(Target::Prefix)
}

/// An incident by its name.
///
/// # Errors
/// What is wrong with it.
pub fn incident(text: &str) -> Result<Name, String> {
    Name::from_text(text).ok_or_else(|| format!("{text:?} is no incident"))
}

/// Where an alert is sent.
///
/// # Errors
/// What is wrong with it.
pub fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|_| format!("{text:?} is no URL"))?;
    let authority = url.authority().map_or("", |it| it.as_str());
    match url.scheme_str() {
        Some("http" | "https") if !authority.is_empty() => {}
        _ => return Err(format!("{text:?} is no http or https URL")),
    }
    if authority.contains('@') {
        return Err("the URL has a user".to_owned());
    }
    Ok(url)
}

/// A whole percentage.
///
/// # Errors
/// What is wrong with it.
pub fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim().strip_suffix('%').map(str::trim_end);
    match number.map(str::parse) {
        Some(Ok(percent @ 1..=100)) => Ok(percent),
        _ => Err(format!("{text:?} is no such percentage")),
    }
}

/// A transport protocol by its name.
///
/// # Errors
/// What is wrong with it.
pub fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.name() == text)
        .ok_or_else(|| format!("{text:?} is no protocol that is told apart"))
}

/// A port.
///
/// # Errors
/// What is wrong with it.
pub fn port(number: i64) -> Result<u16, String> {
    match u16::try_from(number) {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{number} is no port")),
    }
}

/// A port, written.
///
/// # Errors
/// What is wrong with it.
pub fn port_text(text: &str) -> Result<u16, String> {
    let number = text.parse().map_err(|_| format!("{text:?} is no port"))?;
    port(number)
}

/// Ports from one to another, both included: `8000-8100`.
///
/// # Errors
/// What is wrong with it.
pub fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port_text(first.trim())?, port_text(last.trim())?);
    if first > last {
        return Err(format!("the range {text:?} ends before it starts"));
    }
    Ok(first..=last)
}

/// A name.
///
/// # Errors
/// When it is empty.
pub fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the name is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// How many entries a table gets.
///
/// # Errors
/// What is wrong with it.
pub fn entries(number: i64) -> Result<u32, String> {
    match u32::try_from(number) {
        Ok(entries) if !entries.is_power_of_two() => Err(format!("{number} is no power of two")),
        Ok(entries @ FEWEST_ENTRIES..=MOST_ENTRIES) => Ok(entries),
        Ok(entries) if entries < FEWEST_ENTRIES => Err(format!("{number} is too few")),
        Ok(_) => Err(format!("{number} is too many")),
        Err(_) => Err(format!("{number} is out of range")),
    }
}

/// Out of how many packets one is timed.
///
/// # Errors
/// What is wrong with it.
pub fn one_in(number: i64) -> Result<NonZeroU8, String> {
    match u8::try_from(number).ok().and_then(NonZeroU8::new) {
        Some(many) if many.get() > 64 => Err(format!("{number} is too many")),
        Some(fine) if fine.is_power_of_two() => Ok(fine),
        Some(_) => Err(format!("{number} is no power of two")),
        None => Err(format!("{number} is out of range")),
    }
}

/// An address and a port to listen on; port 0 is one that the system chooses.
///
/// # Errors
/// What is wrong with it.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{text:?} is no address with a port"))
}

/// The path of a file.
///
/// # Errors
/// What is wrong with it.
pub fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(format!("{text:?} does not start with /"))
}

/// The path of a Unix socket; none for no socket.
pub type SocketPath = Option<PathBuf>;

/// The path of a Unix socket, or none.
///
/// # Errors
/// What is wrong with it.
pub fn socket(text: &str) -> Result<SocketPath, String> {
    if text.is_empty() {
        return Ok(None);
    }
    path(text).map(Some)
}

/// How many connections may be open.
///
/// # Errors
/// What is wrong with it.
pub fn connections(number: i64) -> Result<usize, String> {
    within(number, 10_000)
}

/// How large the journal may become, in bytes: `256MB`, `1GB`, of 1024 times 1024 bytes and so on.
///
/// # Errors
/// What is wrong with it.
pub fn journal_size(text: &str) -> Result<u64, String> {
    let units = [("MB", 1u64 << 20), ("GB", 1 << 30)];
    let size = units.into_iter().find_map(|(name, unit)| {
        let number: u64 = text.strip_suffix(name)?.trim_end().parse().ok()?;
        number.checked_mul(unit)
    });
    match size {
        None => Err(format!("{text:?} is no size")),
        Some(small) if small < 16 << 20 => Err(format!("{text} is too small")),
        Some(large) if large > 64 << 30 => Err(format!("{text} is too large")),
        Some(fine) => Ok(fine),
    }
}

/// How many series there may be.
///
/// # Errors
/// What is wrong with it.
pub fn series(number: i64) -> Result<usize, String> {
    within(number, 10_000_000)
}

/// What the programs in the kernel may take; none for as much as they need.
pub type MaxCpu = Option<Budget>;

/// A budget, or none.
///
/// # Errors
/// What is wrong with it. Nothing at all is no budget: it would be no tracing.
pub fn max_cpu(text: &str) -> Result<MaxCpu, String> {
    if text == "off" {
        return Ok(None);
    }
    let percent = text
        .strip_suffix('%')
        .and_then(|it| it.trim_end().parse().ok());
    let percent: f64 = percent.ok_or_else(|| format!("{text:?} is no percentage"))?;
    match percent {
        few if few < 0.01 => Err(format!("{text} is too little")),
        many if many > 100.0 => Err(format!("{text} is too much")),
        fine if fine.is_finite() => Ok(Some(Budget::share_of(fine / 100.0))),
        _ => Err(format!("{text:?} is no percentage")),
    }
}

fn within(number: i64, most: usize) -> Result<usize, String> {
    match usize::try_from(number) {
        Ok(0) | Err(_) => Err(format!("{number} is too few")),
        Ok(many) if many > most => Err(format!("{number} is too many")),
        Ok(fine) => Ok(fine),
    }
}
