//! One POST, over TCP or TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Uri, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::settings::port;
use crate::app::agent::tls;

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent, and where.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) url: Uri,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// The certificates that are believed.
    pub(super) ca_file: PathBuf,
}

/// Sends, and keeps what it takes to.
#[derive(Default)]
pub(super) struct Client {
    tls: Option<(PathBuf, Arc<ClientConfig>)>,
}

impl Client {
    /// Sends a message; it is taken when the answer is 2xx.
    pub(super) async fn post(&mut self, message: &Message) -> Result<(), String> {
        let sent = self.try_to_post(message);
        let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
        timeout(PATIENCE, sent).await.map_err(late)?
    }

    async fn try_to_post(&mut self, message: &Message) -> Result<(), String> {
        let url = &message.url;
        let host = url.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port(url))).await;
        let stream = stream.map_err(|cause| match cause.kind() {
            std::io::ErrorKind::PermissionDenied => format!(
                "connect: {cause}: after its start the agent connects to no port that the \
                 configuration did not name then; start it anew"
            ),
            _ => format!("connect: {cause}"),
        })?;
        if url.scheme_str() != Some("https") {
            return exchange(stream, message).await;
        }
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| format!("{host}: {error}"))?;
        let connector = TlsConnector::from(self.tls(message)?);
        let stream = connector.connect(name, stream).await;
        exchange(stream.map_err(|cause| format!("TLS: {cause}"))?, message).await
    }

    fn tls(&mut self, message: &Message) -> Result<Arc<ClientConfig>, String> {
        match &self.tls {
            Some((file, config)) if *file == message.ca_file => Ok(Arc::clone(config)),
            _ => {
                let config = tls::client(&message.ca_file).map_err(|error| error.to_string())?;
                self.tls = Some((message.ca_file.clone(), Arc::clone(&config)));
                Ok(config)
            }
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    message: &Message,
) -> Result<(), String> {
    let url = &message.url;
    let text = |error: &dyn std::fmt::Display| format!("send: {error}");
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| text(&error))?;
    let driving = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |it| it.as_str());
    let authority = url.authority().map_or("", |it| it.as_str());
    let mut request = Request::post(path)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header(
            header::USER_AGENT,
            concat!("tracer/", env!("CARGO_PKG_VERSION")),
        );
    for (name, value) in &message.headers {
        request = request.header(*name, value);
    }
    let body = Full::new(Bytes::from(message.body.clone()));
    let request = request.body(body).map_err(|error| text(&error))?;
    let answer = sender.send_request(request).await;
    driving.abort();
    let status = answer.map_err(|error| text(&error))?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answers {status}"))
    }
}
