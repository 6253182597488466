//! Numbered UDP: every datagram carries its number, so that each can be missed by name.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use socket2::{InterfaceIndexOrAddress, SockRef};

use super::joined;
use super::pace::{Pace, Schedule};
use crate::clock::{now_ns, run_first, wake_on_time};
use crate::namespace::Ns;

const MAGIC: &[u8; 8] = b"tracelab";
/// Magic and number.
const SMALLEST: usize = 16;
/// The largest payload of UDP over IPv4.
const LARGEST: usize = 65_507;

/// Numbered datagrams from one namespace to another; [`NumberedUdp::run`] sends and counts them.
pub struct NumberedUdp<'a> {
    /// Where the sender is, and its address.
    pub from: (&'a Ns, IpAddr),
    /// Where the receiver is, and what it listens to; a group's address makes it join the group.
    pub to: (&'a Ns, SocketAddr),
    /// Where the datagrams are sent, when not to what the receiver listens to: a service's
    /// address that is translated on the way.
    pub target: Option<SocketAddr>,
    /// How many datagrams.
    pub count: u64,
    /// How fast.
    pub pace: Pace,
    /// How many may be on their way: a sender that is too fast for the machine waits, so that what
    /// is counted doesn't depend on the machine.
    pub window: u64,
    /// The payload's length, of each number. At least 16 bytes are sent; above the MTU they are
    /// fragmented.
    pub payload_len: fn(u64) -> usize,
    /// Whether the sender connects its socket, and so caches its route.
    pub connected: bool,
    /// The source port; 0 lets the kernel choose.
    pub source_port: u16,
    /// For a group: the devices of sender and receiver.
    pub group_devices: Option<(&'a str, &'a str)>,
    /// How long the receiver waits after the last datagram.
    pub patience: Duration,
}

/// What became of numbered datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How many were sent.
    pub sent: u64,
    /// How many different ones arrived.
    pub received: u64,
    /// How many arrived again.
    pub duplicates: u64,
    /// How many arrived after one with a higher number.
    pub reordered: u64,
    /// For each number, when it was sent (`CLOCK_MONOTONIC`, just before the call).
    pub sent_ns: Vec<u64>,
    /// For each number, when the receiver had it first.
    pub received_ns: Vec<Option<u64>>,
}

impl Delivery {
    /// How many never arrived.
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }

    /// The time from sender to receiver of each datagram that arrived, in the order of sending.
    pub fn latencies_ns(&self) -> Vec<u64> {
        let both = self.sent_ns.iter().zip(&self.received_ns);
        both.filter_map(|(sent, received)| received.map(|received| received - sent))
            .collect()
    }

    fn count(&mut self, number: u64, received_ns: u64, highest: &mut u64) {
        let Some(place) = self.received_ns.get_mut(number as usize) else {
            return;
        };
        if place.is_some() {
            self.duplicates += 1;
            return;
        }
        *place = Some(received_ns);
        self.received += 1;
        if number < *highest {
            self.reordered += 1;
        }
        *highest = number.max(*highest);
    }
}

impl<'a> NumberedUdp<'a> {
    /// 1000 datagrams of 64 bytes, 5000 a second, from a socket that is not connected.
    pub fn new(from: (&'a Ns, IpAddr), to: (&'a Ns, SocketAddr)) -> Self {
        Self {
            from,
            to,
            target: None,
            count: 1000,
            pace: Pace::Constant { per_second: 5000.0 },
            window: u64::MAX,
            payload_len: |_| 64,
            connected: false,
            source_port: 0,
            group_devices: None,
            patience: Duration::from_millis(200),
        }
    }

    /// Sends them all and counts what arrives.
    pub fn run(&self) -> Result<Delivery> {
        let listener = self.listener()?;
        let sender = self.sender()?;
        let (sent, arrived) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(&listener, &sent, &arrived));
            // A thread of its own, as it may run before others.
            let sent_ns = joined(scope.spawn(|| self.send(&sender, &arrived)));
            sent.store(true, Ordering::Relaxed);
            let mut delivery = joined(receiver)?;
            delivery.sent_ns = sent_ns?;
            delivery.sent = delivery.sent_ns.len() as u64;
            Ok(delivery)
        })
    }

    fn target(&self) -> SocketAddr {
        self.target.unwrap_or(self.to.1)
    }

    fn sender(&self) -> Result<UdpSocket> {
        let (ns, ip) = self.from;
        let socket = ns
            .run(|| UdpSocket::bind((ip, self.source_port)))
            .with_context(|| format!("bind a sender to {ip} in {}", ns.name()))?;
        if let Some((dev, _)) = self.group_devices {
            SockRef::from(&socket).bind_device(Some(dev.as_bytes()))?;
        }
        if self.connected {
            socket.connect(self.target())?;
        }
        Ok(socket)
    }

    fn listener(&self) -> Result<UdpSocket> {
        let (ns, to) = self.to;
        let socket = ns
            .run(|| UdpSocket::bind(to))
            .with_context(|| format!("bind a receiver to {to} in {}", ns.name()))?;
        // More than rmem_max allows; with less, a busy machine drops what the test sent.
        setsockopt(&socket, RcvBufForce, &(64 << 20)).context("enlarge a receive buffer")?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        if let Some((_, dev)) = self.group_devices {
            join(&socket, to.ip(), ns.index(dev)?)?;
        }
        Ok(socket)
    }

    fn send(&self, socket: &UdpSocket, arrived: &AtomicU64) -> Result<Vec<u64>> {
        wake_on_time();
        if self.pace != Pace::BackToBack {
            // Who is late catches up, and a burst is another traffic than the one asked for.
            run_first();
        }
        let mut payload = vec![0; LARGEST];
        payload[..8].copy_from_slice(MAGIC);
        let mut schedule = Schedule::start(self.pace);
        let mut sent_ns = Vec::with_capacity(self.count as usize);
        let mut lost = 0;
        for number in 0..self.count {
            schedule.next();
            lost = self.wait_for_room(number, lost, arrived);
            payload[8..SMALLEST].copy_from_slice(&number.to_be_bytes());
            let bytes = &payload[..(self.payload_len)(number).clamp(SMALLEST, LARGEST)];
            sent_ns.push(now_ns());
            let done = if self.connected {
                socket.send(bytes)
            } else {
                socket.send_to(bytes, self.target())
            };
            match done {
                Ok(_) => {}
                // The path answered an earlier one by an ICMP error; this one is not sent.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("send datagram {number}"));
                }
            }
        }
        Ok(sent_ns)
    }

    /// Waits until the window has room for one more, and returns how many were lost so far: what
    /// does not come while the sender is patient.
    fn wait_for_room(&self, number: u64, lost: u64, arrived: &AtomicU64) -> u64 {
        let under_way = |lost| number.saturating_sub(lost + arrived.load(Ordering::Relaxed));
        let since_ns = now_ns();
        while under_way(lost) >= self.window {
            if now_ns() - since_ns > self.patience.as_nanos() as u64 {
                return lost + under_way(lost);
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        lost
    }

    fn receive(
        &self,
        socket: &UdpSocket,
        sent: &AtomicBool,
        arrived: &AtomicU64,
    ) -> Result<Delivery> {
        let mut delivery = Delivery {
            received_ns: vec![None; self.count as usize],
            ..Delivery::default()
        };
        let (mut highest, mut last_ns) = (0, now_ns());
        let mut buffer = vec![0; LARGEST];
        loop {
            match socket.recv(&mut buffer) {
                Ok(len) => {
                    last_ns = now_ns();
                    if let Some(number) = number(&buffer[..len]) {
                        delivery.count(number, last_ns, &mut highest);
                        arrived.store(delivery.received, Ordering::Relaxed);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receive datagrams"),
            }
            let all_sent = sent.load(Ordering::Relaxed);
            let quiet = Duration::from_nanos(now_ns() - last_ns);
            // With all of them here, a short wait still sees duplicates.
            let enough = delivery.received == self.count && quiet > Duration::from_millis(15);
            if all_sent && (enough || quiet > self.patience) {
                return Ok(delivery);
            }
        }
    }
}

fn number(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(MAGIC)?;
    Some(u64::from_be_bytes(*rest.first_chunk()?))
}

fn join(socket: &UdpSocket, group: IpAddr, device: u32) -> Result<()> {
    match group {
        IpAddr::V4(group) => join_v4(socket, group, device),
        IpAddr::V6(group) => join_v6(socket, group, device),
    }
    .with_context(|| format!("join the group {group}"))
}

fn join_v4(socket: &UdpSocket, group: Ipv4Addr, device: u32) -> std::io::Result<()> {
    SockRef::from(socket).join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(device))
}

fn join_v6(socket: &UdpSocket, group: Ipv6Addr, device: u32) -> std::io::Result<()> {
    socket.join_multicast_v6(&group, device)
}
