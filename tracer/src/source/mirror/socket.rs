//! A namespace's two netlink sockets: one asks, one listens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer};
use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE, protocols::NETLINK_SOCK_DIAG};

use tracer_common::maker::HEAD;

use super::ethtool;
use crate::source::live::makers::{Listeners, Place};
use crate::source::netns::{self, cookie, inside};

/// What the kernel tells without being asked.
const GROUPS: [u32; 9] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV6_RULE,
    libc::RTNLGRP_NEXTHOP,
];

/// How much the kernel may keep for us while we are busy, in bytes. It takes them when it needs them.
const BACKLOG: libc::c_int = 16 << 20;

/// The largest part of a dump that the kernel sends at once (`netlink_dump`: 32 KiB), and room.
const DATAGRAM: usize = 64 << 10;

/// How long it may take at most until it is written down who made a message.
const LATE: Duration = Duration::from_secs(3);

/// A message that was told, as far as it tells who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The cookie of the listening socket.
    pub listener: u64,
    /// Which one of its messages.
    pub number: u64,
    /// Its beginning.
    pub head: [u8; HEAD],
}

/// A message: its type, its flags, its body.
pub(in crate::source) type See<'a> = &'a mut dyn FnMut(u16, u16, &[u8]);

/// Both sockets of a namespace, and its cookie.
pub(super) struct Sockets {
    pub(super) asker: Asker,
    pub(super) listener: Listener,
    /// None before Linux 5.14.
    pub(super) cookie: Option<u64>,
}

impl Sockets {
    /// Opens them inside a namespace, on a thread of its own.
    ///
    /// # Errors
    /// When it can't be entered, or sockets can't be opened.
    pub(super) fn open(namespace: &File, listeners: Option<&Listeners>) -> io::Result<Self> {
        inside(namespace, || {
            // What happens from here on is told, so that a dump after it misses nothing.
            let listener = Listener::open(listeners)?;
            let asker = Asker::open(NETLINK_ROUTE)?;
            let cookie = asker.cookie();
            Ok(Self {
                asker,
                listener,
                cookie,
            })
        })
    }
}

/// Asks for what there is.
pub(in crate::source) struct Asker {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Asker {
    /// Asks about routes and what belongs to them, in a namespace.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub(in crate::source) fn of_routes(namespace: &File) -> io::Result<Self> {
        inside(namespace, || Self::open(NETLINK_ROUTE))
    }

    /// The same, and what else is to be learned on a thread inside the namespace.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub(super) fn of_routes_with<T: Send>(
        namespace: &File,
        learn: impl FnOnce() -> T + Send,
    ) -> io::Result<(Self, T)> {
        inside(namespace, || Ok((Self::open(NETLINK_ROUTE)?, learn())))
    }

    /// Asks about sockets, in a namespace (`sock_diag(7)`).
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub(in crate::source) fn of_sockets(namespace: &File) -> io::Result<Self> {
        inside(namespace, || Self::open(NETLINK_SOCK_DIAG))
    }

    /// The cookie of its namespace; none before Linux 5.14.
    pub(in crate::source) fn cookie(&self) -> Option<u64> {
        cookie(self.socket.as_raw_fd())
    }

    fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // Without it (before Linux 4.20) a dump has more than was asked for, which is left out.
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Hands over all that there is of a kind; the body is the request's header and attributes.
    ///
    /// Returns whether nothing changed meanwhile, so that the dump is one state.
    ///
    /// # Errors
    /// When the kernel refuses; `ENOENT` for a table that there is not.
    pub(in crate::source) fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        see: See<'_>,
    ) -> io::Result<bool> {
        self.send(kind, NLM_F_DUMP, body)?;
        let mut is_whole = true;
        loop {
            let done = self.receive(&mut |kind, flags, body| {
                is_whole &= flags & NLM_F_DUMP_INTR == 0;
                see(kind, flags, body);
            })?;
            if done {
                return Ok(is_whole);
            }
        }
    }

    /// Asks for one thing; returns its message's type and body.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(in crate::source) fn ask(&mut self, kind: u16, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.send(kind, 0, body)?;
        let mut answer = None;
        self.receive(&mut |kind, _, body| answer = Some((kind, body.to_vec())))?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The speed that a device's driver tells, in megabits a second.
    pub(super) fn speed(&self, device: &str) -> Option<u32> {
        ethtool::speed(self.socket.as_raw_fd(), device)
    }

    /// What a device's driver counts of trouble, by name.
    pub(super) fn trouble(&self, device: &str) -> BTreeMap<String, u64> {
        ethtool::trouble(self.socket.as_raw_fd(), device)
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = vec![0; 16];
        message.extend_from_slice(body);
        let mut header = NetlinkBuffer::new(&mut message);
        header.set_length(16 + body.len() as u32);
        header.set_message_type(kind);
        header.set_flags(NLM_F_REQUEST | flags);
        header.set_sequence_number(self.sequence);
        self.socket.send(&message, 0).map(drop)
    }

    /// Reads one datagram; returns whether the answer is complete.
    fn receive(&mut self, see: See<'_>) -> io::Result<bool> {
        self.buffer.clear();
        self.socket.recv(&mut self.buffer, 0)?;
        let mut end = Ok(false);
        each_message(&self.buffer, &mut |message| {
            if message.sequence_number() != self.sequence {
                return;
            }
            match message.message_type() {
                NLMSG_DONE => end = code(message.payload()).map(|()| true),
                NLMSG_ERROR => end = code(message.payload()).map(|()| true),
                kind => see(kind, message.flags(), message.payload()),
            }
        });
        end
    }
}

/// Hears what changes.
pub(super) struct Listener {
    socket: Socket,
    buffer: Vec<u8>,
    cookie: u64,
    /// Where it is written down who made the messages.
    makers: Option<Place>,
    /// How many messages were read.
    read: u64,
    /// How many makers should be written down by now.
    due: u64,
    /// Since when some are missing, and how few at least.
    missing: Option<(Instant, u64)>,
}

/// What a listener got at once.
pub(super) enum Received {
    /// A message.
    Message,
    /// Nothing more.
    Nothing,
    /// Nothing more, and the makers of all messages until here are written down, by so many runs.
    AllMade(u64),
}

impl Listener {
    fn open(listeners: Option<&Listeners>) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        enlarge(&socket);
        let cookie = netns::word(socket.as_raw_fd(), libc::SO_COOKIE).unwrap_or_default();
        // Before it hears anything.
        let makers = listeners.and_then(|listeners| listeners.add(cookie));
        for group in GROUPS {
            // What a kernel has not it does not tell: next-hop objects before Linux 5.3.
            let joined = socket.add_membership(group);
            if group != libc::RTNLGRP_NEXTHOP {
                joined?;
            }
        }
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
            cookie,
            makers,
            read: 0,
            due: 0,
            missing: None,
        })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether nothing was told until now that was not read.
    ///
    /// # Errors
    /// When something was told that found no room: asking takes that back.
    pub(super) fn is_silent(&self) -> io::Result<bool> {
        let mut first = [0; 1];
        match self.socket.recv(&mut &mut first[..], libc::MSG_PEEK) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Its cookie, where it is written down who makes its messages.
    pub(super) fn made(&self) -> Option<u64> {
        self.makers.as_ref().map(|_| self.cookie)
    }

    /// The last message that was read: its socket, and its beginning. None where nobody writes down
    /// who made it.
    pub(super) fn last(&self) -> Option<Message> {
        self.makers.as_ref()?;
        let mut head = [0; HEAD];
        for (to, byte) in head.iter_mut().zip(&self.buffer) {
            *to = *byte;
        }
        Some(Message {
            listener: self.cookie,
            number: self.read,
            head,
        })
    }

    /// Hands over one datagram's messages.
    ///
    /// # Errors
    /// `ENOBUFS` when the kernel had more to tell than it could keep, and has thrown it away.
    pub(super) fn receive(&mut self, see: See<'_>) -> io::Result<Received> {
        self.buffer.clear();
        let made = self.makers.as_ref().map(Place::runs);
        match self.socket.recv(&mut self.buffer, 0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(self.nothing_more(made));
            }
            received => received?,
        };
        self.read += 1;
        self.due += 1;
        each_message(&self.buffer, &mut |message| {
            see(message.message_type(), message.flags(), message.payload());
        });
        Ok(Received::Message)
    }
}

impl Listener {
    /// All that was put there before the makers were counted has been read.
    fn nothing_more(&mut self, made: Option<u64>) -> Received {
        let Some(made) = made else {
            return Received::Nothing;
        };
        // One that was given up may have come after all.
        self.due = self.due.max(made);
        let missing = self.due - made;
        if missing == 0 {
            self.missing = None;
            return Received::AllMade(made);
        }
        let (since, fewest) = self.missing.unwrap_or((Instant::now(), missing));
        if since.elapsed() > LATE {
            // So many were missing all that time.
            self.due -= fewest;
            self.missing = None;
        } else {
            self.missing = Some((since, fewest.min(missing)));
        }
        Received::Nothing
    }
}

/// The messages of a datagram; what follows a malformed one is left out.
pub(super) fn each_message(datagram: &[u8], see: &mut dyn FnMut(NetlinkBuffer<&[u8]>)) {
    let mut rest = datagram;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        let length = message.length() as usize;
        see(message);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// A refusal's error number, negative; zero for none.
fn code(body: &[u8]) -> io::Result<()> {
    match body
        .first_chunk()
        .map_or(0, |code| i32::from_ne_bytes(*code))
    {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
    }
}

/// Lets the kernel keep more for us, beyond the host's limit where we may (`CAP_NET_ADMIN`).
fn enlarge(socket: &Socket) {
    let backlog = BACKLOG;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        // SAFETY: the value and its size are valid for as long as the call takes.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const backlog).cast(),
                size_of_val(&backlog) as libc::socklen_t,
            )
        };
        if set == 0 {
            return;
        }
    }
}
