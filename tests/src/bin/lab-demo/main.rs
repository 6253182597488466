//! The demonstration: an app whose route to its database moves to an old, slow road, and what the
//! tracer says of it.

mod half;
mod screen;
mod verdict;
mod waiting;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use lab::topology::{Address, Road, Story};
use lab::{Lab, TcpServer, Users};
use tracer::sink::routes_compare;
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

const WEB_PORT: u16 = 8080;
const DB_PORT: u16 = 5432;

/// They send 160 requests a second.
const USERS: u32 = 8;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);

/// Each is a network namespace.
const MAP: &str = "
  web ──── app ─┬─ r1 ────────────┬─ db
                └─ r2 ~~ 5 ms ~~~─┘
";

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let each = Duration::from_secs_f64(arguments.seconds / 2.0);
    eprintln!("{MAP}");
    let story = story()?;
    let settings = settings(&story);
    let db = TcpServer::start(&story.db, (story.db_at.v4, DB_PORT).into())?;
    let to_app = (story.app_at.v4, WEB_PORT).into();
    let app = TcpServer::asking(&story.app, to_app, db.address())?;
    let web = (&story.web, story.web_at.v4.into());
    let users = Users::start(web, app.address(), USERS, BETWEEN_REQUESTS);

    let before = trace("before", each, &settings, &story, &users)?;
    story.move_requests(Road::Old)?;
    eprintln!("app's route to db moves from r1 to r2");
    let after = trace("after", each, &settings, &story, &users)?;
    let waits = users.stop().context("use web")?;

    if let Some(folder) = &arguments.record {
        record(folder, &before, &after)?;
    }
    let verdict = Verdict::of(&before.report, &after.report);
    let [early, late] = [&before.report, &after.report].map(|it| verdict.slow_last(it));
    print!(
        "\n{}\n{}{}",
        routes_compare::to_text(&early, &late, screen::look()),
        waiting::to_text(&waits, &before.span, &after.span),
        verdict.to_text(),
    );
    verdict.blames(&story.db, OLD_ROAD)
}

/// One that is named for people to read, unless a demonstration is running already.
fn story() -> Result<Story> {
    let lab = Lab::fixed("demo").or_else(|_| Lab::new("demo"))?;
    Story::new(lab, OLD_ROAD).context("lay out the network")
}

fn settings(story: &Story) -> Settings {
    let ends = [
        ("web", story.web_at),
        ("app", story.app_at),
        ("db", story.db_at),
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
