//! Datagrams that several processors bring to one socket at once: each is delivered, and counted so.
//!
//! From Linux 6.18 on one processor may put another's datagram into the socket's queue, and tell the
//! socket of it (`__udp_enqueue_schedule_skb` of net/ipv4/udp.c).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

use lab::topology::Loopback;
use lab::{Lab, Ns};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use nix::unistd::Pid;

use super::seen::{port, requests, tell, trace};

const PORT: u16 = 9100;
/// From each processor.
const COUNT: u64 = 10_000;

/// One thread on each of two processors sends as fast as it can; nobody reads meanwhile.
fn send(from: &Ns, ip: IpAddr, to: SocketAddr) {
    thread::scope(|scope| {
        for cpu in 0..2 {
            scope.spawn(move || {
                let mut set = CpuSet::new();
                set.set(cpu).unwrap();
                sched_setaffinity(Pid::from_raw(0), &set).unwrap();
                let socket = from.run(|| UdpSocket::bind((ip, 0))).unwrap();
                for _ in 0..COUNT {
                    socket.send_to(&[0; 64], to).unwrap();
                }
            });
        }
    });
}

#[test]
fn each_datagram_is_delivered_whoever_tells_the_socket_of_it() {
    let loopback = Loopback::new(Lab::new("together").unwrap()).unwrap();
    for ip in loopback.at.both() {
        let to = SocketAddr::new(ip, PORT);
        let socket = loopback.host.run(|| UdpSocket::bind(to)).unwrap();
        // So that none is dropped while nobody reads.
        setsockopt(&socket, RcvBufForce, &(128 << 20)).unwrap();
        let ((), report) = trace(&port(PORT), || send(&loopback.host, ip, to));
        let routes = requests(&report, PORT);
        let delivered: u64 = routes.iter().map(|route| route.ends.delivered).sum();
        let told: String = routes.iter().map(|route| tell(route)).collect();
        assert_eq!(delivered, 2 * COUNT, "{told}");
    }
}
