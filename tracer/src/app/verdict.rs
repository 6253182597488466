//! `tracer` without a command, and `tracer why`: the agent is asked, or where none runs, this command
//! looks for itself.

use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::agent::now;
use super::progress::Progress;
use super::{Failure, asking, configure, interrupt, screen};
use crate::cli;
use crate::config::Config;
use crate::detect;
use crate::detect::verdict::{self, Past, Window};
use crate::model::Report;
use crate::model::answer::Answer;
use crate::model::incident::Name;
use crate::model::probe::Target;
use crate::sink::{Look, probe_json, probe_text, verdict_json, verdict_text};
use crate::source::{Source, live::Live, probe};

/// How often the source is read while it traces.
const EACH: Duration = Duration::from_secs(1);

/// How an answer is wanted.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) enum Form {
    /// For programs.
    Json,
    /// On one screen.
    Screen(Look),
    /// With all dependencies, each at length.
    Long(Look),
    /// To be handed to the owner of the other side.
    Evidence,
}

pub(super) fn why(arguments: &cli::Why, verbose: u8) -> Result<ExitCode, Failure> {
    let about = arguments.about.as_deref();
    if arguments.probe {
        // Nobody waits for a look that ends with a refusal.
        probe::may_probe()?;
    }
    let form = match arguments.evidence {
        Some(_) => Form::Evidence,
        None => form(&arguments.how, Form::Long),
    };
    let shown = answer(&arguments.how, about, form, verbose)?;
    let text = if arguments.probe {
        beyond(shown, form)?
    } else {
        shown.text
    };
    match &arguments.evidence {
        Some(file) => super::write_to(file, &text, "--evidence")?,
        None => screen::show(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(
    arguments: &cli::Verdict,
    about: Option<&str>,
    verbose: u8,
) -> Result<ExitCode, Failure> {
    let form = form(arguments, Form::Screen);
    screen::show(&answer(arguments, about, form, verbose)?.text)?;
    Ok(ExitCode::SUCCESS)
}

/// An answer in its form, and where probes of its first dependency would go.
struct Shown {
    text: String,
    target: Option<Target>,
}

/// The answer with what probes say of the way beyond the next hop.
fn beyond(shown: Shown, form: Form) -> Result<String, Failure> {
    let Some(target) = shown.target else {
        screen::show(&shown.text)?;
        return Err(Failure::Refused {
            doing: "send probes".to_owned(),
            because: "no connection is known whose other end they could go to".to_owned(),
            advice: "again while it has traffic, or tracer why with another dependency".to_owned(),
        });
    };
    let probed = probe::probe(&target)?;
    let said = detect::beyond::beyond(&probed);
    match form {
        Form::Json => {
            probe_json::add(&shown.text, &probed, &said).map_err(|because| Failure::Refused {
                doing: "read the agent's answer".to_owned(),
                because,
                advice: "to start the agent anew, of this same version".to_owned(),
            })
        }
        Form::Screen(look) | Form::Long(look) => {
            Ok(shown.text + &probe_text::to_text(&probed, &said, look))
        }
        Form::Evidence => Ok(shown.text + &probe_text::to_evidence(&probed.redacted(), &said)),
    }
}

fn form(arguments: &cli::Verdict, on_screen: impl FnOnce(Look) -> Form) -> Form {
    if arguments.json {
        Form::Json
    } else {
        on_screen(screen::look())
    }
}

fn answer(
    arguments: &cli::Verdict,
    about: Option<&str>,
    form: Form,
    verbose: u8,
) -> Result<Shown, Failure> {
    let config = configure::verdict(arguments, verbose)?;
    let stream = match &config.agent.socket {
        Some(socket) => asking::connect(socket)?,
        None => None,
    };
    if let Some(stream) = stream {
        let path = path(config.duration, about, form);
        let said = asking::ask(stream, "GET", &path, config.duration)?;
        let target = said.header(TARGET).and_then(from_header);
        return Ok(Shown {
            text: said.body,
            target,
        });
    }
    if let Some(name) = about.and_then(Name::from_full_text) {
        return Err(Failure::Refused {
            doing: format!("look at {name}"),
            because: "only a running agent watches incidents, and none runs".to_owned(),
            advice: "tracer incidents, which reads what was kept on disk".to_owned(),
        });
    }
    let window = look_for_itself(&config)?;
    let past = Past {
        at: now(),
        ..Past::default()
    };
    let mut answer = verdict::answer(&window, &past);
    if let Some(about) = about {
        answer.about(about);
    }
    Ok(Shown {
        text: show(&answer, form),
        target: answer.target(),
    })
}

/// The agent's header that says where probes would go: the agent itself sends none.
pub(in crate::app) const TARGET: &str = "tracer-probe";

/// A target as a header's value.
pub(in crate::app) fn to_header(target: &Target) -> String {
    let name = |name: &str| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    format!(
        "{} {} {} {} {}",
        target.source,
        target.destination,
        target.port,
        name(&target.namespace),
        name(&target.device)
    )
}

fn from_header(value: &str) -> Option<Target> {
    let parts: Vec<&str> = value.split(' ').collect();
    let [source, destination, port, namespace, rest @ ..] = parts.as_slice() else {
        return None;
    };
    let name = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some(Target {
        namespace: name(namespace),
        device: rest.first().map(|it| name(it)).unwrap_or_default(),
        source: source.parse().ok()?,
        destination: destination.parse().ok()?,
        port: port.parse().ok()?,
    })
}

/// What the agent is asked for.
fn path(duration: Duration, about: Option<&str>, form: Form) -> String {
    let (name, look) = match form {
        Form::Json => ("json", Look::default()),
        Form::Screen(look) => ("text", look),
        Form::Long(look) => ("long", look),
        Form::Evidence => ("evidence", Look::default()),
    };
    let about = about.map(|about| {
        let about = utf8_percent_encode(about, NON_ALPHANUMERIC);
        format!("&about={about}")
    });
    format!(
        "/api/verdict?duration={}ms&form={name}&width={}&colour={}{}",
        duration.as_millis(),
        look.width,
        look.colour,
        about.unwrap_or_default()
    )
}

/// An answer in the form that is wanted.
pub(in crate::app) fn show(answer: &Answer, form: Form) -> String {
    match form {
        Form::Json => verdict_json::to_text(answer),
        Form::Screen(look) => verdict_text::to_text(answer, look),
        Form::Long(look) => verdict_text::to_long_text(answer, look),
        Form::Evidence => verdict_text::to_evidence(answer),
    }
}

fn look_for_itself(config: &Config) -> Result<Window, Failure> {
    let interrupted = interrupt::watch()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::System {
            doing: "start tracing".to_owned(),
            cause,
            advice: "again",
        })?;
    runtime.block_on(async {
        let live = Box::new(Live::open(&config.settings)?);
        watch(live, config.duration, interrupted).await
    })
}

/// Looks until the time is over, or the user has seen enough. Where that is before the middle, there
/// are no halves to compare, and whoever needs both says so.
async fn watch(
    mut source: Box<dyn Source>,
    duration: Duration,
    mut interrupted: oneshot::Receiver<()>,
) -> Result<Window, Failure> {
    let start = Instant::now();
    let (half, end) = (start + duration / 2, start + duration);
    let progress = Progress::start(duration);
    let mut middle = None;
    while Instant::now() < end {
        let stop = if middle.is_none() { half } else { end };
        tokio::select! {
            () = sleep_until(stop.min(Instant::now() + EACH)) => {}
            _ = &mut interrupted => break,
        }
        let reading = source.read()?;
        progress.show(start.elapsed(), &reading);
        if middle.is_none() && Instant::now() >= half {
            middle = Some(Report::from_reading(&reading));
        }
    }
    let whole = Report::from_reading(&source.finish()?);
    let middle = middle.unwrap_or_else(|| whole.clone());
    Ok(Window::new(&Report::default(), &middle, &whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reading;
    use crate::model::connection::example;
    use crate::source::Error;
    use std::sync::Arc;

    /// Knows the lab, and that nothing comes any more.
    struct Still;

    impl Source for Still {
        fn read(&mut self) -> Result<Arc<Reading>, Error> {
            Ok(Arc::new(example::lab()))
        }

        fn finish(self: Box<Self>) -> Result<Reading, Error> {
            Ok(example::lab())
        }
    }

    fn watched(interrupted: oneshot::Receiver<()>) -> Window {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let work = watch(Box::new(Still), Duration::from_secs(10), interrupted);
        runtime.block_on(work).unwrap()
    }

    #[test]
    fn a_window_has_two_halves() {
        let (_sender, receiver) = oneshot::channel();
        let window = watched(receiver);
        assert_eq!(window.early.packets(), window.whole.packets());
        assert_eq!(window.late.packets(), 0);
    }

    #[test]
    fn an_interrupt_leaves_what_was_seen() {
        let (sender, receiver) = oneshot::channel();
        sender.send(()).unwrap();
        assert!(watched(receiver).whole.packets() > 0);
    }

    #[test]
    fn a_header_says_where_probes_would_go() {
        let target = Target {
            namespace: "nginx [1]".to_owned(),
            ..crate::model::probe::example::target()
        };
        for device in ["eth0", ""] {
            let target = Target {
                device: device.to_owned(),
                ..target.clone()
            };
            // As HTTP has it: without spaces at its end.
            let header = to_header(&target);
            assert_eq!(from_header(header.trim()), Some(target));
        }
        assert_eq!(from_header("10.0.0.1 nonsense"), None);
    }

    #[test]
    fn what_is_asked_about_may_have_any_letters() {
        let path = path(Duration::from_secs(10), Some("a b&c"), Form::Json);
        assert!(path.ends_with("&about=a%20b%26c"), "{path}");
    }
}
