//! Ways whose truth is known.

use super::*;
use crate::model::probe::example::{self, PORTS, leg, router};

const MS: u64 = 1_000_000;

#[expect(
    clippy::unnecessary_wraps,
    reason = "a place holds options: who does not answer is none"
)]
fn at(ttl: u8, leg: u8) -> Option<(u8, IpAddr)> {
    Some((ttl, router(ttl, leg)))
}

#[test]
fn a_short_way_has_no_trouble() {
    let said = beyond(&example::fine());
    assert_eq!(
        said.trouble,
        Trouble::None {
            end_ns: 4 * MS / 10
        }
    );
    assert_eq!((said.bad.len(), said.good.len()), (0, PORTS.len()));
    let distances: Vec<u8> = said.hops.iter().map(|it| it.ttl).collect();
    assert_eq!(distances, [1, 2, 3, 4]);
}

#[test]
fn the_step_is_named_where_all_beyond_it_are_slow_and_not_by_a_routers_own_haste() {
    let said = beyond(&example::slow_second());
    let between = Between {
        after: at(1, 0),
        before: at(2, 0),
    };
    let Trouble::Slow { at, more_ns, .. } = said.trouble else {
        panic!("{said:?}");
    };
    assert_eq!(at, between);
    // That router takes 35 ms to answer; what passes it takes 20.
    assert!(more_ns > 19 * MS && more_ns < 21 * MS, "{more_ns}");
}

#[test]
fn the_slow_one_of_three_legs_is_named_by_its_ports() {
    let said = beyond(&example::slow_leg());
    let bad: Vec<u16> = PORTS.into_iter().filter(|it| leg(*it) == 2).collect();
    assert_eq!(said.bad, bad);
    assert_eq!(said.only_bad, [router(2, 2)]);
    let Trouble::Slow {
        at: place, good_ns, ..
    } = said.trouble
    else {
        panic!("{said:?}");
    };
    assert_eq!((place.after, place.before), (at(1, 0), at(2, 2)));
    assert_eq!(good_ns, Some(4 * MS / 10));
}

#[test]
fn the_dead_one_of_three_legs_is_named_by_its_ports() {
    let said = beyond(&example::dead_leg());
    let bad: Vec<u16> = PORTS.into_iter().filter(|it| leg(*it) == 2).collect();
    assert_eq!(said.bad, bad);
    let place = Between {
        after: at(1, 0),
        before: None,
    };
    assert_eq!(said.trouble, Trouble::Dead { at: place });
}

#[test]
fn a_router_that_does_not_answer_is_told_and_accused_of_nothing() {
    let said = beyond(&example::silent_router());
    assert!(matches!(said.trouble, Trouble::None { .. }), "{said:?}");
    let silent = said.hops.iter().find(|it| it.ttl == 2).expect("it is told");
    assert_eq!(
        (silent.address, silent.answered, silent.sent),
        (None, 0, 16)
    );
}

#[test]
fn an_end_that_does_not_answer_is_no_loss() {
    let said = beyond(&example::silent_end());
    assert_eq!(said.trouble, Trouble::Silent { last: at(2, 0) });
    // What is beyond is told once.
    assert_eq!(said.hops.last().map(|it| it.ttl), Some(3));
}

#[test]
fn loss_begins_where_all_beyond_lose_and_not_at_a_router_that_answers_seldom() {
    let said = beyond(&example::lossy());
    let Trouble::Lossy {
        at: place,
        answered,
        sent,
    } = said.trouble
    else {
        panic!("{said:?}");
    };
    assert_eq!((place.after, place.before), (at(2, 0), at(3, 0)));
    assert_eq!((answered, sent), (32, 40));
}

#[test]
fn nobody_is_nobody() {
    assert_eq!(
        beyond(&example::probed(|_, _, _| None)).trouble,
        Trouble::Nobody
    );
}
