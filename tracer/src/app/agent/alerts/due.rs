//! What a receiver is owed now, and how it is written.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::Uri;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::post::Message;
use super::settings::Settings;
use crate::app::agent::journal::now;
use crate::app::log;
use crate::model::incident::{Incident, Name, Severity, Told};
use crate::sink::alert_json::{self, Alert};

/// How often Alertmanager hears that an incident lasts, and for how long it believes that.
const AGAIN: Duration = Duration::from_mins(1);
const BELIEVED: Duration = Duration::from_mins(5);

/// The agent's own log, which systemd's journal keeps.
const LOG: &str = "log";

/// The name of the receiver that stands for all where nobody is told.
const SHADOW: &str = "nobody (shadow)";

/// Whoever is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receiver {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Webhook {
        url: Uri,
        key: Option<PathBuf>,
        ca_file: PathBuf,
    },
    Alertmanager {
        url: Uri,
        ca_file: PathBuf,
    },
    Log,
    Shadow,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// An incident.
    Firing,
    /// It lasts.
    Again,
    /// It is over.
    Resolved,
}

/// When Alertmanager heard last that an incident lasts.
#[derive(Default)]
pub(super) struct Kept(HashMap<u64, Instant>);

impl Kept {
    pub(super) fn sent(&mut self, incident: &Incident, due: Due) {
        if due == Due::Resolved {
            self.0.remove(&incident.number);
        } else {
            self.0.insert(incident.number, Instant::now());
        }
    }

    fn is_due(&self, number: u64) -> bool {
        self.0.get(&number).is_none_or(|at| at.elapsed() >= AGAIN)
    }
}

impl Receiver {
    pub(super) fn all(settings: &Settings) -> Vec<Self> {
        if settings.shadow {
            return vec![Self {
                name: SHADOW.to_owned(),
                kind: Kind::Shadow,
            }];
        }
        let log = Self {
            name: LOG.to_owned(),
            kind: Kind::Log,
        };
        let ca_file = &settings.ca_file;
        let webhook = settings.webhook.iter().map(|url| Self {
            name: format!("webhook {}", origin(url)),
            kind: Kind::Webhook {
                url: url.clone(),
                key: settings.webhook_key.clone(),
                ca_file: ca_file.clone(),
            },
        });
        let managers = settings.alertmanagers.iter().map(|url| Self {
            name: format!("alertmanager {}", origin(url)),
            kind: Kind::Alertmanager {
                url: url.clone(),
                ca_file: ca_file.clone(),
            },
        });
        std::iter::once(log)
            .chain(webhook)
            .chain(managers)
            .collect()
    }

    /// Its name, without what may be a secret in a path.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An incident that lasts is owed to whoever is configured then; what was over before nobody
    /// wants to hear of any more.
    pub(super) fn registered(&self, incident: &Incident) -> Option<Told> {
        let is_wanted = incident.severity == Severity::Critical && incident.is_active();
        (is_wanted && self.told(incident).is_none()).then(|| Told {
            receiver: self.name.clone(),
            ..Told::default()
        })
    }

    fn told<'a>(&self, incident: &'a Incident) -> Option<&'a Told> {
        incident.told.iter().find(|it| it.receiver == self.name)
    }

    /// What it is owed first.
    pub(super) fn next<'a>(
        &self,
        incidents: &'a [Incident],
        kept: &Kept,
    ) -> Option<(&'a Incident, Due)> {
        incidents.iter().find_map(|incident| {
            let told = self.told(incident)?;
            let due = match (told.fired, told.resolved, incident.is_active()) {
                (None, _, _) => Due::Firing,
                (Some(_), None, false) => Due::Resolved,
                (Some(_), None, true) if self.wants_more() && kept.is_due(incident.number) => {
                    Due::Again
                }
                _ => return None,
            };
            Some((incident, due))
        })
    }

    fn wants_more(&self) -> bool {
        matches!(self.kind, Kind::Alertmanager { .. })
    }

    /// Says it in the log, where that is the receiver.
    pub(super) fn log(&self, incident: &Incident, due: Due) {
        if self.kind == Kind::Log {
            let is_over = due == Due::Resolved;
            let said = alert_json::line(incident, is_over);
            if is_over {
                tracing::warn!("{said}");
            } else {
                tracing::error!(target: log::CRITICAL, "{said}");
            }
        }
    }

    /// What is sent; none where nothing is.
    pub(super) fn message(&self, incident: &Incident, due: Due) -> Result<Option<Message>, String> {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let believed = u64::try_from(BELIEVED.as_nanos()).unwrap_or(u64::MAX);
        let alert = Alert {
            host: &host,
            incident,
            is_over: due == Due::Resolved,
            ends: match due {
                Due::Resolved => incident.recovered().unwrap_or(now()),
                Due::Firing | Due::Again => now().saturating_add(believed),
            },
        };
        Ok(match &self.kind {
            Kind::Log | Kind::Shadow => None,
            Kind::Alertmanager { url, ca_file } => Some(Message {
                url: below(url, "/api/v2/alerts")?,
                headers: Vec::new(),
                body: alert_json::alertmanager(&alert),
                ca_file: ca_file.clone(),
            }),
            Kind::Webhook { url, key, ca_file } => {
                let body = alert_json::webhook(&alert);
                let word = if alert.is_over { "resolved" } else { "firing" };
                let id = format!("{host}/{}/{word}", Name(incident.number));
                let mut headers = vec![("idempotency-key", id)];
                if let Some(key) = key {
                    let stamp = (now() / 1_000_000_000).to_string();
                    let key = fs::read_to_string(key)
                        .map_err(|cause| format!("read the key {}: {cause}", key.display()))?;
                    headers.push((
                        "tracer-signature",
                        signature(key.trim_end(), &stamp, &body)?,
                    ));
                    headers.push(("tracer-timestamp", stamp));
                }
                Some(Message {
                    url: url.clone(),
                    headers,
                    body,
                    ca_file: ca_file.clone(),
                })
            }
        })
    }
}

/// HMAC-SHA256 (RFC 2104) of the time, a point, and the body, so that what was heard once can't be
/// said again later.
fn signature(key: &str, stamp: &str, body: &str) -> Result<String, String> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
    let mut mac = mac.map_err(|error| format!("use the key: {error}"))?;
    mac.update(format!("{stamp}.{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256={}", hex.concat()))
}

fn origin(url: &Uri) -> String {
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    format!("{}://{authority}", url.scheme_str().unwrap_or("http"))
}

fn below(url: &Uri, path: &str) -> Result<Uri, String> {
    let above = url.path().trim_end_matches('/');
    let whole = format!("{}{above}{path}", origin(url));
    whole.parse().map_err(|error| format!("{whole}: {error}"))
}

/// What would have been sent since a moment, in words.
pub(super) fn withheld(incidents: &[Incident], since: u64) -> Vec<String> {
    let mut all = Vec::new();
    for incident in incidents {
        for told in incident.told.iter().filter(|it| it.receiver == SHADOW) {
            let id = Name(incident.number);
            let (word, place) = (incident.verdict.text(), &incident.place);
            for (at, what) in [(told.fired, "firing"), (told.resolved, "resolved")] {
                if let Some(at) = at.filter(|at| *at >= since) {
                    all.push((
                        at,
                        alert_json::sentence(at, what, &id.to_string(), word, place),
                    ));
                }
            }
        }
    }
    all.sort();
    all.into_iter().map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::{End, State, example};

    fn receiver(kind: &str) -> Receiver {
        let url: Uri = "https://on-call.example/secret/path".parse().unwrap();
        let mut settings = Settings::default();
        match kind {
            "webhook" => settings.webhook = Some(url),
            "alertmanager" => settings.alertmanagers.push(url),
            "shadow" => settings.shadow = true,
            _ => {}
        }
        Receiver::all(&settings).pop().unwrap()
    }

    fn lasting() -> Incident {
        Incident {
            told: Vec::new(),
            ..example::incidents().remove(1)
        }
    }

    /// Tells a receiver all it is owed, one after the other.
    fn told(receiver: &Receiver, incident: &mut Incident, kept: &mut Kept) -> Vec<Due> {
        let mut all = Vec::new();
        if let Some(told) = receiver.registered(incident) {
            incident.told.push(told);
        }
        while let Some((_, due)) = receiver.next(std::slice::from_ref(incident), kept) {
            kept.sent(incident, due);
            all.push(due);
            let known = incident
                .told
                .iter_mut()
                .find(|it| it.receiver == receiver.name());
            let known = known.expect("it is owed");
            match due {
                Due::Firing => known.fired = Some(1),
                Due::Resolved => known.resolved = Some(2),
                Due::Again => {}
            }
        }
        all
    }

    #[test]
    fn each_is_told_once_and_of_the_end_once() {
        for kind in ["webhook", "alertmanager", "shadow", "log"] {
            let (receiver, mut kept) = (receiver(kind), Kept::default());
            let mut incident = lasting();
            assert_eq!(
                told(&receiver, &mut incident, &mut kept),
                [Due::Firing],
                "{kind}"
            );
            assert!(told(&receiver, &mut incident, &mut kept).is_empty());
            // Another agent, which knows nothing but what is on disk.
            let again = told(&receiver, &mut incident, &mut Kept::default());
            let expected: &[Due] = if kind == "alertmanager" {
                &[Due::Again]
            } else {
                &[]
            };
            assert_eq!(again, expected, "{kind}");
            incident.state = State::Closed {
                at: 3,
                by: End::Recovered,
            };
            assert_eq!(told(&receiver, &mut incident, &mut kept), [Due::Resolved]);
            assert!(told(&receiver, &mut incident, &mut kept).is_empty());
        }
    }

    #[test]
    fn whoever_was_away_all_the_time_is_told_both() {
        let receiver = receiver("webhook");
        let mut incident = lasting();
        incident.told.extend(receiver.registered(&incident));
        incident.state = State::Closed {
            at: 3,
            by: End::Recovered,
        };
        let all = told(&receiver, &mut incident, &mut Kept::default());
        assert_eq!(all, [Due::Firing, Due::Resolved]);
    }

    #[test]
    fn warnings_and_what_is_over_wake_nobody() {
        let receiver = receiver("webhook");
        let mut quiet = lasting();
        quiet.severity = Severity::Warning;
        assert!(told(&receiver, &mut quiet, &mut Kept::default()).is_empty());
        let mut over = lasting();
        over.state = State::Closed {
            at: 3,
            by: End::Recovered,
        };
        assert!(told(&receiver, &mut over, &mut Kept::default()).is_empty());
    }

    #[test]
    fn no_name_holds_a_secret() {
        assert_eq!(
            receiver("webhook").name(),
            "webhook https://on-call.example"
        );
        let message = receiver("alertmanager")
            .message(&lasting(), Due::Firing)
            .unwrap();
        assert_eq!(message.unwrap().url.path(), "/secret/path/api/v2/alerts");
    }

    /// `printf '1.a' | openssl dgst -sha256 -hmac Jefe`
    #[test]
    fn the_signature_is_hmac_sha256() {
        assert_eq!(
            signature("Jefe", "1", "a").unwrap(),
            "sha256=7f9a0343ddf96c6a421c28f0fbf3eaaf20cb49de9e44d951cdd583bf1450126f"
        );
    }
}
