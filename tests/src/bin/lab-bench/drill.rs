//! `bench drill`: faults that we set, one after another in a seeded order, under real traffic and
//! before the real agent, against a table of what can be known at best.

mod fault;
mod healthy;
mod scene;
mod score;
mod view;
mod witness;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::dice::Dice;
use fault::{FAULTS, Fault};
use scene::Scene;
use score::{How, Summary, Trial};
use view::View;
use witness::{Seen, Witness};

#[derive(Args)]
pub(crate) struct Drill {
    /// Where the order, and the unrelated changes, begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The faults to set, by their names [default: all]
    #[arg(value_name = "FAULT", value_parser = known)]
    faults: Vec<String>,
    /// Whose eyes: an agent for each, all at once [default: all]
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [View::All])]
    view: Vec<View>,
    /// How many times less traffic there is than 80 requests a second of each client of each service:
    /// 27 for 3 a second; of less than one a second nobody can tell whether anything is wrong
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    slowdown: u32,
    /// Each fault is there before the agent is started, which knows no before: asked once, as soon as it
    /// is ready; of the faults only those are worth it that siblings, or long waits, tell of
    #[arg(long)]
    cold: bool,
    /// No faults: for so many seconds what happens on hosts where nothing is wrong, and nobody may be woken
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["faults", "cold", "json"])]
    healthy: Option<u64>,
    /// For how many seconds the agent learns what is normal before the first fault
    #[arg(long, default_value_t = 150)]
    warm: u64,
    /// For how many seconds a fault lasts: what is over by itself within 40 s is a burst, and the
    /// agent learns that such bursts are usual here
    #[arg(long, default_value_t = 45)]
    lasts: u64,
    /// For how many seconds its incidents may take to recover; 0 waits for none of them
    #[arg(long, default_value_t = 90)]
    recovery: u64,
    /// Write all that was measured as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

fn known(name: &str) -> Result<String, String> {
    let names: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
    if names.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("there are {}", names.join(", ")))
}

/// An unrelated change comes at most so many seconds before a fault that is no change itself, or after.
const BESIDE_S: f64 = 2.0;

/// How long it is quiet before each fault.
const QUIET: Duration = Duration::from_secs(5);

impl Drill {
    pub(crate) fn run(self) -> Result<()> {
        let mut dice = Dice::new(self.seed, 7);
        if let Some(seconds) = self.healthy {
            return self.stay_healthy(&mut dice, Duration::from_secs(seconds));
        }
        let faults = self.order(&mut dice);
        println!(
            "\n## drill: {} faults and innocents, seed {}\n",
            faults.len(),
            self.seed
        );
        let mut scene = Scene::new(self.slowdown)?;
        let (trials, noise) = if self.cold {
            (self.cold_trials(&mut scene, faults)?, 0)
        } else {
            self.warm_trials(&mut scene, faults, &mut dice)?
        };
        let summary = Summary::of(&trials);
        println!("\n{summary}");
        if let Some(path) = &self.json {
            write(path, &trials, &summary, noise)?;
        }
        // An incident of the fault before that is open still says nothing of this one.
        let false_claims = summary.false_claims(self.recovery > 0);
        ensure!(
            false_claims == 0 && summary.wrong_words() == 0,
            "pass the drill: {false_claims} false claims, {} first words that are not right",
            summary.wrong_words()
        );
        Ok(())
    }

    /// Nothing is wrong: every page is a mistake, and what was found is listed.
    fn stay_healthy(&self, dice: &mut Dice, time: Duration) -> Result<()> {
        println!(
            "\n## nothing is wrong: {} s, seed {}\n",
            time.as_secs(),
            self.seed
        );
        let mut scene = Scene::new(self.slowdown)?;
        let witnesses = self.witnesses(&scene)?;
        healthy::go_on(&mut scene, dice, time)?;
        let mut pages = 0;
        for witness in &witnesses {
            let incidents = witness.incidents()?;
            let view = witness.view.name();
            println!("view {view}: {} incidents", incidents.len());
            for incident in &incidents {
                println!("    {:.150}", incident.text());
            }
            pages += incidents.iter().filter(|it| it.is_page).count();
        }
        println!("\npages: {pages}");
        ensure!(
            pages == 0,
            "nothing was wrong, and {pages} incidents are pages"
        );
        Ok(())
    }

    fn witnesses(&self, scene: &Scene) -> Result<Vec<Witness>> {
        let views = self.view.iter();
        views
            .map(|view| Witness::start(*view, scene, self.recovery > 0))
            .collect()
    }

    /// Before an agent that has watched for a while: each fault, and how many incidents there were before
    /// the first.
    fn warm_trials(
        &self,
        scene: &mut Scene,
        faults: Vec<&'static Fault>,
        dice: &mut Dice,
    ) -> Result<(Vec<Trial>, usize)> {
        let mut witnesses = self.witnesses(scene)?;
        sleep(Duration::from_secs(self.warm));
        let mut noise = 0;
        for witness in &witnesses {
            witness.prove(scene)?;
            for incident in witness.incidents()? {
                let view = witness.view.name();
                println!("before the first fault, view {view}: {}", incident.text());
                noise += 1;
            }
        }
        println!("{}", Trial::HEAD);
        let mut trials = Vec::new();
        for (number, fault) in faults.into_iter().enumerate() {
            let (is_disturbed, beside_s) = (dice.unit() < 0.5, dice.between(-BESIDE_S, BESIDE_S));
            let beside_s = (is_disturbed && !fault.is_change).then_some(beside_s);
            let new = self.trial(scene, &mut witnesses, fault, beside_s);
            let new = new.with_context(|| format!("try {}, number {number}", fault.name))?;
            for trial in &new {
                println!("{trial}");
            }
            trials.extend(new);
        }
        for witness in &witnesses {
            witness.prove(scene)?;
        }
        Ok((trials, noise))
    }

    /// Before an agent that is started when the fault has been there for a while.
    fn cold_trials(&self, scene: &mut Scene, faults: Vec<&'static Fault>) -> Result<Vec<Trial>> {
        println!("{}", Trial::HEAD);
        let mut trials = Vec::new();
        for fault in faults {
            (fault.set)(scene)?;
            sleep(QUIET);
            for view in &self.view {
                let start = Instant::now();
                let witness = Witness::start(*view, scene, true)?;
                let seen = witness.ask_once(start)?;
                let trial = Trial::new((fault, *view), self.how(false), seen, None);
                println!("{trial}");
                trials.push(trial);
            }
            (fault.clear)(scene)?;
            scene.replace_users_that_gave_up();
        }
        Ok(trials)
    }

    /// How long after the fault somebody asks for the screen: later where it takes longer to see anything.
    fn asked_after(&self) -> Duration {
        Duration::from_secs(if self.slowdown == 1 { 2 } else { 20 })
    }

    fn how(&self, is_disturbed: bool) -> How {
        How {
            is_disturbed,
            is_scarce: self.slowdown > score::ONE_A_SECOND,
        }
    }

    /// The faults in a random order (Fisher and Yates).
    fn order(&self, dice: &mut Dice) -> Vec<&'static Fault> {
        let is_wanted =
            |it: &&Fault| self.faults.is_empty() || self.faults.iter().any(|name| name == it.name);
        let mut faults: Vec<_> = FAULTS.iter().filter(is_wanted).collect();
        for last in (1..faults.len()).rev() {
            let other = (dice.unit() * (last + 1) as f64) as usize;
            faults.swap(last, other);
        }
        faults
    }

    /// One fault, from quiet to quiet, as each view has it.
    fn trial(
        &self,
        scene: &mut Scene,
        witnesses: &mut [Witness],
        fault: &'static Fault,
        beside_s: Option<f64>,
    ) -> Result<Vec<Trial>> {
        sleep(QUIET);
        for witness in &mut *witnesses {
            witness.forget()?;
        }
        if let Some(before_s) = beside_s.filter(|it| *it < 0.0) {
            scene.unrelated_change()?;
            sleep(Duration::from_secs_f64(-before_s));
        }
        let start = Instant::now();
        (fault.set)(scene)?;
        if let Some(after_s) = beside_s.filter(|it| *it >= 0.0) {
            sleep(Duration::from_secs_f64(after_s));
            scene.unrelated_change()?;
        }
        let time = Duration::from_secs(self.lasts);
        let seen = watch(witnesses, (start, self.asked_after()), time);
        (fault.clear)(scene)?;
        let seen = seen?;
        scene.replace_users_that_gave_up();
        let limit = Instant::now() + Duration::from_secs(self.recovery);
        let mut trials = Vec::new();
        for (witness, seen) in witnesses.iter().zip(seen) {
            let recovered = self.recovery(witness, limit)?;
            let of = (fault, witness.view);
            trials.push(Trial::new(
                of,
                self.how(beside_s.is_some()),
                seen,
                recovered,
            ));
        }
        Ok(trials)
    }

    /// Waits until no incident is open; one that still is by the limit is left so, and the next
    /// fault's incidents are those that begin, or of which something is found, after. None: there
    /// was nothing to recover, or nobody waits for it.
    fn recovery(&self, witness: &Witness, limit: Instant) -> Result<Option<bool>> {
        if self.recovery == 0 || witness.new_incidents()?.is_empty() {
            return Ok(None);
        }
        while witness.any_open()? {
            if Instant::now() >= limit {
                return Ok(Some(false));
            }
            sleep(Duration::from_millis(500));
        }
        Ok(Some(true))
    }
}

/// All watch at once, from the moment that a fault was set.
fn watch(witnesses: &[Witness], start: (Instant, Duration), time: Duration) -> Result<Vec<Seen>> {
    std::thread::scope(|scope| {
        let all: Vec<_> = witnesses
            .iter()
            .map(|it| scope.spawn(move || it.watch(start, time)))
            .collect();
        all.into_iter()
            .map(|it| match it.join() {
                Ok(seen) => seen,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn write(path: &Path, trials: &[Trial], summary: &Summary, noise: usize) -> Result<()> {
    let page = json!({
        "schema": "tracer.drill/1",
        "before_the_first_fault": noise,
        "trials": trials.iter().map(Trial::json).collect::<Vec<_>>(),
        "summary": summary.json(),
    });
    std::fs::write(path, format!("{page:#}\n"))
        .with_context(|| format!("write what was measured to {}", path.display()))
}
