//! Serves a door's connections: few at a time, and none that keeps the agent waiting.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use super::counts::{Counts, Refusal};
use super::listen::{Listener, Stream};

/// How long a request's head, or a TLS handshake, may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long a client may take nothing of its answer.
const STALL: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// How long to wait when the system has no connection to give, such as for want of files.
const RESPITE: Duration = Duration::from_millis(100);

/// How connections are served; exchanged as a whole when the configuration is read again.
pub(super) struct Manner {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) room: Arc<Semaphore>,
    pub(super) counts: Arc<Counts>,
}

/// The manner of those connections that come from now on.
pub(super) struct Current(Mutex<Arc<Manner>>);

impl Current {
    pub(super) fn new(manner: Manner) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Arc::new(manner))))
    }

    pub(super) fn set(&self, manner: Manner) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(manner);
    }

    fn get(&self) -> Arc<Manner> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves whoever comes; it never ends.
pub(super) async fn serve(listener: Listener, current: Arc<Current>) {
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(cause) => {
                tracing::debug!("accept on {}: {cause}", listener.place());
                current.get().counts.refuse(Refusal::Connections);
                sleep(RESPITE).await;
                continue;
            }
        };
        let manner = current.get();
        let Ok(room) = Arc::clone(&manner.room).try_acquire_owned() else {
            // Closed without a word: whoever comes in such numbers gets no memory of ours.
            manner.counts.refuse(Refusal::Connections);
            continue;
        };
        tokio::spawn(async move {
            let _open = manner.counts.open();
            if let Err(refusal) = one(stream, &manner).await {
                manner.counts.refuse(refusal);
            }
            drop(room);
        });
    }
}

/// Serves one connection.
async fn one(stream: Box<dyn Stream>, manner: &Manner) -> Result<(), Refusal> {
    let mut stream = TimeoutStream::new(Pin::from(stream));
    stream.set_write_timeout(Some(STALL));
    let stream = Box::pin(stream);
    match &manner.tls {
        None => requests(stream, manner).await,
        Some(tls) => match timeout(HEAD, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, manner).await,
            Ok(Err(_)) => Err(Refusal::Tls),
            Err(_) => Err(Refusal::Slow),
        },
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    manner: &Manner,
) -> Result<(), Refusal> {
    let service = TowerToHyperService::new(manner.router.clone());
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        // A connection that waits for a request takes the room of one that has one.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    served.or_else(|error| refusal(&error).map_or(Ok(()), Err))
}

/// Why the connection was given up; none where the client went away.
fn refusal(error: &hyper::Error) -> Option<Refusal> {
    if error.is_parse_too_large() {
        return Some(Refusal::Head);
    }
    if error.is_timeout() {
        return Some(Refusal::Slow);
    }
    let cause = error.source()?.downcast_ref::<io::Error>()?;
    (cause.kind() == io::ErrorKind::TimedOut).then_some(Refusal::Stalled)
}
