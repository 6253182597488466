//! Where the agent is asked: a TCP address and a Unix socket.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::process;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::lock::Lock;
use crate::app::Failure;

/// A connection's two directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// A door that is open.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Opens a TCP port.
    pub(super) async fn tcp(address: SocketAddr) -> Result<Self, Failure> {
        let bound = TcpListener::bind(address).await;
        bound.map(Self::Tcp).map_err(|cause| Failure::System {
            doing: format!("serve on {address}"),
            advice: match cause.kind() {
                io::ErrorKind::AddrInUse => {
                    "--listen with another port, or end the agent that has this one"
                }
                _ => "--listen with an address and a port that this host has free",
            },
            cause,
        })
    }

    /// Opens a Unix socket for its owner and group.
    ///
    /// The socket has its name only when it has its mode. One that an agent left behind is taken
    /// over; one that answers is another agent's.
    pub(super) fn unix(path: &Path) -> Result<(Self, Socket), Failure> {
        let failed = |cause| no_socket(path, cause);
        if Probe::connect(path).is_ok() {
            return Err(taken(path));
        }
        let lock = Lock::take(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unnamed = path.with_file_name(format!(".{name}.{}", process::id()));
        // Left behind by an agent of the same number; where there is none, all is well.
        let _ = fs::remove_file(&unnamed);
        let listener = UnixListener::bind(&unnamed).map_err(failed)?;
        let named = fs::set_permissions(&unnamed, fs::Permissions::from_mode(0o660))
            .and_then(|()| fs::rename(&unnamed, path));
        if let Err(cause) = named {
            let _ = fs::remove_file(&unnamed);
            return Err(failed(cause));
        }
        let socket = Socket {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((Self::Unix(listener, path.to_owned()), socket))
    }

    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }

    /// Where it is, for the log.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|cause| cause.to_string(), |it| it.to_string()),
            Self::Unix(_, path) => path.display().to_string(),
        }
    }
}

/// Makes the folder that a socket will be in, where there is none.
pub(super) fn make_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent();
    folder
        .map_or(Ok(()), fs::create_dir_all)
        .map_err(|cause| no_socket(path, cause))
}

/// Another agent is there.
pub(super) fn taken(path: &Path) -> Failure {
    Failure::Refused {
        doing: format!("serve on the socket {}", path.display()),
        because: "another agent answers on it".to_owned(),
        advice: "to end that one (tracer off), or --socket with another path".to_owned(),
    }
}

pub(super) fn no_socket(path: &Path, cause: io::Error) -> Failure {
    Failure::System {
        doing: format!("serve on the socket {}", path.display()),
        cause,
        advice: "as root, or --socket with a path in a folder that you may write to; a reload \
                 stays in the folder that the agent was started with",
    }
}

/// A socket's name in the file system, which goes when this is dropped.
pub(super) struct Socket {
    path: PathBuf,
    _lock: Lock,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Someone may have removed it.
        let _ = fs::remove_file(&self.path);
    }
}
