//! TLS and passwords, as a web configuration asks for them.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::asked::{Answer, connect};
use super::running::{Agent, Start, folder, metric, wait_until, write};

/// `alice` with a password.
fn users(password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("basic_auth_users:\n  alice: {hash}\n")
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

/// `{name}.crt` and `{name}.key`, signed by themselves.
fn certificate(folder: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    write(folder, &format!("{name}.crt"), &made.cert.pem());
    write(
        folder,
        &format!("{name}.key"),
        &made.signing_key.serialize_pem(),
    );
}

fn basic(credentials: &str) -> String {
    use base64::Engine;
    let encoded = base64::prelude::BASE64_STANDARD.encode(credentials);
    format!("GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Basic {encoded}\r\n\r\n")
}

const BARE: &str = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";

/// Asks by TLS; with a certificate of the client's own where one is named.
fn ask_by_tls(agent: &Agent, folder: &Path, client: Option<&str>, request: &str) -> Answer {
    let pem = |name: &str| folder.join(name);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(pem("server.crt")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let certificate = CertificateDer::from_pem_file(pem(&format!("{name}.crt"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(pem(&format!("{name}.key"))).unwrap();
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("server").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, connect(agent.address));
    // A handshake that is refused fails here or when the answer is read.
    let _ = stream.write_all(request.as_bytes());
    Answer::read(stream)
}

fn guarded(folder: &Path, web: &str) -> Agent {
    let web = write(folder, "web.yml", web);
    // With a guard it may listen for everyone.
    Start::new(&["--web-config", &web, "--listen", "0.0.0.0:0"]).run()
}

#[test]
fn only_users_with_their_password_may_ask() {
    let folder = folder();
    let agent = guarded(&folder, &users("secret"));
    let ask = |request: &str| super::asked::ask(agent.address, request).code;
    wait_until("it is ready", || ask(&basic("alice:secret")) == 200);
    assert_eq!(ask(BARE), 401);
    assert_eq!(ask(&basic("alice:wrong")), 401);
    assert_eq!(ask(&basic("alice:")), 401);
    assert_eq!(ask(&basic("bob:secret")), 401);
    assert_eq!(ask("GET /api/routes HTTP/1.1\r\nhost: a\r\n\r\n"), 401);
    assert_eq!(
        ask("GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Basic %\r\n\r\n"),
        401
    );
    wait_until("all are counted", || {
        let page = super::asked::ask(agent.address, &basic("alice:secret")).text();
        metric(&page, "tracer_http_refused_total{reason=\"auth\"}") >= Some(6.0)
    });
}

#[test]
fn a_reload_reads_the_passwords_again() {
    let folder = folder();
    let agent = guarded(&folder, &users("secret"));
    let ask = |request: &str| super::asked::ask(agent.address, request).code;
    wait_until("it is ready", || ask(&basic("alice:secret")) == 200);
    write(&folder, "web.yml", &users("changed"));
    agent.signal(Signal::SIGHUP);
    wait_until("it is another", || ask(&basic("alice:changed")) == 200);
    assert_eq!(ask(&basic("alice:secret")), 401);
    // One that would leave the door open is refused, and the one before goes on.
    write(&folder, "web.yml", "");
    agent.signal(Signal::SIGHUP);
    wait_until("it says so", || {
        agent.log().contains("without TLS and without a password")
    });
    assert_eq!(ask(BARE), 401);
    assert_eq!(ask(&basic("alice:changed")), 200);
}

#[test]
fn the_socket_asks_for_no_password() {
    let folder = folder();
    let agent = guarded(&folder, &users("secret"));
    let mut stream = std::os::unix::net::UnixStream::connect(agent.socket()).unwrap();
    stream.write_all(BARE.as_bytes()).unwrap();
    assert_eq!(Answer::read(stream).code, 200);
}

#[test]
fn tls_is_spoken_where_it_is_asked_for() {
    let folder = folder();
    certificate(&folder, "server");
    let agent = guarded(&folder, TLS);
    let answer = ask_by_tls(&agent, &folder, None, BARE);
    assert_eq!(answer.code, 200);
    assert!(answer.body.ends_with(b"# EOF\n"));
    // Without TLS, nothing is said.
    assert_eq!(super::asked::ask(agent.address, BARE).code, 0);
}

#[test]
fn tls_and_passwords_go_together() {
    let folder = folder();
    certificate(&folder, "server");
    let agent = guarded(&folder, &format!("{TLS}{}", users("secret")));
    assert_eq!(ask_by_tls(&agent, &folder, None, BARE).code, 401);
    assert_eq!(
        ask_by_tls(&agent, &folder, None, &basic("alice:secret")).code,
        200
    );
}

#[test]
fn a_client_shows_a_certificate_where_one_is_required() {
    let folder = folder();
    for name in ["server", "client", "stranger"] {
        certificate(&folder, name);
    }
    let required = format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n"
    );
    let agent = guarded(&folder, &required);
    assert_eq!(ask_by_tls(&agent, &folder, Some("client"), BARE).code, 200);
    assert_eq!(ask_by_tls(&agent, &folder, None, BARE).code, 0);
    assert_eq!(ask_by_tls(&agent, &folder, Some("stranger"), BARE).code, 0);
}
