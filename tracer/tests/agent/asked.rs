//! HTTP as a scraper speaks it, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 where the connection was closed without one.
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// What a connection gave until it was closed.
    pub(crate) fn read(mut from: impl Read) -> Self {
        let mut bytes = Vec::new();
        // A connection that is cut gave what it gave.
        let _ = from.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.map_or(bytes.len(), |at| at + 4));
        let head = String::from_utf8_lossy(head).into_owned();
        let code = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        Self {
            code: code.unwrap_or(0),
            head,
            body: body.to_vec(),
        }
    }
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream
}

/// Sends a request and reads until the connection is closed.
pub(crate) fn ask(to: SocketAddr, head: &str) -> Answer {
    let mut stream = connect(to);
    // An agent that refuses before it has read all may close while this is sent.
    let _ = stream.write_all(head.as_bytes());
    Answer::read(stream)
}
