//! TLS as the web configuration asks for it.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::app::Failure;
use crate::config::web::{ClientAuth, MinVersion, Tls};

/// What takes connections by TLS.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Failure> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match tls.min_version {
        MinVersion::Tls12 => &[&TLS12, &TLS13],
        MinVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| refused("start TLS", &error))?;
    let builder = match &tls.clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(file) | ClientAuth::Required(file) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), provider);
            let verifier = match &tls.clients {
                ClientAuth::Required(_) => verifier,
                _ => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| refused(&read_certificates(file), &error))?,
            )
        }
    };
    let key = PrivateKeyDer::from_pem_file(&tls.key_file);
    let doing = format!("read the TLS key {}", tls.key_file.display());
    let key = key.map_err(|error| refused(&doing, &error))?;
    let mut config = builder
        .with_single_cert(certificates(&tls.cert_file)?, key)
        .map_err(|error| refused(&read_certificates(&tls.cert_file), &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What connects by TLS, and believes the certificates of a file.
pub(super) fn client(ca_file: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12, &TLS13])
        .map_err(|error| refused("start TLS", &error))?;
    let config = builder.with_root_certificates(roots(ca_file)?);
    Ok(Arc::new(config.with_no_client_auth()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let doing = read_certificates(file);
    let all = CertificateDer::pem_file_iter(file).map_err(|error| refused(&doing, &error))?;
    let all: Vec<_> = all
        .collect::<Result<_, _>>()
        .map_err(|error| refused(&doing, &error))?;
    if all.is_empty() {
        return Err(refused(&doing, &"there is none in it"));
    }
    Ok(all)
}

fn roots(file: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|error| refused(&read_certificates(file), &error))?;
    }
    Ok(roots)
}

fn read_certificates(file: &Path) -> String {
    format!("read the TLS certificates {}", file.display())
}

fn refused(doing: &str, because: &dyn std::fmt::Display) -> Failure {
    Failure::Refused {
        doing: doing.to_owned(),
        because: because.to_string(),
        advice: "PEM files that the agent may read and that belong together".to_owned(),
    }
}
