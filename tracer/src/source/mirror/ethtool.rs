//! What a device's driver tells: the speed of its link, and counters of its own
//! (`include/uapi/linux/ethtool.h`).

use std::collections::BTreeMap;
use std::os::fd::RawFd;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const GET_SETTINGS: u32 = 0x01;
const GET_STRINGS: u32 = 0x1b;
const GET_STATISTICS: u32 = 0x1d;
const GET_STRING_SET_INFO: u32 = 0x37;

/// `ETH_SS_STATS`: the names of the driver's counters.
const COUNTERS: u32 = 1;

/// `ETH_GSTRING_LEN`.
const NAME: usize = 32;

/// A driver with more counters is not asked: some count thousands of queues.
const MOST: usize = 16_384;

/// How many counters a driver may get between two questions: the kernel writes as many as there are
/// then, however many were asked for.
const GROWTH: usize = 4_096;

/// What is in the name of a counter of trouble. Others count what went well.
const TROUBLE: [&str; 13] = [
    "allowance_exceeded",
    "drop",
    "err",
    "discard",
    "miss",
    "fifo",
    "overrun",
    "no_buf",
    "nobuf",
    "out_of_buffer",
    "timeout",
    "no_dma",
    "alloc_fail",
];

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Default)]
struct Settings {
    command: u32,
    _modes: [u32; 2],
    speed: u16,
    _port: [u8; 6],
    _frames: [u32; 2],
    speed_high: u16,
    _wires: [u8; 2],
    _rest: [u32; 3],
}

const _: () = assert!(size_of::<Settings>() == 44);

/// `struct ethtool_sset_info` with room for one answer.
#[repr(C)]
struct StringSetInfo {
    command: u32,
    _reserved: u32,
    mask: u64,
    count: u32,
    _padding: u32,
}

/// The speed that a device's driver tells, in megabits a second.
pub(super) fn speed(socket: RawFd, device: &str) -> Option<u32> {
    let mut settings = Settings {
        command: GET_SETTINGS,
        ..Settings::default()
    };
    // SAFETY: the kernel takes it for a `struct ethtool_cmd`, which it is.
    unsafe { ask(socket, device, (&raw mut settings).cast()) }?;
    let speed = u32::from(settings.speed_high) << 16 | u32::from(settings.speed);
    (![0, 0xffff, u32::MAX].contains(&speed)).then_some(speed)
}

/// What a driver counts of trouble, by its name with each queue's number as `N`, all queues together;
/// empty where it counts nothing.
pub(super) fn trouble(socket: RawFd, device: &str) -> BTreeMap<String, u64> {
    let counted = statistics(socket, device).unwrap_or_default();
    let mut all = BTreeMap::new();
    for (name, count) in counted {
        if is_trouble(&name) {
            let sum: &mut u64 = all.entry(of_all_queues(&name)).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    all
}

fn is_trouble(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TROUBLE.iter().any(|it| name.contains(it))
}

/// A counter's name without the queue's number: `rx_queue_3_drops` is `rx_queue_N_drops`.
fn of_all_queues(name: &str) -> String {
    let mut all = String::with_capacity(name.len());
    let mut in_number = false;
    for letter in name.chars() {
        let is_digit = letter.is_ascii_digit();
        match (is_digit, in_number) {
            (true, false) => all.push('N'),
            (true, true) => {}
            (false, _) => all.push(letter),
        }
        in_number = is_digit;
    }
    all
}

fn statistics(socket: RawFd, device: &str) -> Option<Vec<(String, u64)>> {
    let mut info = StringSetInfo {
        command: GET_STRING_SET_INFO,
        _reserved: 0,
        mask: 1 << COUNTERS,
        count: 0,
        _padding: 0,
    };
    // SAFETY: the kernel writes one count behind it, since one set was asked for.
    unsafe { ask(socket, device, (&raw mut info).cast()) }?;
    let count = info.count as usize;
    if info.mask == 0 || count == 0 || count > MOST {
        return None;
    }
    // struct ethtool_gstrings: command, set, count, names. In words, which are aligned for all of it.
    let room = count + GROWTH;
    let mut names = vec![0u64; 2 + room * NAME / 8];
    names[0] = words(GET_STRINGS, COUNTERS);
    names[1] = words(count as u32, 0);
    // SAFETY: there is room for as many names as a driver may have got since it was asked.
    unsafe { ask(socket, device, names.as_mut_ptr().cast()) }?;
    let names: Vec<u8> = names.into_iter().flat_map(u64::to_ne_bytes).collect();
    // struct ethtool_stats: command, count, numbers.
    let mut numbers = vec![0u64; 1 + room];
    numbers[0] = words(GET_STATISTICS, count as u32);
    // SAFETY: as above, for numbers.
    unsafe { ask(socket, device, numbers.as_mut_ptr().cast()) }?;
    read(count, &names, &numbers)
}

/// Two numbers of 32 bits, the first at the lower address.
fn words(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// Names with their numbers; none where the driver changed what it counts meanwhile.
fn read(count: usize, names: &[u8], numbers: &[u64]) -> Option<Vec<(String, u64)>> {
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes) as usize)
    };
    let (head, numbers) = numbers.split_first()?;
    if word(names, 8)? != count || word(&head.to_ne_bytes(), 4)? != count {
        return None;
    }
    let names = names.get(12..)?.chunks_exact(NAME).take(count);
    let names = names.map(|name| {
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(NAME);
        String::from_utf8_lossy(&name[..end]).trim().to_owned()
    });
    Some(names.zip(numbers.iter().copied()).collect())
}

/// Asks a driver; none where it refuses.
///
/// # Safety
/// The command has to be what its first word says, with room for all that the kernel writes.
unsafe fn ask(socket: RawFd, device: &str, command: *mut libc::c_char) -> Option<()> {
    // SAFETY: zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let name = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (to, byte) in name.zip(device.bytes()) {
        *to = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = command;
    // SAFETY: the request and the command that it points to are valid while the call takes, and the
    // command is as large as the kernel takes it for (dev_ethtool, net/ethtool/ioctl.c).
    let answer = unsafe { libc::ioctl(socket, SIOCETHTOOL as _, &raw mut request) };
    (answer == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    #[rstest::rstest]
    #[case("rx_queue_0_drops", "rx_queue_N_drops")]
    #[case("rx12_xdp_drop", "rxN_xdp_drop")]
    #[case("bw_in_allowance_exceeded", "bw_in_allowance_exceeded")]
    #[case("port.rx_dropped", "port.rx_dropped")]
    fn queues_are_counted_together(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(of_all_queues(name), expected);
        assert!(is_trouble(name));
    }

    #[rstest::rstest]
    #[case("rx_queue_0_packets")]
    #[case("tx_bytes")]
    #[case("rx_csum_good")]
    fn what_went_well_is_no_trouble(#[case] name: &str) {
        assert!(!is_trouble(name));
    }

    /// An answer as a driver gives it.
    fn answer(counted: &[(&str, u64)]) -> (Vec<u8>, Vec<u64>) {
        let count = counted.len() as u32;
        let mut names: Vec<u8> = [GET_STRINGS, COUNTERS, count]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        let mut numbers = vec![words(GET_STATISTICS, count)];
        for (name, number) in counted {
            let mut field = [0; NAME];
            field[..name.len()].copy_from_slice(name.as_bytes());
            names.extend(field);
            numbers.push(*number);
        }
        (names, numbers)
    }

    #[test]
    fn counters_are_read_with_their_names_or_not_at_all() {
        let (names, numbers) = answer(&[("rx_missed", 7), ("tx_timeout", 9)]);
        let expected = [("rx_missed".to_owned(), 7), ("tx_timeout".to_owned(), 9)];
        assert_eq!(read(2, &names, &numbers).unwrap(), expected);
        // A queue more than a moment ago.
        assert_eq!(read(1, &names, &numbers), None);
        assert_eq!(read(2, &names[..8], &numbers), None);
    }

    #[test]
    fn a_device_that_is_not_there_tells_nothing() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(speed(socket.as_raw_fd(), "no-such-device"), None);
        assert!(trouble(socket.as_raw_fd(), "no-such-device").is_empty());
        assert!(trouble(socket.as_raw_fd(), "lo").is_empty());
    }
}
