//! Who is told of incidents.

use std::path::PathBuf;

use axum::http::Uri;

/// Who is told of incidents that are worth waking someone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Gets a JSON document by POST at the beginning and at the end.
    pub webhook: Option<Uri>,
    /// The file with the key that signs what the webhook gets.
    pub webhook_key: Option<PathBuf>,
    /// Alertmanagers, up to their `/api/v2/alerts`.
    pub alertmanagers: Vec<Uri>,
    /// The certificates that are believed.
    pub ca_file: PathBuf,
    /// Nobody is told, and at the end it is listed what would have been sent.
    pub shadow: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhook: None,
            webhook_key: None,
            alertmanagers: Vec::new(),
            ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            shadow: false,
        }
    }
}

impl Settings {
    /// The ports that it is connected to.
    pub fn ports(&self) -> Vec<u16> {
        let all = self.webhook.iter().chain(&self.alertmanagers);
        all.map(port).collect()
    }
}

/// The port of a URL.
pub fn port(url: &Uri) -> u16 {
    let is_tls = url.scheme_str() == Some("https");
    url.port_u16().unwrap_or(if is_tls { 443 } else { 80 })
}
