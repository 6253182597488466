//! The agent's two doors, and what is asked of whoever comes through them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Settings;
use super::api::{Api, router, router_of_socket};
use super::counts::Counts;
use super::listen::{Listener, Socket};
use super::serve::{Current, Manner, serve};
use super::{auth, tls};
use crate::app::Failure;
use crate::config::web::Web;

/// The doors, open.
pub(super) struct Doors {
    tcp: Door<SocketAddr>,
    unix: Option<(Door<PathBuf>, Socket)>,
}

/// A door that connections come by, until it is dropped.
struct Door<At> {
    at: At,
    current: Arc<Current>,
    task: JoinHandle<()>,
}

impl<At> Drop for Door<At> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How the agent is asked: all that a reload may change of it.
pub(super) struct Plan {
    settings: Settings,
    tcp: Manner,
    unix: Manner,
}

impl Plan {
    /// What the settings mean, with all the files that they name.
    pub(super) fn new(
        settings: &Settings,
        web: Web,
        api: &Arc<Api>,
        counts: &Arc<Counts>,
    ) -> Result<Self, Failure> {
        let is_open = web.tls.is_none() && web.users.is_empty();
        if is_open && !settings.insecure_listen && !settings.listen.ip().is_loopback() {
            return Err(Failure::Refused {
                doing: format!("serve on {}", settings.listen),
                because: "others than this host could ask, without TLS and without a password"
                    .to_owned(),
                advice: "--web-config with either, --listen 127.0.0.1:9560, or --insecure-listen"
                    .to_owned(),
            });
        }
        let manner = |router, tls| Manner {
            router,
            tls,
            room: Arc::new(Semaphore::new(settings.connections)),
            counts: Arc::clone(counts),
        };
        let mut guarded = router(Arc::clone(api));
        if !web.users.is_empty() {
            guarded = auth::only(web.users, Arc::clone(counts), guarded);
        }
        let tls = web.tls.as_ref().map(tls::acceptor).transpose()?;
        Ok(Self {
            settings: settings.clone(),
            tcp: manner(guarded, tls),
            unix: manner(router_of_socket(Arc::clone(api)), None),
        })
    }
}

impl Doors {
    /// Opens both.
    pub(super) async fn open(plan: Plan) -> Result<Self, Failure> {
        let tcp = Listener::tcp(plan.settings.listen).await?;
        let unix = plan.settings.socket;
        let unix = unix
            .map(|path| Listener::unix(&path).map(|opened| (path, opened)))
            .transpose()?
            .map(|(path, (listener, socket))| (Door::new(path, listener, plan.unix), socket));
        Ok(Self {
            tcp: Door::new(plan.settings.listen, tcp, plan.tcp),
            unix,
        })
    }

    /// Opens those that are elsewhere now, and only then closes the old ones.
    pub(super) async fn change(&mut self, plan: Plan) -> Result<(), Failure> {
        let Settings { listen, socket, .. } = plan.settings;
        let tcp = if listen == self.tcp.at {
            None
        } else {
            Some(Listener::tcp(listen).await?)
        };
        let stays = self.unix.as_ref().map(|(door, _)| &door.at) == socket.as_ref();
        let unix = match &socket {
            Some(path) if !stays => Some(Listener::unix(path)?),
            _ => None,
        };
        match tcp {
            Some(listener) => self.tcp = Door::new(listen, listener, plan.tcp),
            None => self.tcp.current.set(plan.tcp),
        }
        match (unix, socket, &self.unix) {
            (Some((listener, name)), Some(path), _) => {
                self.unix = Some((Door::new(path, listener, plan.unix), name));
            }
            (_, Some(_), Some((door, _))) => door.current.set(plan.unix),
            _ => self.unix = None,
        }
        Ok(())
    }
}

impl<At> Door<At> {
    fn new(at: At, listener: Listener, manner: Manner) -> Self {
        tracing::info!("listening on {}", listener.place());
        let current = Current::new(manner);
        Self {
            at,
            task: tokio::spawn(serve(listener, Arc::clone(&current))),
            current,
        }
    }
}
