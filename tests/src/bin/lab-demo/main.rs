//! The demonstration, in two stories: an app whose route to its database moves to an old, slow road;
//! and the road that gets slower while nobody changes anything. What the tracer says of both.

mod half;
mod screen;
mod verdict;
mod waiting;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lab::topology::{Address, Road, Story};
use lab::{Lab, Ns, TcpServer, Users};
use tracer::model::verdict::Word;
use tracer::sink::{routes_compare, verdict_text};
use tracer::source::settings::Component;
use tracer::source::{Settings, replay};

use half::{Half, trace};
use verdict::Verdict;

/// Shows which segment of which route gets slow when a route moves
#[derive(Parser)]
#[command(bin_name = "cargo xtask demo --")]
struct Arguments {
    /// For how long to trace, half of it before the route moves
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = seconds)]
    seconds: f64,
    /// Records what was seen, for `tracer routes --replay`, as before.json and after.json
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (1.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 1 to 3600 is needed".to_owned()),
    }
}

/// How long the old road takes, each way.
const OLD_ROAD: Duration = Duration::from_millis(5);

/// The second story: a wire that took 1 ms takes 40 times as long, and loses packets.
const OLDER_ROAD: Duration = Duration::from_millis(40);
const OLDER_ROAD_LOSS: f64 = 0.03;

const WEB_PORT: u16 = 8080;
const DB_PORT: u16 = 5432;

/// They send 160 requests a second.
const USERS: u32 = 8;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);

/// Each is a network namespace.
const MAP: &str = "
  web ──── app ─┬─ r1 ────────────┬─ db
          app2 ─┤                 │
          app3 ─┘                 │
           app ─── r2 ~~ 5 ms ~~~─┘
";

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let each = Duration::from_secs_f64(arguments.seconds / 2.0);
    eprintln!("{MAP}");
    let story = story()?;
    let colleagues = [story.colleague(2)?, story.colleague(3)?];
    let settings = settings(&story, &colleagues);
    let db = TcpServer::start(&story.db, (story.db_at.v4, DB_PORT).into())?;
    let to_app = (story.app_at.v4, WEB_PORT).into();
    let app = TcpServer::asking(&story.app, to_app, db.address())?;
    let web = (&story.web, story.web_at.v4.into());
    let users = Users::start(web, app.address(), USERS, BETWEEN_REQUESTS);
    let theirs = colleagues
        .each_ref()
        .map(|(ns, at)| Users::start((ns, at.v4.into()), db.address(), 4, BETWEEN_REQUESTS));

    let before = trace("before", each, &settings, &story, &users)?;
    story.move_requests(Road::Old)?;
    eprintln!("app's route to db moves from r1 to r2");
    let after = trace("after", each, &settings, &story, &users)?;
    story.wire.set_delay(OLDER_ROAD);
    story.wire.set_loss(OLDER_ROAD_LOSS);
    eprintln!("the old road takes 40 ms now and loses 3 %; nobody changes anything");
    let outdated = trace("outdated", each, &settings, &story, &users)?;
    let waits = users.stop().context("use web")?;
    drop(theirs);

    if let Some(folder) = &arguments.record {
        record(folder, &before, &after)?;
    }
    let verdict = Verdict::of(&before.report, &after.report);
    let [early, late] = [&before.report, &after.report].map(|it| verdict.slow_last(it));
    print!(
        "\n{}\n{}{}\n",
        routes_compare::to_text(&early, &late, screen::look()),
        waiting::to_text(&waits, &before.span, &after.span),
        verdict.to_text(),
    );
    for (story, half) in [("moved", &after), ("outdated", &outdated)] {
        println!("$ sudo tracer    # {story}: started after it began");
        println!("{}", verdict_text::to_text(&half.answer, screen::look()));
    }
    verdict.blames(&story.db, OLD_ROAD)?;
    ensure!(
        outdated.answer.word() == Word::Path,
        "tell an outdated route: the first word is {}",
        outdated.answer.word().text()
    );
    Ok(())
}

/// One that is named for people to read, unless a demonstration is running already.
fn story() -> Result<Story> {
    let lab = Lab::fixed("demo").or_else(|_| Lab::new("demo"))?;
    Story::new(lab, OLD_ROAD).context("lay out the network")
}

fn settings(story: &Story, colleagues: &[(Ns, Address); 2]) -> Settings {
    let ends = [
        ("web", story.web_at),
        ("app", story.app_at),
        ("db", story.db_at),
        ("app2", colleagues[0].1),
        ("app3", colleagues[1].1),
    ];
    Settings {
        components: ends.map(|(name, address)| component(name, address)).into(),
        ..Settings::default()
    }
}

fn component(name: &str, address: Address) -> Component {
    Component {
        name: name.to_owned(),
        prefixes: address.both().map(Into::into).into(),
        ports: Vec::new(),
        namespace: None,
    }
}

fn record(folder: &Path, before: &Half, after: &Half) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    replay::record(&before.reading, &folder.join("before.json"))?;
    replay::record(&after.reading, &folder.join("after.json"))?;
    Ok(())
}
