//! The web configuration: TLS and passwords, in the form that Prometheus and its exporters share.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/https/>, of which this knows the
//! keys below and refuses the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bcrypt::HashParts;
use serde::Deserialize;

use super::Error;

/// How the agent is asked by other hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// TLS; none for plain HTTP.
    pub tls: Option<Tls>,
    /// Who may ask, with the bcrypt hashes of their passwords; all may where there is nobody.
    pub users: BTreeMap<String, String>,
}

/// How to do TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificates, the server's own first.
    pub cert_file: PathBuf,
    /// The server's key.
    pub key_file: PathBuf,
    /// Which certificates clients show.
    pub clients: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: MinVersion,
}

/// Which certificates clients show; the file holds those that sign them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// None.
    None,
    /// A good one, or none.
    Optional(PathBuf),
    /// A good one.
    Required(PathBuf),
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<TlsFile>,
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    cert_file: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    client_auth_type: ClientAuthType,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    min_version: MinVersion,
}

/// Go's names, but for those that take a certificate without a look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum ClientAuthType {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

impl Web {
    /// Reads a web configuration; files that it names without / stand beside it.
    ///
    /// # Errors
    /// When it can't be read or something in it is wrong.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|cause| Error::Web {
            path: path.to_owned(),
            because: cause.to_string(),
            advice: "--web-config with a file that the agent may read",
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(|because| Error::Web {
            path: path.to_owned(),
            because,
            advice: "the keys of https://prometheus.io/docs/prometheus/latest/configuration/https/",
        })
    }

    fn parse(text: &str, beside: &Path) -> Result<Self, String> {
        let file: Option<File> =
            serde_saphyr::from_str(text).map_err(|error| first_line(&error))?;
        let file = file.unwrap_or_default();
        for (name, hash) in &file.basic_auth_users {
            HashParts::from_str(hash)
                .map_err(|_| format!("basic_auth_users: {name}: the password is no bcrypt hash"))?;
        }
        let tls = file.tls_server_config.map(|tls| tls.checked(beside));
        Ok(Self {
            tls: tls.transpose()?,
            users: file.basic_auth_users,
        })
    }
}

impl TlsFile {
    fn checked(self, beside: &Path) -> Result<Tls, String> {
        let clients = match (self.client_auth_type, self.client_ca_file) {
            (ClientAuthType::NoClientCert, None) => ClientAuth::None,
            (ClientAuthType::NoClientCert, Some(_)) => {
                return Err("client_ca_file stands there without a client_auth_type".to_owned());
            }
            (_, None) => {
                return Err("client_auth_type stands there without a client_ca_file".to_owned());
            }
            (ClientAuthType::VerifyClientCertIfGiven, Some(file)) => {
                ClientAuth::Optional(beside.join(file))
            }
            (ClientAuthType::RequireAndVerifyClientCert, Some(file)) => {
                ClientAuth::Required(beside.join(file))
            }
        };
        Ok(Tls {
            cert_file: beside.join(self.cert_file),
            key_file: beside.join(self.key_file),
            clients,
            min_version: self.min_version,
        })
    }
}

/// The parser shows the place in the text too, on more lines than an error has.
fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

    fn parse(text: &str) -> Result<Web, String> {
        Web::parse(text, Path::new("/etc/tracer"))
    }

    #[test]
    fn an_empty_file_asks_for_nothing() {
        assert_eq!(parse(""), Ok(Web::default()));
        assert_eq!(parse("# nothing\n"), Ok(Web::default()));
    }

    #[test]
    fn all_keys_are_read_and_files_stand_beside_it() {
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: /keys/server.key\n  \
             client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  \
             min_version: TLS13\nbasic_auth_users:\n  alice: {HASH}\n"
        );
        let web = Web {
            tls: Some(Tls {
                cert_file: "/etc/tracer/server.crt".into(),
                key_file: "/keys/server.key".into(),
                clients: ClientAuth::Required("/etc/tracer/ca.crt".into()),
                min_version: MinVersion::Tls13,
            }),
            users: BTreeMap::from([("alice".to_owned(), HASH.to_owned())]),
        };
        assert_eq!(parse(&text), Ok(web));
    }

    #[rstest::rstest]
    #[case("tls_server_confg: {}", "unknown field `tls_server_confg`")]
    #[case("tls_server_config: {cert_file: a}", "missing field `key_file`")]
    #[case(
        "tls_server_config: {cert_file: a, key_file: b, ciphers: c}",
        "unknown field `ciphers`"
    )]
    #[case(
        "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}",
        "TLS10"
    )]
    #[case(
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCert}",
        "RequestClientCert"
    )]
    #[case(
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: VerifyClientCertIfGiven}",
        "without a client_ca_file"
    )]
    #[case(
        "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
        "without a client_auth_type"
    )]
    #[case(
        "basic_auth_users: {alice: secret}",
        "alice: the password is no bcrypt hash"
    )]
    #[case("basic_auth_users: [", "line 1")]
    fn what_is_wrong_is_said_in_one_line(#[case] text: &str, #[case] message: &str) {
        let because = parse(text).unwrap_err();
        assert!(because.contains(message), "{because}");
        assert!(!because.contains('\n'), "{because}");
    }
}
