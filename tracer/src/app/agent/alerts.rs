//! Tells receivers of incidents that are worth waking someone: each of one once, and of its end once.
//!
//! What a receiver is owed stands with the incident, on disk: so what it could not be told while it was
//! away it is told afterwards, by the next agent too.

mod due;
mod post;
pub mod settings;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use self::due::{Due, Receiver};
use self::post::Client;
use self::settings::Settings;
use super::incidents::Docket;
use super::journal::now;
use crate::app::Failure;
use crate::model::incident::{Incident, Name, Told};

/// How often it is looked whether anybody is owed something.
const EACH: Duration = Duration::from_secs(1);

/// How long after a failure a receiver is tried again: at first, and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The thread that sends; it ends with the process.
pub(super) struct Alerts {
    settings: Arc<Mutex<Settings>>,
    docket: Arc<Docket>,
}

impl Alerts {
    /// Starts the thread, which does first what it has to begin with.
    pub(super) fn start(
        settings: Settings,
        docket: Arc<Docket>,
        begin: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let failed = |cause| Failure::System {
            doing: "start to send alerts".to_owned(),
            cause,
            advice: "again",
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let shared = Arc::new(Mutex::new(settings));
        let (for_thread, of_thread) = (Arc::clone(&shared), Arc::clone(&docket));
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::Builder::new().name("alerts".to_owned());
        let spawned = thread.spawn(move || {
            let beginning = begin();
            let is_good = beginning.is_ok();
            // Whoever starts it waits for this.
            let _ = tell.send(beginning);
            if is_good {
                runtime.block_on(send(&for_thread, &of_thread));
            }
        });
        spawned.map_err(failed)?;
        let gone = |_| Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        told.recv().unwrap_or_else(gone)?;
        Ok(Self {
            settings: shared,
            docket,
        })
    }

    /// Follows other settings from now on.
    pub(super) fn set(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// What would have been sent since the agent began, in words; none where it is sent.
    pub(super) fn withheld(&self, since: u64) -> Option<Vec<String>> {
        let is_shadow = self.lock().shadow;
        let (all, _) = self.docket.incidents(0);
        is_shadow.then(|| due::withheld(&all, since))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receiver that did not take what it was owed.
#[derive(Default)]
struct Rest {
    until: Option<Instant>,
    next: Option<Duration>,
}

async fn send(settings: &Mutex<Settings>, docket: &Arc<Docket>) {
    let mut lines: Vec<(Receiver, tokio::task::JoinHandle<()>)> = Vec::new();
    loop {
        let settings = settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let wanted = Receiver::all(&settings);
        // Each receiver has a line of its own: one that hangs keeps no other waiting.
        lines.retain(|(receiver, line)| {
            let stays = wanted.contains(receiver);
            if !stays {
                line.abort();
            }
            stays
        });
        for receiver in wanted {
            if lines.iter().all(|(known, _)| *known != receiver) {
                let line = serve(receiver.clone(), Arc::clone(docket));
                lines.push((receiver, tokio::spawn(line)));
            }
        }
        sleep(EACH).await;
    }
}

/// Tells one receiver what it is owed, one after the other.
async fn serve(receiver: Receiver, docket: Arc<Docket>) {
    let mut rest = Rest::default();
    let mut client = Client::default();
    let mut kept_firing = due::Kept::default();
    loop {
        sleep(EACH).await;
        let (all, _) = docket.incidents(0);
        for incident in &all {
            if let Some(told) = receiver.registered(incident) {
                docket.told(incident.number, told);
            }
        }
        if rest.until.is_some_and(|until| until > Instant::now()) {
            continue;
        }
        let Some((incident, due)) = receiver.next(&all, &kept_firing) else {
            continue;
        };
        match tell(&receiver, &mut client, incident, due).await {
            Ok(()) => {
                rest = Rest::default();
                kept_firing.sent(incident, due);
                taken(&receiver, &docket, incident, due);
            }
            Err(because) => {
                docket.count_alert(receiver.name(), false);
                let pause = rest.next.unwrap_or(FIRST_REST);
                let (name, id, seconds) = (receiver.name(), Name(incident.number), pause.as_secs());
                tracing::warn!(
                    "tell {name} of {id}: {because}; it is kept and tried again in {seconds} s"
                );
                rest.until = Some(Instant::now() + pause);
                rest.next = Some((pause * 2).min(LONGEST_REST));
            }
        }
    }
}

async fn tell(
    receiver: &Receiver,
    client: &mut Client,
    incident: &Incident,
    due: Due,
) -> Result<(), String> {
    if let Some(message) = receiver.message(incident, due)? {
        return client.post(&message).await;
    }
    // The log hears it at once; in shadow nobody does.
    receiver.log(incident, due);
    Ok(())
}

fn taken(receiver: &Receiver, docket: &Docket, incident: &Incident, due: Due) {
    let mut told = incident.told.iter();
    let before = told.find(|it| it.receiver == receiver.name()).cloned();
    let before = before.unwrap_or_default();
    let told = match due {
        Due::Again => return,
        Due::Firing => Told {
            fired: Some(now()),
            ..before
        },
        Due::Resolved => Told {
            resolved: Some(now()),
            ..before
        },
    };
    docket.count_alert(receiver.name(), true);
    docket.told(incident.number, told);
}
