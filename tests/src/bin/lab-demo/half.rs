//! One half of the demonstration: the tracer watches for a while.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use lab::topology::Story;
use lab::{Users, now_ns};
use tracer::detect::verdict::{self, Past, Window};
use tracer::model::answer::Answer;
use tracer::model::{Reading, Report};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

use crate::screen::Progress;

/// What the tracer saw.
pub(crate) struct Half {
    /// Of the whole machine.
    pub(crate) reading: Reading,
    /// Of the demonstration's network alone.
    pub(crate) report: Report,
    /// What `tracer` says of this half by itself, for a screen of 80 columns.
    pub(crate) answer: Answer,
    /// When, in nanoseconds of the lab's clock.
    pub(crate) span: Range<u64>,
}

/// How often the source is read and the screen changes.
const EACH: Duration = Duration::from_millis(500);

pub(crate) fn trace(
    title: &str,
    duration: Duration,
    settings: &Settings,
    story: &Story,
    users: &Users,
) -> Result<Half> {
    let progress = Progress::start(title, duration);
    let mut live = Box::new(Live::open(settings).context("start the tracer")?);
    let (start, start_ns, before) = (Instant::now(), now_ns(), users.answers());
    let mut middle = None;
    while let Some(left) = duration.checked_sub(start.elapsed()) {
        std::thread::sleep(EACH.min(left));
        let reading = live.read()?;
        let (report, _) = ours(&reading, story);
        progress.show(start.elapsed(), users.answers() - before, &report);
        if start.elapsed() >= duration / 2 {
            middle.get_or_insert_with(|| sockets_of_ours(&reading));
        }
    }
    let span = start_ns..now_ns();
    let reading = live.finish().context("stop the tracer")?;
    let (report, others) = ours(&reading, story);
    progress.finish(&report, others);
    let whole = sockets_of_ours(&reading);
    let middle = middle.unwrap_or_else(|| whole.clone());
    let window = Window::new(&Report::default(), &middle, &whole);
    Ok(Half {
        answer: {
            let past = Past {
                at: since_1970_ns(),
                ..Past::default()
            };
            verdict::answer(&window, &past)
        },
        reading,
        report,
        span,
    })
}

/// All routes, and the connections of the demonstration alone: the machine has others.
fn sockets_of_ours(reading: &Reading) -> Report {
    let mut report = Report::from_reading(reading);
    report
        .sockets
        .retain(|it| it.seen.namespace.name.starts_with("demo-"));
    report
}

fn since_1970_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// The routes that lead through the demonstration's namespaces only, and how many packets went
/// by routes that hardly any took: what was on its way when the tracing began seems to start in
/// the midst of it.
fn ours(reading: &Reading, story: &Story) -> (Report, u64) {
    let Story {
        web,
        app,
        r1,
        r2,
        db,
        ..
    } = story;
    let names = [web, app, r1, r2, db].map(lab::Ns::name);
    let mut report = Report::from_reading(reading);
    report.routes.retain(|route| {
        let mut steps = route.steps.iter();
        steps.all(|step| names.contains(&step.hop.namespace.name.as_str()))
    });
    let all = report.packets();
    report.routes.retain(|route| route.packets > all / 100);
    let others = all - report.packets();
    (report, others)
}
