//! The stage: three applications, their database, its archive behind the old road, and a service
//! whose program can be told to read late.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::topology::{Address, Story};
use lab::{Lab, Ns, Pace, TcpPairs, TcpServer, Users};

const DB_PORT: u16 = 5432;
const ARCHIVE_PORT: u16 = 5433;
const QUEUE_PORT: u16 = 5434;

/// What the old road takes each way, when it is well.
pub(super) const OLD_ROAD: Duration = Duration::from_micros(500);
/// What the database thinks, when it is well.
pub(super) const THINKS: Duration = Duration::from_millis(4);

const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);
const EACH: u32 = 4;

/// The archive's address: on db, and app asks it by the old road.
const ARCHIVE_NET: u8 = 3;

/// All that a fault may touch.
pub(super) struct Scene {
    pub(super) users: Vec<Client>,
    /// Traffic of a while.
    pub(super) guests: Vec<Users>,
    pub(super) visits: Vec<JoinHandle<()>>,
    pub(super) db: TcpServer,
    /// How late the third service's program reads, in nanoseconds.
    pub(super) reads_late_ns: Arc<AtomicU64>,
    unrelated: u8,
    _archive: TcpServer,
    pub(super) colleagues: [(Ns, Address); 2],
    pub(super) story: Story,
}

/// A host's connections to a service.
pub(super) struct Client {
    ns: Ns,
    at: Address,
    to: SocketAddr,
    users: Users,
}

impl Client {
    fn start(ns: &Ns, at: Address, to: SocketAddr) -> Self {
        Self {
            users: Users::start((ns, at.v4.into()), to, EACH, BETWEEN_REQUESTS),
            ns: ns.clone(),
            at,
            to,
        }
    }
}

impl Scene {
    pub(super) fn new() -> Result<Self> {
        let lab = Lab::fixed("drill").or_else(|_| Lab::new("drill"))?;
        let story = Story::new(lab, OLD_ROAD).context("lay out the network")?;
        let colleagues = [story.colleague(2)?, story.colleague(3)?];
        let archive_at = Address::new(ARCHIVE_NET, 2);
        lay_archive_routes(&story, &colleagues, archive_at)?;
        let db_to: SocketAddr = (story.db_at.v4, DB_PORT).into();
        let archive_to: SocketAddr = (archive_at.v4, ARCHIVE_PORT).into();
        let queue_to: SocketAddr = (story.db_at.v4, QUEUE_PORT).into();
        let db = TcpServer::start(&story.db, db_to)?;
        db.set_think(THINKS);
        let archive = TcpServer::start(&story.db, archive_to)?;
        let reads_late_ns = Arc::new(AtomicU64::new(0));
        serve_queue(&story.db, queue_to, &reads_late_ns)?;
        let own = std::iter::once((&story.app, story.app_at));
        let hosts: Vec<_> = own
            .chain(colleagues.iter().map(|(ns, at)| (ns, *at)))
            .collect();
        let services = [db_to, archive_to].into_iter();
        let mut users: Vec<_> = services
            .flat_map(|to| hosts.iter().map(move |(ns, at)| Client::start(ns, *at, to)))
            .collect();
        users.push(Client::start(&story.app, story.app_at, queue_to));
        Ok(Self {
            users,
            guests: Vec::new(),
            visits: Vec::new(),
            db,
            reads_late_ns,
            unrelated: 0,
            _archive: archive,
            colleagues,
            story,
        })
    }

    /// A route to nowhere near appears: 10.100.0.0/24, 10.101.0.0/24 …
    pub(super) fn unrelated_change(&mut self) -> Result<()> {
        let net = 100 + self.unrelated % 100;
        self.unrelated += 1;
        let via = Address::new(12, 1).v4.into();
        let prefix = format!("10.{net}.0.0/24");
        self.story.app.route(&prefix, via, "a-r2")
    }

    /// More users of the database, from app.
    pub(super) fn more_users(&mut self, users: u32) {
        let from = (&self.story.app, self.story.app_at.v4.into());
        let guests = Users::start(from, self.db.address(), users, BETWEEN_REQUESTS);
        self.guests.push(guests);
    }

    /// A user of the database who wants 30,000 bytes 50 times a second, for so long.
    pub(super) fn large_answers(&mut self, time: Duration) {
        let (ns, at, to) = (self.story.app.clone(), self.story.app_at, self.db.address());
        let visit = std::thread::spawn(move || {
            let per_second = 50.0;
            let requests = TcpPairs {
                count: (time.as_secs_f64() * per_second) as u64,
                pace: Pace::Constant { per_second },
                answer_len: |_| 30_000,
                ..TcpPairs::new((&ns, at.v4.into()), to)
            };
            // One whose connection breaks goes home.
            let _ = requests.run();
        });
        self.visits.push(visit);
    }

    /// Those whose patience ended come back, as applications connect again.
    pub(super) fn replace_users_that_gave_up(&mut self) {
        let before: Vec<_> = self.users.iter().map(|it| it.users.answers()).collect();
        std::thread::sleep(Duration::from_secs(2));
        let expected = 2 * u64::from(EACH) * 20;
        for (client, before) in self.users.iter_mut().zip(before) {
            if client.users.answers() - before < expected / 2 {
                client.users = Users::start(
                    (&client.ns, client.at.v4.into()),
                    client.to,
                    EACH,
                    BETWEEN_REQUESTS,
                );
            }
        }
    }
}

/// Everybody reaches the archive by r1, but app by r2: since before anyone looked.
fn lay_archive_routes(
    story: &Story,
    colleagues: &[(Ns, Address); 2],
    archive_at: Address,
) -> Result<()> {
    let net = format!("10.{ARCHIVE_NET}.0.0/24");
    let via = |net: u8, host: u8| Address::new(net, host).v4.into();
    story.db.address("lo", &format!("{}/32", archive_at.v4))?;
    story.r1.route(&net, via(21, 2), "r1-db")?;
    story.r2.route(&net, via(22, 2), "r2-db")?;
    let source = story.app_at.v4.into();
    story
        .app
        .replace_route_from(&net, via(12, 1), "a-r2", source)?;
    for ((host, _), number) in colleagues.iter().zip(2..) {
        host.route(&net, via(30 + number, 1), &format!("a{number}-r1"))?;
    }
    Ok(())
}

fn serve_queue(ns: &Ns, to: SocketAddr, late_ns: &Arc<AtomicU64>) -> Result<()> {
    let listener = ns
        .run(|| TcpListener::bind(to))
        .with_context(|| format!("listen on {to}"))?;
    let late_ns = Arc::clone(late_ns);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let late_ns = Arc::clone(&late_ns);
            std::thread::spawn(move || read_late(stream, &late_ns));
        }
    });
    Ok(())
}

/// Looks after its connection so late.
fn read_late(mut stream: TcpStream, late_ns: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let mut first = [0; 1];
    let (mut request, answer) = ([0; 99], [0; 1000]);
    // A peek tells that something came, and reads nothing.
    while stream.peek(&mut first).is_ok_and(|len| len > 0) {
        std::thread::sleep(Duration::from_nanos(late_ns.load(Ordering::Relaxed)));
        let read = stream
            .read_exact(&mut first)
            .and_then(|()| stream.read_exact(&mut request));
        if read.is_err() || stream.write_all(&answer).is_err() {
            return;
        }
    }
}
