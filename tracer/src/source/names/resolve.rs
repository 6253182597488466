//! What other hosts are called, by reverse look-up; only where somebody asked for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::CStr;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::end;
use super::end::Side;
use crate::model::name::Who;
use crate::model::{End, Parent, Reading};

/// How long is waited for all names together.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many are asked for at one moment, and in all: those of most packets.
const AT_ONCE: usize = 16;
const MOST: usize = 512;

/// The longest name of a host (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Addresses that a name was found for.
    pub named: usize,
    /// Addresses that have none, or whose name did not come in time.
    pub unnamed: usize,
    /// Addresses that were not asked for, as there were too many.
    pub left_out: usize,
}

/// Asks what the other hosts of a reading are called (`getnameinfo(3)`: `/etc/hosts` and DNS, as
/// `/etc/nsswitch.conf` says), and says so of the ends that are one address.
///
/// It takes two seconds at most; a name that comes later is none.
pub fn resolve(reading: &mut Reading) -> Resolved {
    name_hosts(reading, |addresses| ask(addresses, PATIENCE, by_system))
}

fn name_hosts(
    reading: &mut Reading,
    ask: impl FnOnce(Vec<IpAddr>) -> BTreeMap<IpAddr, String>,
) -> Resolved {
    let ends = remote(reading);
    let mut packets = BTreeMap::<IpAddr, u64>::new();
    for (&(class, _), &address) in &ends {
        *packets.entry(address).or_default() += packets_of(reading, class);
    }
    let mut addresses: Vec<IpAddr> = packets.keys().copied().collect();
    addresses.sort_by_key(|address| std::cmp::Reverse(packets[address]));
    let all = addresses.len();
    addresses.truncate(MOST);
    let asked = addresses.len();
    let found = ask(addresses);
    for ((class, side), address) in ends {
        let Some(name) = found.get(&address) else {
            continue;
        };
        let names = reading.names.entry(class).or_default();
        let who = match side {
            Side::Source => &mut names.source,
            Side::Destination => &mut names.destination,
        };
        let prefix = match who {
            Who::Remote(prefix) => Some(*prefix),
            _ => None,
        };
        *who = Who::Host {
            name: name.clone(),
            prefix,
        };
    }
    Resolved {
        named: found.len(),
        unnamed: asked - found.len(),
        left_out: all - asked,
    }
}

/// Ends that are one address each, of no socket of this host.
fn remote(reading: &Reading) -> BTreeMap<(usize, Side), IpAddr> {
    let local = end::local(reading);
    let mut ends = BTreeMap::new();
    for (class, it) in reading.classes.iter().enumerate() {
        for (side, end) in [
            (Side::Source, &it.source),
            (Side::Destination, &it.destination),
        ] {
            if let End::Prefix(address, length) = *end
                && length == if address.is_ipv4() { 32 } else { 128 }
                && !local.contains_key(&(class, side))
            {
                ends.insert((class, side), address);
            }
        }
    }
    ends
}

fn packets_of(reading: &Reading, class: usize) -> u64 {
    let nodes = reading.nodes.iter();
    nodes
        .filter(|node| node.parent == Parent::Class(class))
        .map(|node| node.packets + node.born)
        .sum()
}

/// Asks for all of them on threads of their own: who answers late is waited for no longer, and such a
/// thread ends when its answer comes.
fn ask(
    addresses: Vec<IpAddr>,
    patience: Duration,
    name: impl Fn(IpAddr) -> Option<String> + Clone + Send + 'static,
) -> BTreeMap<IpAddr, String> {
    let threads = addresses.len().min(AT_ONCE);
    let mut left: BTreeSet<IpAddr> = addresses.iter().copied().collect();
    let queue = Arc::new(Mutex::new(VecDeque::from(addresses)));
    let (tell, told) = mpsc::channel();
    for _ in 0..threads {
        let (queue, tell, name) = (Arc::clone(&queue), tell.clone(), name.clone());
        let next = move || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.pop_front()
        };
        std::thread::spawn(move || {
            while let Some(address) = next() {
                if tell.send((address, name(address))).is_err() {
                    return;
                }
            }
        });
    }
    drop(tell);
    let end = Instant::now() + patience;
    let mut found = BTreeMap::new();
    while !left.is_empty() {
        let rest = end.saturating_duration_since(Instant::now());
        let Ok((address, name)) = told.recv_timeout(rest) else {
            break;
        };
        left.remove(&address);
        found.extend(name.map(|name| (address, name)));
    }
    found
}

/// What the system's resolver calls an address; none where it has no name for it.
fn by_system(address: IpAddr) -> Option<String> {
    let mut buffer = [0 as libc::c_char; 1025];
    let call = |socket: *const libc::sockaddr, length: usize, buffer: &mut [libc::c_char]| {
        // SAFETY: the address is of its family's type and as long as said, and the buffer is too; both
        // are valid while the call takes. No service is asked for.
        unsafe {
            libc::getnameinfo(
                socket,
                length as libc::socklen_t,
                buffer.as_mut_ptr(),
                buffer.len() as libc::socklen_t,
                std::ptr::null_mut(),
                0,
                libc::NI_NAMEREQD,
            )
        }
    };
    let code = match address {
        IpAddr::V4(address) => {
            let socket = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.octets()),
                },
                sin_zero: [0; 8],
            };
            call(
                (&raw const socket).cast(),
                size_of_val(&socket),
                &mut buffer,
            )
        }
        IpAddr::V6(address) => {
            let socket = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: address.octets(),
                },
                sin6_scope_id: 0,
            };
            call(
                (&raw const socket).cast(),
                size_of_val(&socket),
                &mut buffer,
            )
        }
    };
    if code != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so that a zero ends the name within the buffer (getnameinfo(3)).
    let name = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    name.to_str().ok().and_then(host)
}

/// A host's name. Whoever answers for an address may write anything, such as what a terminal takes for
/// a command: that is no name.
fn host(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= LONGEST && name.bytes().all(is_plain);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use crate::model::hop::Stage;

    #[test]
    fn only_what_is_a_hosts_name_is_taken_for_one() {
        for (name, taken) in [
            ("db1.example.com.", Some("db1.example.com")),
            ("_dmarc.example.com", Some("_dmarc.example.com")),
            ("\u{1b}[2Jdb", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(host(name).as_deref(), taken, "{name:?}");
        }
        assert_eq!(host(&"a".repeat(LONGEST + 1)), None);
    }

    #[test]
    fn the_system_knows_this_host() {
        assert_eq!(
            by_system([127, 0, 0, 1].into()).as_deref(),
            Some("localhost")
        );
    }

    #[test]
    fn whoever_answers_late_has_no_name() {
        let (late, known) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let (release, answers) = mpsc::channel::<()>();
        let answers = Arc::new(Mutex::new(answers));
        let found = ask(
            vec![late, known],
            Duration::from_millis(200),
            move |address| {
                if address == late {
                    let _ = answers.lock().unwrap().recv();
                }
                Some(format!("host-{address}"))
            },
        );
        assert_eq!(found.get(&known).map(String::as_str), Some("host-10.0.0.2"));
        assert_eq!(found.get(&late), None);
        drop(release);
    }

    #[test]
    fn ends_of_this_host_and_networks_are_not_asked_for() {
        let mut reading = example::lab();
        reading.classes[0].source = End::Prefix([10, 0, 1, 1].into(), 32);
        reading.classes[0].destination = End::Prefix([10, 0, 2, 2].into(), 32);
        // The request's way ends at another host.
        for node in &mut reading.nodes {
            if matches!(node.hop.stage, Stage::Deliver | Stage::Read) {
                node.hop_mut().stage = Stage::Receive;
            }
        }
        let mut asked = Vec::new();
        let came = name_hosts(&mut reading, |addresses| {
            asked = addresses;
            BTreeMap::from([([10, 0, 2, 2].into(), "db".to_owned())])
        });
        assert!(asked.contains(&IpAddr::from([10, 0, 2, 2])), "{asked:?}");
        assert_eq!(came.named, 1);
        let names = &reading.names[&0];
        assert_eq!(names.destination.text().as_deref(), Some("db"));
    }
}
