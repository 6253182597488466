//! The stage: three applications, their database, its archive behind the old road, a pool that app
//! reaches by three legs, two services of which either side can be told to read late, and one whose
//! program can be told to accept nobody.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::topology::{Address, Story};
use lab::{Bulk, Lab, NextHop, Ns, Pace, TcpPairs, TcpServer, Until, Users, Wire};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

const DB_PORT: u16 = 5432;
const ARCHIVE_PORT: u16 = 5433;
const QUEUE_PORT: u16 = 5434;
const POOL_PORT: u16 = 5435;
const DESK_PORT: u16 = 5436;
const DOOR_PORT: u16 = 5437;
const BULK_PORT: u16 = 7000;

/// How many may wait at the door.
const DOOR_QUEUE: i32 = 4;

/// What the old road takes each way, when it is well.
pub(super) const OLD_ROAD: Duration = Duration::from_micros(500);
/// What the database thinks, when it is well.
pub(super) const THINKS: Duration = Duration::from_millis(4);

const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);
const EACH: u32 = 4;
/// So many that none of three legs is without any, but once in a thousand times.
const OF_THE_POOL: u32 = 20;
const BETWEEN_POOL_REQUESTS: Duration = Duration::from_millis(200);

/// The archive's address: on db, and app asks it by the old road.
const ARCHIVE_NET: u8 = 3;
/// The pool's: on db, and app asks it by all three roads.
const POOL_NET: u8 = 4;

/// All that a fault may touch.
pub(super) struct Scene {
    pub(super) users: Vec<Client>,
    /// Traffic of a while.
    pub(super) guests: Vec<Users>,
    pub(super) visits: Vec<JoinHandle<()>>,
    pub(super) db: TcpServer,
    /// How late the third service's program reads, in nanoseconds.
    pub(super) reads_late_ns: Arc<AtomicU64>,
    /// How late those read their answers who ask the fourth.
    pub(super) client_late_ns: Arc<AtomicU64>,
    /// Whether the program behind the fifth service accepts nobody.
    pub(super) is_door_shut: Arc<AtomicBool>,
    unrelated: u8,
    archive: TcpServer,
    _pool: TcpServer,
    /// The wire of the third road.
    pub(super) third: Wire,
    _third_router: Ns,
    pub(super) colleagues: [(Ns, Address); 2],
    pub(super) story: Story,
}

/// A host's connections to a service.
pub(super) struct Client {
    ns: Ns,
    at: Address,
    to: SocketAddr,
    many: u32,
    between: Duration,
    users: Users,
}

impl Client {
    fn start(ns: &Ns, at: Address, to: SocketAddr) -> Self {
        Self::start_with(ns, at, to, (EACH, BETWEEN_REQUESTS))
    }

    fn start_with(ns: &Ns, at: Address, to: SocketAddr, (many, between): (u32, Duration)) -> Self {
        Self {
            users: Users::start((ns, at.v4.into()), to, many, between),
            ns: ns.clone(),
            at,
            to,
            many,
            between,
        }
    }

    /// Whether they get fewer than half of their answers.
    fn is_failing(&self, answers: u64, time: Duration) -> bool {
        let expected = f64::from(self.many) * time.as_secs_f64() / self.between.as_secs_f64();
        (answers as f64) < expected / 2.0
    }
}

impl Scene {
    pub(super) fn new() -> Result<Self> {
        let lab = Lab::fixed("drill").or_else(|_| Lab::new("drill"))?;
        let story = Story::new(lab, OLD_ROAD).context("lay out the network")?;
        let colleagues = [story.colleague(2)?, story.colleague(3)?];
        let archive_at = Address::new(ARCHIVE_NET, 2);
        lay_archive_routes(&story, &colleagues, archive_at)?;
        let pool_at = Address::new(POOL_NET, 2);
        let (third_router, third) = story.third_road()?;
        lay_pool_routes(&story, &third_router, pool_at)?;
        let db_to: SocketAddr = (story.db_at.v4, DB_PORT).into();
        let archive_to: SocketAddr = (archive_at.v4, ARCHIVE_PORT).into();
        let queue_to: SocketAddr = (story.db_at.v4, QUEUE_PORT).into();
        let db = TcpServer::start(&story.db, db_to)?;
        db.set_think(THINKS);
        let archive = TcpServer::start(&story.db, archive_to)?;
        let pool_to: SocketAddr = (pool_at.v4, POOL_PORT).into();
        let pool = TcpServer::start(&story.db, pool_to)?;
        let reads_late_ns = Arc::new(AtomicU64::new(0));
        serve_queue(&story.db, queue_to, &reads_late_ns)?;
        let desk_to: SocketAddr = (story.db_at.v4, DESK_PORT).into();
        serve_queue(&story.db, desk_to, &Arc::default())?;
        let client_late_ns = Arc::new(AtomicU64::new(0));
        ask_desk(&story.app, desk_to, &client_late_ns);
        let door_to: SocketAddr = (story.db_at.v4, DOOR_PORT).into();
        let is_door_shut = Arc::new(AtomicBool::new(false));
        open_door(&story.db, door_to, &is_door_shut)?;
        knock(&story.app, door_to);
        let own = std::iter::once((&story.app, story.app_at));
        let hosts: Vec<_> = own
            .chain(colleagues.iter().map(|(ns, at)| (ns, *at)))
            .collect();
        let services = [db_to, archive_to].into_iter();
        let mut users: Vec<_> = services
            .flat_map(|to| hosts.iter().map(move |(ns, at)| Client::start(ns, *at, to)))
            .collect();
        users.push(Client::start(&story.app, story.app_at, queue_to));
        let of_the_pool = (OF_THE_POOL, BETWEEN_POOL_REQUESTS);
        let (app, at) = (&story.app, story.app_at);
        users.push(Client::start_with(app, at, pool_to, of_the_pool));
        Ok(Self {
            users,
            guests: Vec::new(),
            visits: Vec::new(),
            db,
            reads_late_ns,
            client_late_ns,
            is_door_shut,
            unrelated: 0,
            archive,
            _pool: pool,
            third,
            _third_router: third_router,
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

    /// Users of the archive who want to send it 1,400 bytes, for so long, and begin anew after a second
    /// without an answer.
    pub(super) fn large_requests(&mut self, users: u32, time: Duration) {
        for _ in 0..users {
            let (ns, at) = (self.story.app.clone(), self.story.app_at);
            let to = self.archive.address();
            let visit = std::thread::spawn(move || {
                let start = Instant::now();
                while start.elapsed() < time {
                    let requests = TcpPairs {
                        count: 20,
                        pace: Pace::Constant { per_second: 20.0 },
                        request_len: |_| 1_400,
                        patience: Duration::from_secs(1),
                        ..TcpPairs::new((&ns, at.v4.into()), to)
                    };
                    // One who gets no answer begins anew.
                    let _ = requests.run();
                }
            });
            self.visits.push(visit);
        }
    }

    /// A backup from app to the database's host, as fast as it goes, for so long.
    pub(super) fn backup(&mut self, time: Duration) {
        let (app, db) = (self.story.app.clone(), self.story.db.clone());
        let from = self.story.app_at.v4.into();
        let to = (self.story.db_at.v4, BULK_PORT).into();
        let visit = std::thread::spawn(move || {
            let bulk = Bulk {
                from: (&app, from),
                to: (&db, to),
                streams: 2,
                until: Until::Elapsed(time),
            };
            // One that breaks is over.
            let _ = bulk.run();
        });
        self.visits.push(visit);
    }

    /// Those whose patience ended come back, as applications connect again.
    pub(super) fn replace_users_that_gave_up(&mut self) {
        let time = Duration::from_secs(2);
        let before: Vec<_> = self.users.iter().map(|it| it.users.answers()).collect();
        std::thread::sleep(time);
        for (client, before) in self.users.iter_mut().zip(before) {
            if client.is_failing(client.users.answers() - before, time) {
                let how = (client.many, client.between);
                *client = Client::start_with(&client.ns, client.at, client.to, how);
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

/// App reaches the pool by three legs, chosen by addresses and ports.
fn lay_pool_routes(story: &Story, third_router: &Ns, pool_at: Address) -> Result<()> {
    let net = format!("10.{POOL_NET}.0.0/24");
    story.db.address("lo", &format!("{}/32", pool_at.v4))?;
    let routers = [&story.r1, &story.r2, third_router];
    for (router, number) in routers.into_iter().zip(1..) {
        let via = Address::new(20 + number, 2).v4.into();
        router.route(&net, via, &format!("r{number}-db"))?;
    }
    let leg = |number: u8, dev| NextHop {
        via: Address::new(10 + number, 1).v4.into(),
        dev,
        weight: 1,
    };
    let legs = [leg(1, "a-r1"), leg(2, "a-r2"), leg(3, "a-r3")];
    story.app.sysctl("ipv4/fib_multipath_hash_policy", "1")?;
    story.app.multipath_route(&net, &legs)
}

/// Asks on four connections, and reads each answer so late; for as long as the program runs.
fn ask_desk(ns: &Ns, to: SocketAddr, late_ns: &Arc<AtomicU64>) {
    for _ in 0..EACH {
        let late_ns = Arc::clone(late_ns);
        ns.spawn(move || {
            loop {
                // A connection that breaks is followed by another.
                let _ = TcpStream::connect(to).and_then(|stream| ask_late(stream, &late_ns));
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    }
}

fn ask_late(mut stream: TcpStream, late_ns: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (request, mut answer) = ([0; 100], [0; 1000]);
    loop {
        stream.write_all(&request)?;
        // A peek would be a read already.
        let mut waits = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, PollTimeout::NONE)?;
        std::thread::sleep(Duration::from_nanos(late_ns.load(Ordering::Relaxed)));
        stream.read_exact(&mut answer)?;
        std::thread::sleep(BETWEEN_REQUESTS);
    }
}

/// Accepts connections, unless it is shut, and answers one request on each.
fn open_door(ns: &Ns, to: SocketAddr, is_shut: &Arc<AtomicBool>) -> Result<()> {
    let listener = ns.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&to.into())?;
        socket.listen(DOOR_QUEUE)?;
        Ok::<TcpListener, std::io::Error>(socket.into())
    });
    let listener = listener.with_context(|| format!("listen on {to}"))?;
    let is_shut = Arc::clone(is_shut);
    std::thread::spawn(move || {
        loop {
            while is_shut.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if let Ok((mut stream, _)) = listener.accept() {
                // Who went away while he waited gets no answer.
                let _ = stream
                    .read_exact(&mut [0; 100])
                    .and_then(|()| stream.write_all(&[0; 1000]));
            }
        }
    });
    Ok(())
}

/// Some who come again and again, ask once, and wait for each thing until a SYN was sent again, at most.
fn knock(ns: &Ns, to: SocketAddr) {
    const PATIENCE: Duration = Duration::from_millis(1_500);
    let once = move || {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[0; 100])?;
        stream.read_exact(&mut [0; 1000])
    };
    for _ in 0..6 {
        ns.spawn(move || {
            loop {
                // One whom nobody lets in comes again.
                let _ = once();
                std::thread::sleep(6 * BETWEEN_REQUESTS);
            }
        });
    }
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
