//! The first word, against what the lab really does: nobody tells the tracer, and there is no before.

#[path = "verdict/probe.rs"]
mod probe;
#[path = "verdict/ways.rs"]
mod ways;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ipnet::Ipv4Net;
use lab::programs::{self, Asks};
use lab::topology::{Address, Road, Story};
use lab::{Direction, Insert, Lab, NextHop, Ns, RouteSpec, TcpServer, Users};
use nix::libc;
use tracer::detect::verdict::{self, Past, Window};
use tracer::model::Report;
use tracer::model::answer::{Answer, Case};
use tracer::model::hop::mac_text;
use tracer::model::verdict::{Claim, Unknown, Word};
use tracer::sink::{Look, verdict_text};
use tracer::source::live::Live;
use tracer::source::settings::Component;
use tracer::source::{Settings, Source};

const PORT: u16 = 5432;

/// How long the tracer looks.
const WINDOW: Duration = Duration::from_secs(6);

/// An app, two that do the same work, and their database; nobody has asked anything yet.
struct Fleet {
    story: Story,
    colleagues: [(Ns, Address); 2],
}

impl Fleet {
    fn new() -> Self {
        let lab = Lab::new("verdict").unwrap();
        let story = Story::new(lab, Duration::from_micros(500)).unwrap();
        let colleagues = [2, 3].map(|number| story.colleague(number).unwrap());
        Self { story, colleagues }
    }

    fn database(&self) -> TcpServer {
        TcpServer::start(&self.story.db, (self.story.db_at.v4, PORT).into()).unwrap()
    }

    /// Four connections of each of the three, 20 requests a second on each.
    fn users(&self) -> Vec<Users> {
        let between = Duration::from_millis(50);
        self.hosts()
            .map(|(ns, at)| {
                let to = (self.story.db_at.v4, PORT).into();
                Users::start((ns, at.v4.into()), to, 4, between)
            })
            .collect()
    }

    fn hosts(&self) -> impl Iterator<Item = (&Ns, Address)> {
        let own = std::iter::once((&self.story.app, self.story.app_at));
        own.chain(self.colleagues.iter().map(|(ns, at)| (ns, *at)))
    }

    fn settings(&self) -> Settings {
        let names = ["app", "app2", "app3"].into_iter().zip(self.hosts());
        let apps = names.map(|(name, (_, at))| component(name, at));
        let db = component("db", self.story.db_at);
        let mut settings = Settings {
            components: apps.chain([db]).collect(),
            ..Settings::default()
        };
        settings.filter.port = Some(PORT);
        settings
    }

    /// Looks for a while, as the command does where no agent runs.
    fn look(&self) -> Answer {
        look(&self.settings())
    }
}

fn look(settings: &Settings) -> Answer {
    let mut live = Box::new(Live::open(settings).unwrap());
    std::thread::sleep(WINDOW / 2);
    let middle = Report::from_reading(&live.read().unwrap());
    std::thread::sleep(WINDOW / 2);
    let end = Report::from_reading(&live.finish().unwrap());
    let window = Window::new(&Report::default(), &middle, &end);
    let answer = verdict::answer(&window, &Past::default());
    println!("{}", verdict_text::to_text(&answer, Look::default()));
    println!("{}", verdict_text::to_long_text(&answer, Look::default()));
    answer
}

fn component(name: &str, address: Address) -> Component {
    Component {
        name: name.to_owned(),
        prefixes: address.both().map(Into::into).into(),
        ports: Vec::new(),
        namespace: None,
    }
}

/// The case that the answer is about, with the word that is expected.
#[track_caller]
fn first(answer: &Answer, word: Word) -> &Case {
    assert_eq!(answer.word(), word);
    let case = &answer.cases[0];
    assert!(case.judgement.unknown.contains(&Unknown::Baseline));
    case
}

fn clears(case: &Case, part: Word) -> bool {
    case.judgement.cleared.iter().any(|(it, _)| *it == part)
}

#[test]
fn an_outdated_route_is_told_by_its_siblings() {
    let fleet = Fleet::new();
    // The table is old, the network has moved on: nobody changes anything from here on.
    fleet.story.move_requests(Road::Old).unwrap();
    fleet.story.wire.set_delay(Duration::from_millis(20));
    fleet.story.wire.set_loss(0.03);
    let _db = fleet.database();
    let _users = fleet.users();
    std::thread::sleep(Duration::from_secs(1));

    let answer = fleet.look();
    let case = first(&answer, Word::Path);
    assert_eq!(case.judgement.claim, Claim::BehindNextHop);
    assert_eq!(case.name(), "app → db tcp/5432");
    let router = Address::new(12, 1);
    assert_eq!(case.next_hop, Some(router.v4.into()));
    let mac = fleet.story.r2.mac("r2-app").unwrap();
    assert_eq!(case.mac.map(mac_text), Some(mac.to_string()));
    assert!(clears(case, Word::Peer), "{case:#?}");
    let text = verdict_text::to_text(&answer, Look::default());
    assert!(text.contains("no baseline"), "{text}");
    let words: Vec<&str> = text.split_whitespace().collect();
    let said = "loses packets and is slow behind next hop 10.12.0.1, its siblings are fine";
    assert!(words.join(" ").contains(said), "{text}");
    // Those that go by the other router are fine, and so is the path of the answers.
    let accused = answer.cases.iter().filter(|it| it.judgement.word.accuses());
    assert_eq!(accused.count(), 1);
}

#[test]
fn legs_to_one_service_are_compared_by_who_sees_neither_the_routers_nor_the_service() {
    let fleet = Fleet::new();
    let story = &fleet.story;
    let (router, _wire) = story.third_road().unwrap();
    let legs = [(11, "a-r1"), (12, "a-r2"), (13, "a-r3")].map(|(net, dev)| NextHop {
        via: Address::new(net, 1).v4.into(),
        dev,
        weight: 1,
    });
    story
        .app
        .sysctl("ipv4/fib_multipath_hash_policy", "1")
        .unwrap();
    // Another prefix than that of the route which the network was built with.
    let only = format!("{}/32", story.db_at.v4);
    story.app.multipath_route(&only, &legs).unwrap();
    let r3 = Address::new(23, 2).v4.into();
    router.route(&only, r3, "r3-db").unwrap();
    story
        .wire
        .set_delay_of(Direction::Forth, Duration::from_millis(8));
    let db = fleet.database();
    // Answers at once: no acknowledgement comes alone that would tell the path from the peer.
    let from = (&story.app, story.app_at.v4.into());
    let _users = Users::start(from, db.address(), 24, Duration::from_millis(50));
    std::thread::sleep(Duration::from_secs(1));

    let mut settings = fleet.settings();
    settings.filter.namespace = Some(story.app.name().to_owned());
    let answer = look(&settings);
    let case = first(&answer, Word::Path);
    assert_eq!(case.judgement.claim, Claim::BehindNextHop, "{case:#?}");
    assert_eq!(case.next_hop, Some(Address::new(12, 1).v4.into()));
    let accused = answer.cases.iter().filter(|it| it.judgement.word.accuses());
    assert_eq!(accused.count(), 1);
}

#[test]
fn a_database_that_waits_for_the_lock_of_a_client_on_a_slow_path_is_not_blamed() {
    let fleet = Fleet::new();
    fleet.story.move_requests(Road::Old).unwrap();
    fleet.story.wire.set_delay(Duration::from_millis(30));
    let to = (fleet.story.db_at.v4, PORT).into();
    programs::keep_ledger(&fleet.story.db, to).unwrap();
    for (number, (ns, at)) in fleet.hosts().enumerate() {
        // App's transactions take several round trips each, those of the others one.
        let (connections, is_long, pause_ms) = match number {
            0 => (1, true, 20),
            _ => (10, false, 200),
        };
        let asks = Asks {
            ns: ns.clone(),
            from: at.v4.into(),
            to,
            between: Duration::from_millis(pause_ms),
        };
        programs::write_ledger(&asks, connections, is_long);
    }
    std::thread::sleep(Duration::from_secs(1));

    let answer = fleet.look();
    let case = first(&answer, Word::Path);
    assert_eq!(case.name(), "app → db tcp/5432");
    assert!(clears(case, Word::Peer), "{case:#?}");
    let others = answer
        .cases
        .iter()
        .filter(|it| it.judgement.word == Word::Peer);
    let waits: Vec<_> = others.map(|it| it.waits_for.as_deref()).collect();
    assert_eq!(waits, [Some("app → db tcp/5432"); 2]);
}

#[test]
fn a_database_that_is_slow_to_everybody_is_blamed_beside_a_slow_path() {
    let fleet = Fleet::new();
    fleet.story.move_requests(Road::Old).unwrap();
    fleet.story.wire.set_delay(Duration::from_millis(30));
    let db = fleet.database();
    db.set_think(Duration::from_millis(40));
    let _users = fleet.users();
    std::thread::sleep(Duration::from_secs(1));

    let answer = fleet.look();
    let accused = answer
        .cases
        .iter()
        .filter(|it| it.judgement.word == Word::Peer);
    let waits: Vec<_> = accused.map(|it| it.waits_for.as_deref()).collect();
    assert!(
        waits.len() >= 2 && waits.iter().all(Option::is_none),
        "{waits:?}"
    );
}

#[test]
fn a_router_that_says_that_it_has_no_way_is_the_path() {
    let fleet = Fleet::new();
    let _db = fleet.database();
    let _users = fleet.users();
    std::thread::sleep(Duration::from_secs(1));
    let no_way = RouteSpec {
        kind: libc::RTN_UNREACHABLE,
        ..RouteSpec::to(Ipv4Net::from(fleet.story.db_at.v4).into())
    };
    let r1 = &fleet.story.r1;
    // Else it says so once a second.
    r1.sysctl("ipv4/icmp_ratelimit", "0").unwrap();
    r1.add_route(Insert::Add, &no_way).unwrap();

    // Nothing came on any connection since anyone looked. An error has no port, and only what app's host
    // sees is looked at.
    let mut settings = fleet.settings();
    settings.filter.port = None;
    settings.filter.namespace = Some(fleet.story.app.name().to_owned());
    let answer = look(&settings);
    let case = first(&answer, Word::Path);
    assert_eq!(case.judgement.claim, Claim::RouterRefuses);
    let text = verdict_text::to_text(&answer, Look::default());
    let words: Vec<&str> = text.split_whitespace().collect();
    let said = "10.11.0.1 knows no way for packets of app → db tcp/5432";
    assert!(words.join(" ").contains(said), "{text}");
}

#[test]
fn a_database_that_thinks_is_the_peer_and_its_path_is_cleared() {
    let fleet = Fleet::new();
    let db = fleet.database();
    db.set_think(Duration::from_millis(60));
    let _users = fleet.users();

    let answer = fleet.look();
    let case = first(&answer, Word::Peer);
    assert_eq!(case.judgement.claim, Claim::PeerThinks);
    assert_eq!(case.class.destination.to_string(), "db");
    for part in [Word::Path, Word::ThisHost, Word::App] {
        assert!(clears(case, part), "{part:?}: {case:#?}");
    }
}

#[test]
fn an_application_that_reads_late_is_named() {
    let fleet = Fleet::new();
    let to = SocketAddr::from((fleet.story.db_at.v4, PORT));
    let listener = fleet.story.db.run(|| TcpListener::bind(to)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || read_late(stream));
        }
    });
    let _users = fleet.users();

    let answer = fleet.look();
    let case = first(&answer, Word::App);
    assert_eq!(case.judgement.claim, Claim::ReadsLate);
    for part in [Word::Path, Word::ThisHost] {
        assert!(clears(case, part), "{part:?}: {case:#?}");
    }
    let text = verdict_text::to_text(&answer, Look::default());
    assert!(text.contains("db of app"), "{text}");
}

/// Looks after its connection 40 ms late.
fn read_late(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut first = [0; 1];
    let (mut request, answer) = ([0; 99], [0; 1000]);
    // A peek tells that something came, and reads nothing.
    while stream.peek(&mut first).is_ok_and(|len| len > 0) {
        std::thread::sleep(Duration::from_millis(40));
        let read = stream
            .read_exact(&mut first)
            .and_then(|()| stream.read_exact(&mut request));
        if read.is_err() || stream.write_all(&answer).is_err() {
            return;
        }
    }
}

#[test]
fn a_healthy_fleet_is_healthy() {
    let fleet = Fleet::new();
    let _db = fleet.database();
    let _users = fleet.users();

    let answer = fleet.look();
    first(&answer, Word::Healthy);
    assert_eq!(answer.count(Word::Healthy), 3, "{answer:#?}");
}

#[test]
fn a_trickle_allows_no_word() {
    let fleet = Fleet::new();
    let db = fleet.database();
    let from = (&fleet.story.app, fleet.story.app_at.v4.into());
    let _users = Users::start(from, db.address(), 1, Duration::from_secs(2));

    let answer = fleet.look();
    let case = first(&answer, Word::CantTell);
    assert_eq!(case.judgement.claim, Claim::TooFew);
}
