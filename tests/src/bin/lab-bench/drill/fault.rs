//! The faults and the innocents, as data: how each is set and cleared, and the table of truth.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use lab::topology::{Address, Road};
use lab::{Direction, Hook, Insert, Protocol, RouteSpec, programs};
use nix::libc;

use super::scene::{OLD_ROAD, Scene, THINKS, far_leg};
use super::view::View;

/// Something that happens.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// Whether setting it is itself a change that the agent sees.
    pub(super) is_change: bool,
    pub(super) truth: Truths,
    pub(super) set: fn(&mut Scene) -> Result<()>,
    pub(super) clear: fn(&mut Scene) -> Result<()>,
}

/// The strongest that can be known in a view.
#[derive(Clone, Copy)]
pub(super) enum Truth {
    /// Nothing is wrong.
    Innocent,
    /// The first word, and what its place has to name: any of these.
    Guilty {
        word: &'static str,
        place: &'static [&'static str],
    },
    /// Little of it can be seen: this word is no false claim, and neither is none.
    AtMost(&'static str),
}

/// What can be known by each view.
pub(super) struct Truths {
    all: Truth,
    app: Truth,
    db: Truth,
}

impl Truths {
    pub(super) fn of(&self, view: View) -> Truth {
        match view {
            View::All => self.all,
            View::App => self.app,
            View::Db => self.db,
        }
    }
}

const fn truths(all: Truth, app: Truth, db: Truth) -> Truths {
    Truths { all, app, db }
}

const fn guilty(word: &'static str, place: &'static [&'static str]) -> Truth {
    Truth::Guilty { word, place }
}

/// Nothing comes back, or late, and nobody who sees only that can say whether it is the path or the peer.
const fn silent(place: &'static [&'static str]) -> Truth {
    guilty("CAN'T TELL", place)
}

const INNOCENT: Truths = truths(Truth::Innocent, Truth::Innocent, Truth::Innocent);

/// It does not reach this view.
const UNSEEN: Truth = Truth::AtMost("HEALTHY");

/// What both roads' routers are called wherever a place is named.
const OLD: &[&str] = &["10.12.0.1", "drill-r2", "a-r2", "db-r2"];

/// What the third road's router is called wherever a place is named.
const THIRD: &[&str] = &["10.13.0.1", "drill-r3", "a-r3", "db-r3"];

/// How long those stay who come with a fault.
const VISIT: Duration = Duration::from_secs(45);

/// What the fast road's router is called at app.
const FAST: &[&str] = &["10.11.0.1", "a-r1"];

/// Whose way it is, for the database's host, which only knows that it is a way to app.
const TO_APP: &[&str] = &["app →", "→ app "];

/// The table of truth. The network: see `Scene`.
pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "route-moved",
        is_change: true,
        truth: truths(
            guilty("PATH", OLD),
            guilty("PATH", OLD),
            guilty("PATH", TO_APP),
        ),
        set: |scene| {
            scene.story.wire.set_delay(Duration::from_millis(5));
            scene.story.move_requests(Road::Old)
        },
        clear: |scene| {
            scene.story.move_requests(Road::Fast)?;
            old_road_is_well(scene)
        },
    },
    Fault {
        name: "route-outdated",
        is_change: false,
        truth: truths(
            guilty("PATH", OLD),
            guilty("PATH", OLD),
            guilty("PATH", TO_APP),
        ),
        set: |scene| {
            scene.story.wire.set_delay(OLD_ROAD * 40);
            scene.story.wire.set_loss(0.03);
            Ok(())
        },
        clear: old_road_is_well,
    },
    Fault {
        name: "old-road-slow",
        is_change: false,
        truth: truths(
            guilty("PATH", OLD),
            guilty("PATH", OLD),
            guilty("PATH", TO_APP),
        ),
        set: |scene| {
            scene.story.wire.set_delay(Duration::from_millis(30));
            Ok(())
        },
        clear: old_road_is_well,
    },
    Fault {
        name: "old-road-dead",
        is_change: false,
        // The other legs to the pool are fine, which app's host sees too.
        truth: truths(guilty("PATH", OLD), guilty("PATH", OLD), UNSEEN),
        set: |scene| {
            scene.story.wire.set_loss(1.0);
            Ok(())
        },
        clear: old_road_is_well,
    },
    Fault {
        name: "old-road-loses",
        is_change: false,
        truth: truths(
            guilty("PATH", OLD),
            guilty("PATH", OLD),
            Truth::AtMost("PATH"),
        ),
        set: |scene| {
            scene.story.wire.set_loss(0.05);
            Ok(())
        },
        clear: old_road_is_well,
    },
    Fault {
        name: "blackhole",
        is_change: true,
        truth: truths(guilty("THIS HOST", &["-r1 r1-"]), silent(&["db"]), UNSEEN),
        set: |scene| dead_end(scene, libc::RTN_BLACKHOLE),
        clear: |scene| no_dead_end(scene, libc::RTN_BLACKHOLE),
    },
    Fault {
        name: "no-way",
        is_change: true,
        // The router says so, which app's host hears.
        truth: truths(
            guilty("THIS HOST", &["-r1 r1-"]),
            guilty("PATH", &["10.11.0.1"]),
            UNSEEN,
        ),
        set: |scene| dead_end(scene, libc::RTN_UNREACHABLE),
        clear: |scene| no_dead_end(scene, libc::RTN_UNREACHABLE),
    },
    Fault {
        name: "answers-slow",
        is_change: true,
        truth: truths(
            guilty("PATH", OLD),
            guilty("PATH", FAST),
            guilty("PATH", &["10.22.0.1", "db-r2"]),
        ),
        set: |scene| {
            let wire = &scene.story.wire;
            wire.set_delay_of(Direction::Back, Duration::from_millis(30));
            scene.story.move_answers(Road::Old)
        },
        clear: |scene| {
            scene.story.move_answers(Road::Fast)?;
            old_road_is_well(scene)
        },
    },
    Fault {
        name: "firewall-drops",
        is_change: false,
        truth: truths(guilty("THIS HOST", &["-r1 r1-"]), silent(&["db"]), UNSEEN),
        set: |scene| {
            let r1 = &scene.story.r1;
            r1.drop_port(Hook::Forward, Protocol::Tcp, scene.db.address().port())
        },
        clear: |scene| scene.story.r1.clear_firewall(),
    },
    Fault {
        name: "wrong-neighbour",
        is_change: true,
        // The frame leaves, and the router's device takes it for another host's.
        truth: truths(
            guilty("PATH", &["10.32.0.1", "a2-r1", "r1-a2"]),
            UNSEEN,
            UNSEEN,
        ),
        set: |scene| {
            let wrong = scene.story.db.mac("db-r1")?;
            let at = Address::new(32, 1).v4.into();
            scene.colleagues[0].0.neighbour("a2-r1", at, wrong)
        },
        clear: |scene| {
            let right = scene.story.r1.mac("r1-a2")?;
            let at = Address::new(32, 1).v4.into();
            scene.colleagues[0].0.neighbour("a2-r1", at, right)
        },
    },
    Fault {
        name: "queue",
        is_change: true,
        truth: truths(
            guilty("THIS HOST", &["a-r1"]),
            guilty("THIS HOST", &["a-r1"]),
            guilty("PATH", TO_APP),
        ),
        set: |scene| scene.story.app.token_bucket("a-r1", 7_000, 1_600, 20_000),
        clear: |scene| scene.story.app.remove_qdisc("a-r1"),
    },
    Fault {
        name: "database-10x",
        is_change: false,
        truth: truths(
            guilty("PEER", &["db"]),
            guilty("PEER", &["db"]),
            guilty("APP", &["5432"]),
        ),
        set: |scene| {
            scene.db.set_think(THINKS * 10);
            Ok(())
        },
        clear: |scene| {
            scene.db.set_think(THINKS);
            Ok(())
        },
    },
    Fault {
        name: "reads-late",
        is_change: false,
        truth: truths(
            guilty("APP", &["5434"]),
            guilty("PEER", &["5434"]),
            guilty("APP", &["5434"]),
        ),
        set: |scene| reads_late(scene, 40_000_000),
        clear: |scene| reads_late(scene, 0),
    },
    Fault {
        name: "leg-dead",
        is_change: false,
        truth: truths(guilty("PATH", THIRD), guilty("PATH", THIRD), UNSEEN),
        set: |scene| {
            scene.third.set_loss(1.0);
            Ok(())
        },
        clear: third_road_is_well,
    },
    Fault {
        name: "leg-slow",
        is_change: false,
        truth: truths(
            guilty("PATH", THIRD),
            guilty("PATH", THIRD),
            Truth::AtMost("PATH"),
        ),
        set: |scene| {
            scene.third.set_delay(Duration::from_millis(30));
            Ok(())
        },
        clear: third_road_is_well,
    },
    Fault {
        name: "link-full",
        is_change: true,
        truth: truths(
            guilty("THIS HOST", &["-r1 r1-db"]),
            guilty("PATH", FAST),
            guilty("PATH", &["db-r1", "→ db "]),
        ),
        set: |scene| scene.story.r1.token_bucket("r1-db", 40_000, 1_600, 20_000),
        clear: |scene| scene.story.r1.remove_qdisc("r1-db"),
    },
    Fault {
        name: "backup-fills-queue",
        is_change: false,
        truth: truths(
            guilty("THIS HOST", &["a-r1"]),
            guilty("THIS HOST", &["a-r1"]),
            guilty("PATH", TO_APP),
        ),
        set: |scene| {
            let (rate, burst, limit) = (1_000_000, 3_200, 200_000);
            scene.story.app.token_bucket("a-r1", rate, burst, limit)?;
            scene.backup(VISIT);
            Ok(())
        },
        clear: |scene| {
            scene.story.app.remove_qdisc("a-r1")?;
            everybody_leaves(scene)
        },
    },
    Fault {
        name: "mtu-filtered",
        is_change: true,
        truth: truths(
            guilty("THIS HOST", &["-r2 r2-"]),
            Truth::AtMost("PATH"),
            Truth::AtMost("PATH"),
        ),
        set: |scene| {
            scene.story.app.drop_icmp()?;
            scene.story.r2.mtu("r2-db", 600)?;
            scene.large_requests(4, VISIT);
            Ok(())
        },
        clear: |scene| {
            scene.story.r2.mtu("r2-db", 1_500)?;
            scene.story.app.clear_firewall()?;
            everybody_leaves(scene)
        },
    },
    Fault {
        name: "client-reads-late",
        is_change: false,
        truth: truths(guilty("APP", &["5436"]), guilty("APP", &["5436"]), UNSEEN),
        set: |scene| {
            scene.client_late_ns.store(40_000_000, Ordering::Relaxed);
            Ok(())
        },
        clear: |scene| {
            scene.client_late_ns.store(0, Ordering::Relaxed);
            Ok(())
        },
    },
    Fault {
        name: "nobody-accepts",
        is_change: false,
        truth: truths(
            guilty("APP", &["5437"]),
            silent(&["5437"]),
            Truth::AtMost("APP"),
        ),
        set: |scene| {
            scene.is_door_shut.store(true, Ordering::Relaxed);
            Ok(())
        },
        clear: |scene| {
            scene.is_door_shut.store(false, Ordering::Relaxed);
            Ok(())
        },
    },
    Fault {
        name: "beyond-slow",
        is_change: false,
        // One of three ways behind app's next hop: only who sees the router can name it. Of some
        // connections that are slow the hosts know which, and not whether the service is behind it.
        truth: truths(
            guilty("PATH", &["r1-w25", "db-w25"]),
            silent(&["5438"]),
            silent(&["5438"]),
        ),
        set: |scene| {
            scene.beyond.set_delay(Duration::from_millis(30));
            Ok(())
        },
        clear: |scene| {
            scene.beyond.set_delay(Duration::ZERO);
            Ok(())
        },
    },
    Fault {
        name: "client-starved",
        is_change: false,
        truth: truths(guilty("APP", &["5439"]), guilty("APP", &["5439"]), UNSEEN),
        set: |scene| {
            scene.is_kiosk_starved.store(true, Ordering::Relaxed);
            programs::starve(&scene.is_kiosk_starved)
        },
        clear: |scene| {
            scene.is_kiosk_starved.store(false, Ordering::Relaxed);
            Ok(())
        },
    },
    Fault {
        name: "locks-held",
        is_change: false,
        // Everybody waits for the database, which waits for what app holds while its requests are on
        // a slow way: the database is not to blame.
        truth: truths(
            guilty("PATH", &["r1-w26", "db-w26"]),
            // The ledger answers at once: whether its answer or its path takes long nobody sees there.
            silent(&["5440"]),
            guilty("PATH", TO_APP),
        ),
        set: |scene| {
            scene.to_ledger.set_delay(Duration::from_millis(30));
            Ok(())
        },
        clear: |scene| {
            scene.to_ledger.set_delay(Duration::ZERO);
            Ok(())
        },
    },
    Fault {
        name: "database-far",
        is_change: true,
        // That it was meant nobody can see; who knows it accepts the incident.
        truth: truths(
            guilty("PATH", &["r1-w27", "db-w27"]),
            guilty("PATH", FAST),
            guilty("PATH", TO_APP),
        ),
        set: |scene| scene.story.r1.add_route(Insert::Add, &far_away(scene)),
        clear: |scene| scene.story.r1.delete_route(&far_away(scene)),
    },
    Fault {
        name: "innocent-nothing",
        is_change: false,
        truth: INNOCENT,
        set: |_| Ok(()),
        clear: |_| Ok(()),
    },
    Fault {
        name: "innocent-route",
        is_change: true,
        truth: INNOCENT,
        set: Scene::unrelated_change,
        clear: |_| Ok(()),
    },
    Fault {
        name: "innocent-traffic-10x",
        is_change: false,
        truth: INNOCENT,
        set: |scene| {
            scene.more_users(36);
            Ok(())
        },
        clear: everybody_leaves,
    },
    Fault {
        name: "innocent-mix",
        is_change: false,
        truth: INNOCENT,
        set: |scene| {
            scene.large_answers(VISIT);
            Ok(())
        },
        clear: everybody_leaves,
    },
];

/// A route of r1's to the database's address alone, which its network's does not win against.
fn to_nowhere(scene: &Scene, kind: u8) -> RouteSpec {
    let IpAddr::V4(db) = scene.db.address().ip() else {
        unreachable!("the database listens at an IPv4 address");
    };
    RouteSpec {
        kind,
        ..RouteSpec::to(ipnet::Ipv4Net::from(db).into())
    }
}

/// The same by the way that is long.
fn far_away(scene: &Scene) -> RouteSpec {
    RouteSpec {
        legs: vec![far_leg()],
        ..to_nowhere(scene, libc::RTN_UNICAST)
    }
}

fn dead_end(scene: &mut Scene, kind: u8) -> Result<()> {
    let route = to_nowhere(scene, kind);
    scene.story.r1.add_route(Insert::Add, &route)
}

fn no_dead_end(scene: &mut Scene, kind: u8) -> Result<()> {
    let route = to_nowhere(scene, kind);
    scene.story.r1.delete_route(&route)
}

#[expect(clippy::unnecessary_wraps, reason = "it is a row's `clear`")]
fn old_road_is_well(scene: &mut Scene) -> Result<()> {
    scene.story.wire.set_loss(0.0);
    scene.story.wire.set_delay(OLD_ROAD);
    scene.spread_again();
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "it is a row's `clear`")]
fn third_road_is_well(scene: &mut Scene) -> Result<()> {
    scene.third.set_loss(0.0);
    scene.third.set_delay(Duration::ZERO);
    scene.spread_again();
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "it is a row's `set` and `clear`")]
fn reads_late(scene: &mut Scene, ns: u64) -> Result<()> {
    scene.reads_late_ns.store(ns, Ordering::Relaxed);
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "it is a row's `clear`")]
fn everybody_leaves(scene: &mut Scene) -> Result<()> {
    scene.everybody_leaves();
    Ok(())
}
