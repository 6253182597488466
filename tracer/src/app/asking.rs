//! Asking the running agent, by its Unix socket.

use std::io::{self, ErrorKind, Read, Write};
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
            if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&cause.kind()) =>
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
    /// Whether all came that was promised.
    fn is_whole(&self) -> bool {
        let promised = self.header("content-length").map(str::parse);
        promised.is_none_or(|it| it == Ok(self.body.len()))
    }

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
    let name = path.split('?').next().unwrap_or(path);
    asked.map_err(|cause| match cause.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::InvalidData => gone(name),
        _ => failed(Path::new("its socket"), cause),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).unwrap_or("nothing");
    if code == "200" {
        let answer = Answer {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        return if answer.is_whole() {
            Ok(answer)
        } else {
            Err(gone(name))
        };
    }
    if head.is_empty() {
        return Err(gone(name));
    }
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

/// The agent ended, or was killed, in the middle: half an answer is none.
fn gone(name: &str) -> Failure {
    Failure::Refused {
        doing: format!("ask the agent for {name}"),
        because: "it went away before it had answered".to_owned(),
        advice: "again: without an agent this command looks for itself".to_owned(),
    }
}

fn failed(socket: &Path, cause: io::Error) -> Failure {
    Failure::System {
        doing: format!("ask the agent at {}", socket.display()),
        cause,
        advice: "again as root, by sudo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said where an agent answers this, and goes away.
    fn said(answer: &'static [u8]) -> Result<String, String> {
        let (ours, mut agents) = UnixStream::pair().unwrap();
        let agent = std::thread::spawn(move || {
            let mut request = [0; 256];
            let _ = agents.read(&mut request);
            let _ = agents.write_all(answer);
        });
        let said = get(ours, "/api/verdict?duration=1s", Duration::ZERO);
        agent.join().unwrap();
        said.map_err(|failure| failure.to_string())
    }

    #[rstest::rstest]
    #[case::before_it_said_anything(b"")]
    #[case::in_the_head(b"HTTP/1.0 200 OK\r\ncontent-length: 9\r\n")]
    #[case::in_the_page(b"HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\nPATH")]
    #[case::in_a_letter(b"HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\nPATH \xe2\x96")]
    fn an_agent_that_goes_away_in_the_middle_has_not_answered(#[case] answer: &'static [u8]) {
        let problem = said(answer).unwrap_err();
        assert!(
            problem.starts_with("ask the agent for /api/verdict: it went away"),
            "{problem}"
        );
    }

    #[test]
    fn a_whole_answer_is_one_and_nonsense_is_told() {
        let whole = b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nPATH";
        assert_eq!(said(whole).as_deref(), Ok("PATH"));
        let nonsense = said(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").unwrap_err();
        assert!(nonsense.contains("it answers nothing"), "{nonsense}");
    }
}
