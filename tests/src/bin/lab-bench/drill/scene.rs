//! The stage: three applications, their database, its archive behind the old road, a pool that app
//! reaches by three legs, a vault that lies beyond three ways of one router, and services whose programs
//! can be told to do their work badly ([`lab::programs`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use lab::programs::{self, Asks};
use lab::topology::{Address, Story};
use lab::{
    Bulk, Insert, Lab, NextHop, Ns, Pace, RouteSpec, RuleSpec, TcpPairs, TcpServer, Until, Users,
    Wire,
};

const DB_PORT: u16 = 5432;
const ARCHIVE_PORT: u16 = 5433;
const QUEUE_PORT: u16 = 5434;
const POOL_PORT: u16 = 5435;
const DESK_PORT: u16 = 5436;
const DOOR_PORT: u16 = 5437;
const VAULT_PORT: u16 = 5438;
const KIOSK_PORT: u16 = 5439;
const LEDGER_PORT: u16 = 5440;
const BULK_PORT: u16 = 7000;

/// What the old road takes each way, when it is well.
pub(super) const OLD_ROAD: Duration = Duration::from_micros(500);
/// What the database thinks, when it is well.
pub(super) const THINKS: Duration = Duration::from_millis(4);

const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);
const EACH: u32 = 4;
/// So many that none of three legs is without any, but once in a thousand times.
const MANY: u32 = 20;
const BETWEEN_THEIR_REQUESTS: Duration = Duration::from_millis(200);
const VISITORS: u32 = 6;
const BETWEEN_VISITS: Duration = Duration::from_millis(300);

/// The archive's address: on db, and app asks it by the old road.
const ARCHIVE_NET: u8 = 3;
/// The pool's: on db, and app asks it by all three roads.
const POOL_NET: u8 = 4;
/// The vault's: on db, and r1 knows three ways to it.
const VAULT_NET: u8 = 5;
/// The ledger's: on db, and r1 sends what comes from app by a wire of its own.
const LEDGER_NET: u8 = 6;
/// The table in which r1 does so.
const LEDGER_TABLE: u32 = 106;

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
    /// Whether those have no processor who ask the seventh.
    pub(super) is_kiosk_starved: Arc<AtomicBool>,
    /// Whether a job keeps a processor busy.
    pub(super) is_busy: Arc<AtomicBool>,
    unrelated: u8,
    archive: TcpServer,
    _others: [TcpServer; 2],
    /// The wire of the third road.
    pub(super) third: Wire,
    /// One of r1's three ways to the vault.
    pub(super) beyond: Wire,
    /// The way of app's requests to the ledger, beyond r1.
    pub(super) to_ledger: Wire,
    /// A way from r1 to the database that nobody takes, and that is long.
    pub(super) _far: Wire,
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
    fn start(ns: &Ns, at: Address, to: SocketAddr, (many, between): (u32, Duration)) -> Self {
        Self {
            users: Users::start((ns, at.v4.into()), to, many, between),
            ns: ns.clone(),
            at,
            to,
            many,
            between,
        }
    }

    fn start_again(&mut self) {
        *self = Self::start(&self.ns, self.at, self.to, (self.many, self.between));
    }

    /// Whether they get fewer than half of their answers.
    fn is_failing(&self, answers: u64, time: Duration) -> bool {
        let expected = f64::from(self.many) * time.as_secs_f64() / self.between.as_secs_f64();
        (answers as f64) < expected / 2.0
    }
}

impl Scene {
    /// All of it, with so many times fewer requests than 80 a second of each client of each service.
    pub(super) fn new(slowdown: u32) -> Result<Self> {
        let lab = Lab::fixed("drill").or_else(|_| Lab::new("drill"))?;
        let story = Story::new(lab, OLD_ROAD).context("lay out the network")?;
        let colleagues = [story.colleague(2)?, story.colleague(3)?];
        let [archive_at, pool_at, vault_at, ledger_at] =
            [ARCHIVE_NET, POOL_NET, VAULT_NET, LEDGER_NET].map(|net| Address::new(net, 2));
        lay_archive_routes(&story, &colleagues, archive_at)?;
        let (third_router, third) = story.third_road()?;
        lay_pool_routes(&story, &third_router, pool_at)?;
        let beyond = lay_vault_routes(&story, vault_at)?;
        let to_ledger = lay_ledger_routes(&story, &colleagues, ledger_at)?;
        let far = story.r1_wire(FAR_LINK, FAR)?;
        let service = |at: Address, port| SocketAddr::from((at.v4, port));
        let on_db = |port| service(story.db_at, port);
        let db = TcpServer::start(&story.db, on_db(DB_PORT))?;
        db.set_think(THINKS);
        let archive = TcpServer::start(&story.db, service(archive_at, ARCHIVE_PORT))?;
        let pool = TcpServer::start(&story.db, service(pool_at, POOL_PORT))?;
        let vault = TcpServer::start(&story.db, service(vault_at, VAULT_PORT))?;
        programs::keep_kiosk(&story.db, on_db(KIOSK_PORT), THINKS)?;
        let reads_late_ns = Arc::new(AtomicU64::new(0));
        programs::serve_queue(&story.db, on_db(QUEUE_PORT), &reads_late_ns)?;
        programs::serve_queue(&story.db, on_db(DESK_PORT), &Arc::default())?;
        let is_door_shut = Arc::new(AtomicBool::new(false));
        programs::open_door(&story.db, on_db(DOOR_PORT), &is_door_shut)?;
        let ledger_to = service(ledger_at, LEDGER_PORT);
        programs::keep_ledger(&story.db, ledger_to)?;

        let own = std::iter::once((&story.app, story.app_at));
        let theirs = colleagues.iter().map(|(ns, at)| (ns, *at));
        let hosts: Vec<_> = own.chain(theirs).collect();
        let asks = |(ns, at): (&Ns, Address), to| Asks {
            ns: ns.clone(),
            from: at.v4.into(),
            to,
            between: BETWEEN_REQUESTS * slowdown,
        };
        let client_late_ns = Arc::new(AtomicU64::new(0));
        programs::ask_desk(&asks(hosts[0], on_db(DESK_PORT)), EACH, &client_late_ns);
        programs::knock(
            &story.app,
            on_db(DOOR_PORT),
            VISITORS,
            BETWEEN_VISITS * slowdown,
        );
        let is_kiosk_starved = Arc::new(AtomicBool::new(false));
        programs::ask_kiosk(&asks(hosts[0], on_db(KIOSK_PORT)), EACH, &is_kiosk_starved)?;
        programs::write_ledger(&asks(hosts[0], ledger_to), 1, true);
        for host in &hosts[1..] {
            // Whoever waits for a lock asks no more meanwhile: so many that most wait where it is held.
            let seldom = Asks {
                between: BETWEEN_THEIR_REQUESTS * slowdown,
                ..asks(*host, ledger_to)
            };
            programs::write_ledger(&seldom, MANY, false);
        }
        let mut users = Vec::new();
        let few = (EACH, BETWEEN_REQUESTS * slowdown);
        for to in [db.address(), archive.address()] {
            users.extend(hosts.iter().map(|(ns, at)| Client::start(ns, *at, to, few)));
        }
        let (app, at) = hosts[0];
        users.push(Client::start(app, at, on_db(QUEUE_PORT), few));
        let many = (MANY, BETWEEN_THEIR_REQUESTS * slowdown);
        users.push(Client::start(app, at, pool.address(), many));
        // Each of them by itself has to have enough to be compared.
        let busy = (MANY, BETWEEN_THEIR_REQUESTS / 2 * slowdown);
        users.push(Client::start(app, at, vault.address(), busy));
        Ok(Self {
            users,
            guests: Vec::new(),
            visits: Vec::new(),
            db,
            reads_late_ns,
            client_late_ns,
            is_door_shut,
            is_kiosk_starved,
            is_busy: Arc::default(),
            unrelated: 0,
            archive,
            _others: [pool, vault],
            third,
            beyond,
            to_ledger,
            _far: far,
            _third_router: third_router,
            colleagues,
            story,
        })
    }

    /// Spreads the users of the pool over its legs again: on one that loses TCP picks another leg (it hashes
    /// anew), and stays there.
    pub(super) fn spread_again(&mut self) {
        let of_pool = |it: &&mut Client| it.to.port() == POOL_PORT;
        self.users
            .iter_mut()
            .filter(of_pool)
            .for_each(Client::start_again);
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

    /// The database's program is ended, and started anew.
    pub(super) fn deploy(&mut self) -> Result<()> {
        let to = self.db.address();
        self.db.stop();
        std::thread::sleep(Duration::from_millis(500));
        self.db = TcpServer::start(&self.story.db, to)?;
        self.db.set_think(THINKS);
        std::thread::sleep(Duration::from_millis(500));
        self.replace_users_that_gave_up();
        Ok(())
    }

    /// Those who came for a while go.
    pub(super) fn everybody_leaves(&mut self) {
        self.is_busy.store(false, Ordering::Relaxed);
        self.guests.clear();
        for visit in self.visits.drain(..) {
            let _ = visit.join();
        }
    }

    /// Those whose patience ended come back, as applications connect again.
    pub(super) fn replace_users_that_gave_up(&mut self) {
        let time = Duration::from_secs(2);
        let before: Vec<_> = self.users.iter().map(|it| it.users.answers()).collect();
        std::thread::sleep(time);
        for (client, before) in self.users.iter_mut().zip(before) {
            if client.users.has_any_gone()
                || client.is_failing(client.users.answers() - before, time)
            {
                client.start_again();
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
    lay_routes_by_r1(story, colleagues, (&net, archive_at))?;
    let via = |net: u8, host: u8| Address::new(net, host).v4.into();
    story.r2.route(&net, via(22, 2), "r2-db")?;
    let source = story.app_at.v4.into();
    story
        .app
        .replace_route_from(&net, via(12, 1), "a-r2", source)
}

/// A network with an address on db, which the colleagues reach by r1.
fn lay_routes_by_r1(
    story: &Story,
    colleagues: &[(Ns, Address); 2],
    (net, at): (&str, Address),
) -> Result<()> {
    let via = |net: u8, host: u8| Address::new(net, host).v4.into();
    story.db.address("lo", &format!("{}/32", at.v4))?;
    story.r1.route(net, via(21, 2), "r1-db")?;
    for ((host, _), number) in colleagues.iter().zip(2..) {
        host.route(net, via(30 + number, 1), &format!("a{number}-r1"))?;
    }
    Ok(())
}

/// Who was far from the database before it moved, and is now: what the way takes.
const FAR: Duration = Duration::from_millis(10);

/// The numbers of r1's links to the database's host by wires.
const FAR_LINK: u8 = 27;
const LEDGER_LINK: u8 = 26;
const VAULT_LINKS: [u8; 2] = [24, 25];

/// By which next hop r1 reaches the database where that has moved far away.
pub(super) fn far_leg() -> (Option<IpAddr>, String, u8) {
    (
        Some(Address::new(FAR_LINK, 2).v4.into()),
        format!("r1-w{FAR_LINK}"),
        1,
    )
}

/// App reaches the vault by r1, which spreads flows over three ways.
fn lay_vault_routes(story: &Story, vault_at: Address) -> Result<Wire> {
    let net = format!("10.{VAULT_NET}.0.0/24");
    story.db.address("lo", &format!("{}/32", vault_at.v4))?;
    let (via, source) = (Address::new(11, 1).v4.into(), story.app_at.v4.into());
    story.app.replace_route_from(&net, via, "a-r1", source)?;
    let [beside, beyond] = VAULT_LINKS;
    story.r1_link(beside)?;
    let wire = story.r1_wire(beyond, Duration::ZERO)?;
    let devices = VAULT_LINKS.map(|number| format!("r1-w{number}"));
    let leg = |net: u8, dev| NextHop {
        via: Address::new(net, 2).v4.into(),
        dev,
        weight: 1,
    };
    let legs = [
        leg(21, "r1-db"),
        leg(beside, &devices[0]),
        leg(beyond, &devices[1]),
    ];
    story.r1.sysctl("ipv4/fib_multipath_hash_policy", "1")?;
    story.r1.multipath_route(&net, &legs)?;
    Ok(wire)
}

/// Everybody reaches the ledger by r1, which sends what comes from app another way.
fn lay_ledger_routes(
    story: &Story,
    colleagues: &[(Ns, Address); 2],
    ledger_at: Address,
) -> Result<Wire> {
    let net = format!("10.{LEDGER_NET}.0.0/24");
    lay_routes_by_r1(story, colleagues, (&net, ledger_at))?;
    let via = |net: u8, host: u8| Address::new(net, host).v4.into();
    let source = story.app_at.v4.into();
    story
        .app
        .replace_route_from(&net, via(11, 1), "a-r1", source)?;
    let wire = story.r1_wire(LEDGER_LINK, Duration::ZERO)?;
    let leg = (Some(via(LEDGER_LINK, 2)), format!("r1-w{LEDGER_LINK}"), 1);
    let route = RouteSpec {
        table: LEDGER_TABLE,
        legs: vec![leg],
        ..RouteSpec::to(net.parse()?)
    };
    story.r1.add_route(Insert::Add, &route)?;
    story.r1.add_rule(&RuleSpec {
        v6: false,
        priority: LEDGER_TABLE,
        table: LEDGER_TABLE,
        from: Some(Ipv4Net::from(story.app_at.v4).into()),
        to: Some(net.parse()?),
        mark: None,
        input: None,
    })?;
    Ok(wire)
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
