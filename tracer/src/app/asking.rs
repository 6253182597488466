//! Asking the running agent, by its Unix socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Failure;

/// How long the agent may take to answer, beside what it is asked to take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent's socket; none where no agent listens.
pub(super) fn connect(socket: &Path) -> Result<Option<UnixStream>, Failure> {
    match UnixStream::connect(socket) {
        Ok(stream) => Ok(Some(stream)),
        Err(cause)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&cause.kind()) =>
        {
            Ok(None)
        }
        Err(cause) => Err(failed(socket, cause)),
    }
}

/// An agent's answer.
pub(super) struct Answer {
    head: String,
    /// What it says.
    pub(super) body: String,
}

impl Answer {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

/// What the agent answers to a path, which may take it so long.
pub(super) fn get(stream: UnixStream, path: &str, takes: Duration) -> Result<String, Failure> {
    Ok(ask(stream, "GET", path, takes)?.body)
}

/// Asks for a path by GET or POST, which may take the agent so long.
///
/// # Errors
/// When the agent goes away meanwhile, or refuses: with what it says.
pub(super) fn ask(
    mut stream: UnixStream,
    method: &str,
    path: &str,
    takes: Duration,
) -> Result<Answer, Failure> {
    let request = format!("{method} {path} HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
    let mut answer = String::new();
    let asked = stream
        .set_read_timeout(Some(PATIENCE + takes))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| stream.read_to_string(&mut answer));
    asked.map_err(|cause| failed(Path::new("its socket"), cause))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).unwrap_or("nothing");
    if code == "200" {
        return Ok(Answer {
            head: head.to_owned(),
            body: body.to_owned(),
        });
    }
    let name = path.split('?').next().unwrap_or(path);
    let advice = match code {
        "404" if body.contains("there is no") => "tracer incidents, which lists them",
        "409" => "tracer incidents, which says what became of it",
        _ => "to start the agent anew, of this same version",
    };
    Err(Failure::Refused {
        doing: format!("ask the agent for {name}"),
        because: format!("it answers {code} {}", body.trim_end()),
        advice: advice.to_owned(),
    })
}

fn failed(socket: &Path, cause: io::Error) -> Failure {
    Failure::System {
        doing: format!("ask the agent at {}", socket.display()),
        cause,
        advice: "again as root, by sudo",
    }
}
