//! A while in which much happens, as it does on hosts where nothing is wrong: whoever wakes somebody is
//! mistaken.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::programs;

use super::scene::Scene;
use crate::dice::Dice;

/// How long each event lasts, and how long nothing happens then, in seconds.
const LASTS: Duration = Duration::from_secs(30);
const BETWEEN_S: (f64, f64) = (20.0, 80.0);

type Event = (&'static str, fn(&mut Scene) -> Result<()>);

const EVENTS: [Event; 6] = [
    ("nothing", |_| Ok(())),
    ("a route appears", Scene::unrelated_change),
    ("deployment: the database is started again", Scene::deploy),
    ("rush hour: ten times as many users", |scene| {
        scene.more_users(36);
        Ok(())
    }),
    ("report: large answers", |scene| {
        scene.large_answers(LASTS);
        Ok(())
    }),
    ("cron: a job keeps a processor busy", |scene| {
        scene.is_busy.store(true, Ordering::Relaxed);
        programs::keep_busy(&scene.is_busy, 1, Duration::ZERO)
    }),
];

/// Lets it happen, in a seeded order, for so long.
pub(super) fn go_on(scene: &mut Scene, dice: &mut Dice, time: Duration) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        let (name, begin) = EVENTS[(dice.unit() * EVENTS.len() as f64) as usize];
        println!("{:>5} s  {name}", start.elapsed().as_secs());
        begin(scene)?;
        sleep(LASTS);
        scene.everybody_leaves();
        scene.replace_users_that_gave_up();
        sleep(Duration::from_secs_f64(
            dice.between(BETWEEN_S.0, BETWEEN_S.1),
        ));
    }
    Ok(())
}
