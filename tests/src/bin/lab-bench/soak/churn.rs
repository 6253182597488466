//! Namespaces, devices and routes that come and go, each with packets of its own.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::topology::Line;
use lab::{Ns, NumberedUdp};
use serde_json::Value;

use crate::running::Agent;

/// Between two changes.
const EACH: Duration = Duration::from_millis(100);

/// Ports of the packets, used again and again.
pub(super) const PORTS: Range<u16> = 9_600..9_700;

/// Names of namespaces, used again and again, so that only a cookie tells them apart.
const NAMES: u64 = 10;

/// So many guests are there at one moment, and are looked at before they go.
const GUESTS: usize = 6;

/// The app's side of the router.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// Host after host, a guest of the router with packets from the app.
pub(super) struct Churn<'a> {
    line: &'a Line,
    guests: VecDeque<Guest>,
    seen: Seen,
    began: Instant,
}

struct Guest {
    host: Ns,
    number: u64,
    port: u16,
    packets: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) changes: u64,
    pub(super) sent: u64,
    pub(super) guests: u64,
    pub(super) looked_at: u64,
    /// Guests at whose hops other packets were counted than those that were sent to them.
    pub(super) mixed_up: u64,
    /// Guests whose device was called what it was before.
    pub(super) old_names: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} guests, {} changes, {} packets; {} guests were looked at: {} mixed up, {} by an old name",
            self.guests, self.changes, self.sent, self.looked_at, self.mixed_up, self.old_names
        )
    }
}

impl<'a> Churn<'a> {
    pub(super) fn new(line: &'a Line) -> Self {
        Self {
            line,
            guests: VecDeque::new(),
            seen: Seen::default(),
            began: Instant::now(),
        }
    }

    pub(super) fn run(mut self, agent: &Agent, over: &AtomicBool) -> Result<Seen> {
        while !over.load(Ordering::Relaxed) {
            let guest = self.welcome().context("welcome a guest")?;
            self.guests.push_back(guest);
            if self.guests.len() > GUESTS {
                self.look(agent)?;
                self.farewell()?;
            }
        }
        while !self.guests.is_empty() {
            self.farewell()?;
        }
        Ok(self.seen)
    }

    /// One change is done; the next one comes in its time.
    fn change(&mut self) {
        self.seen.changes += 1;
        let next = EACH * u32::try_from(self.seen.changes).unwrap_or(u32::MAX);
        std::thread::sleep(next.saturating_sub(self.began.elapsed()));
    }

    /// A namespace with a device, an address and a route, and packets from the app; then the device
    /// gets another name.
    fn welcome(&mut self) -> Result<Guest> {
        let number = self.seen.guests;
        let (host, router) = (
            self.line
                .lab
                .namespace(&format!("guest-{}", number % NAMES))?,
            &self.line.router,
        );
        self.change();
        let (inside, outside) = (device("in", number), device("out", number));
        self.line.lab.veth((&host, &inside), (router, &outside))?;
        self.change();
        let [to, from] = [2, 1].map(|last| address(number, last));
        host.address(&inside, &format!("{to}/24"))?;
        router.address(&outside, &format!("{from}/24"))?;
        self.change();
        host.route("10.1.0.0/24", from.into(), &inside)?;
        self.line
            .app
            .route(&network(number), GATEWAY.into(), "app0")?;
        self.change();
        let mut guest = Guest {
            host,
            number,
            port: PORTS.start + (number % u64::from(PORTS.end - PORTS.start)) as u16,
            packets: 0,
        };
        self.send(&mut guest, 10 + number % 37)?;
        guest.host.rename(&inside, &renamed(number))?;
        self.change();
        self.send(&mut guest, 5)?;
        self.seen.guests += 1;
        Ok(guest)
    }

    fn send(&mut self, guest: &mut Guest, count: u64) -> Result<()> {
        let to = SocketAddr::from((address(guest.number, 2), guest.port));
        let udp = NumberedUdp {
            count,
            ..NumberedUdp::new(
                (&self.line.app, self.line.app_at.v4.into()),
                (&guest.host, to),
            )
        };
        let received = udp.run()?.received;
        anyhow::ensure!(
            received == count,
            "send to a guest: {received} of {count} arrived"
        );
        guest.packets += count;
        self.seen.sent += count;
        Ok(())
    }

    /// What the agent says of the guest that goes next.
    fn look(&mut self, agent: &Agent) -> Result<()> {
        let Some(guest) = self.guests.front() else {
            return Ok(());
        };
        let page = agent.get("/api/routes")?;
        let report: Value = serde_json::from_slice(&page.body).context("read the routes")?;
        let routes = report["routes"].as_array().context("read the routes")?;
        let hops = routes.iter().flat_map(|route| {
            let port = route["port"].as_u64();
            let hops = route["hops"].as_array().into_iter().flatten();
            hops.map(move |hop| (port, hop))
        });
        let (mut found, mut wrong, mut old) = (0, false, false);
        for (port, hop) in hops {
            if hop["netns_cookie"].as_u64() != guest.host.cookie() || guest.host.cookie().is_none()
            {
                continue;
            }
            found += 1;
            wrong |= hop["netns"] != guest.host.name()
                || port != Some(guest.port.into())
                || hop["packets"].as_u64() != Some(guest.packets);
            old |= hop["device"].as_str() != Some(&renamed(guest.number));
            if wrong || old {
                println!(
                    "guest {}, {} packets to {}: {hop}",
                    guest.number, guest.packets, guest.port
                );
            }
        }
        self.seen.looked_at += 1;
        self.seen.mixed_up += u64::from(wrong || found == 0);
        self.seen.old_names += u64::from(old);
        Ok(())
    }

    fn farewell(&mut self) -> Result<()> {
        let Some(guest) = self.guests.pop_front() else {
            return Ok(());
        };
        self.line.app.remove_route(&network(guest.number))?;
        self.change();
        self.line.router.remove(&device("out", guest.number))?;
        self.change();
        self.line.lab.delete(guest.host);
        self.change();
        Ok(())
    }
}

fn device(side: &str, number: u64) -> String {
    format!("{side}{number}")
}

fn renamed(number: u64) -> String {
    format!("lan{number}")
}

/// A network of its own for each of those that are there at one moment, and for many more.
fn address(number: u64, last: u8) -> Ipv4Addr {
    let network = 20 + (number % 200) as u8;
    Ipv4Addr::new(10, network, 0, last)
}

fn network(number: u64) -> String {
    format!("{}/24", address(number, 0))
}
